"""Contenders of others: the tutorial's own loop, scikit-learn, PyTorch. Each loads what it needs when it is made."""

from __future__ import annotations

import itertools
import statistics
import warnings
from typing import Any

import numpy as np

from bench.peers.contender import Contender
from toynet.config import Config
from toynet.data import train_and_test


def tutorial_loop(config: Config) -> Contender:
    """The tutorial's step and loop, with its DataLoader; its lines aren't printed. Its sizes are the tutorial's."""
    import jax

    from bench.peers import tutorial_script as script
    from toynet.train import threefry

    train_loader, test_loader = script.loaders()

    def train(seed: int) -> Any:
        with threefry(config):
            state = script.train_model(script.created(seed), train_loader, config.epochs, lambda *_: None)
            return jax.block_until_ready(state)

    return Contender(train, lambda state: script.accuracy_on(state, test_loader))


def scikit_learn(config: Config, fits: int = 1, jobs: int = 1) -> Contender:
    """MLPClassifier, so many fits with seeds that count up; joblib's `jobs`, -1 for all cores."""
    from joblib import Parallel, delayed

    train_set, test_set = train_and_test(config)
    inputs, labels = train_set.inputs.astype(config.dtype), train_set.labels

    def train(seed: int) -> list[Any]:
        seeds = range(seed, seed + fits)
        if jobs == 1:
            return [_fitted(config, inputs, labels, seed) for seed in seeds]
        return list(Parallel(n_jobs=jobs)(delayed(_fitted)(config, inputs, labels, seed) for seed in seeds))

    def accuracy(models: list[Any]) -> float:
        test_inputs = test_set.inputs.astype(config.dtype)
        return statistics.fmean(float(model.score(test_inputs, test_set.labels)) for model in models)

    return Contender(train, accuracy, fits)


def _fitted(config: Config, inputs: np.ndarray, labels: np.ndarray, seed: int) -> Any:
    """A model after all epochs: what would end it sooner is turned off, and so is what the tutorial doesn't do."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        hidden_layer_sizes=(config.hidden_dim,) * config.hidden_layers,
        batch_size=config.batch_size,  # pyright: ignore[reportArgumentType], by its default, 'auto'
        max_iter=config.epochs,
        shuffle=False,
        learning_rate_init=config.learning_rate,
        alpha=0,
        tol=0,
        n_iter_no_change=config.epochs + 1,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(inputs, labels)


def eager_torch(config: Config) -> Contender:
    """The same network and adam in eager PyTorch, its batches cut beforehand, without a DataLoader.

    On one thread, in its favour: for products as small as these another one is only waited for, which on a busy
    machine takes ten times as long.
    """
    import torch  # pyright: ignore[reportMissingImports]
    from torch import nn  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    train_set, test_set = train_and_test(config)
    inputs = torch.as_tensor(train_set.inputs.astype(config.dtype)).split(config.batch_size)
    labels = torch.as_tensor(train_set.labels.astype("int64")).split(config.batch_size)
    batches = list(zip(inputs, labels, strict=True))
    widths = [config.features, *[config.hidden_dim] * config.hidden_layers]

    def network() -> Any:
        hidden = [layer for a, b in itertools.pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
        return nn.Sequential(*hidden, nn.Linear(widths[-1], config.n_classes))

    def train(seed: int) -> Any:
        torch.manual_seed(seed)
        net = network()
        optimizer = torch.optim.Adam(net.parameters(), lr=config.learning_rate)
        for _ in range(config.epochs):
            for batch_inputs, batch_labels in batches:
                optimizer.zero_grad()
                nn.functional.cross_entropy(net(batch_inputs), batch_labels).backward()
                optimizer.step()
        return net

    def accuracy(net: Any) -> float:
        with torch.no_grad():
            decided = net(torch.as_tensor(test_set.inputs.astype(config.dtype))).argmax(dim=1).numpy()
        return float((decided == test_set.labels).mean())

    return Contender(train, accuracy)
