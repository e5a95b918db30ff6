"""The tutorial "A Simple Neural Net in Jax" as a script: its structure and its steps, written anew.

    python -m bench.peers.tutorial_script

Its plots are left out, and with them the imports of seaborn, pandas, matplotlib and IPython, which would
only make it slower. The random bits are those of JAX before 0.5, with which its numbers were printed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch  # pyright: ignore[reportMissingImports]
from flax import linen as nn
from flax.training.train_state import TrainState
from sklearn.datasets import make_blobs, make_circles
from torch.utils import data  # pyright: ignore[reportMissingImports]

SEED = 42
SIZE = 1000
BATCH = 32
EPOCHS = 100


class ToyDataset(data.Dataset):
    """Two blobs, and beside them two circles of which one lies within the other."""

    def __init__(self, size: int) -> None:
        super().__init__()
        fifth = int(size * 0.2)
        blobs, blob_labels = make_blobs(fifth, n_features=2, centers=2, cluster_std=1.9, random_state=SEED)[:2]
        outer_and_inner: Any = (int(size * 0.6), fifth)  # Any: pyright takes the default, 100, for the only type
        circles, circle_labels = make_circles(outer_and_inner, noise=0.05, factor=0.1, random_state=SEED)
        circles = circles * 3 + np.array([2.5, -7.0])
        self.points = np.concatenate((blobs, circles))
        self.labels = np.concatenate((blob_labels, circle_labels))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.points[index], self.labels[index]


class Classifier(nn.Module):
    """Hidden layers with relu, then log-probabilities."""

    hidden_layers: int
    hidden_dim: int
    n_classes: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(self.hidden_layers):
            x = nn.relu(nn.Dense(self.hidden_dim)(x))
        return nn.log_softmax(nn.Dense(self.n_classes)(x))


def numpy_collate(examples: list[Any]) -> Any:
    """Batches of NumPy arrays instead of tensors."""
    return jax.tree.map(np.asarray, data.default_collate(examples))


def loaders() -> tuple[Any, Any]:
    """Of the training set, 80%, and of the test set."""
    dataset = ToyDataset(SIZE)
    train_size = int(0.8 * len(dataset))
    sizes = [train_size, len(dataset) - train_size]
    parts = data.random_split(dataset, sizes, generator=torch.Generator().manual_seed(SEED))
    train, test = (data.DataLoader(p, batch_size=BATCH, shuffle=False, collate_fn=numpy_collate) for p in parts)
    return train, test


def created(seed: int = SEED) -> TrainState:
    """The network's first weights, and adam."""
    model = Classifier(hidden_layers=1, hidden_dim=10, n_classes=2)
    _, input_key, _ = jax.random.split(jax.random.PRNGKey(seed), 3)
    params = model.init(jax.random.PRNGKey(seed), jax.random.normal(input_key, (BATCH, 2)))
    return TrainState.create(apply_fn=model.apply, params=params, tx=optax.adam(learning_rate=0.01))


def loss_and_accuracy(state: TrainState, params: Any, batch: Any) -> tuple[jax.Array, jax.Array]:
    """Means over a batch."""
    inputs, labels = batch
    logits = state.apply_fn(params, inputs)
    one_hot = jax.nn.one_hot(labels, logits.shape[1])
    loss = optax.softmax_cross_entropy(logits, one_hot).mean()
    return loss, (jnp.argmax(logits, axis=1) == labels).mean()


@jax.jit
def train_step(state: TrainState, batch: Any) -> tuple[TrainState, jax.Array, jax.Array]:
    """One step of adam."""
    grad_fn = jax.value_and_grad(loss_and_accuracy, argnums=1, has_aux=True)
    (loss, accuracy), grads = grad_fn(state, state.params, batch)
    return state.apply_gradients(grads=grads), loss, accuracy


@jax.jit
def eval_step(state: TrainState, batch: Any) -> jax.Array:
    """The accuracy on a batch."""
    return loss_and_accuracy(state, state.params, batch)[1]


def print_epoch(epoch: int, loss: Any, accuracy: Any) -> None:
    """An epoch's line."""
    print(f"step: {epoch:03d}, loss: {loss:.4f}, accuracy: {accuracy:.4f}")


def train_model(
    state: TrainState,
    loader: Iterable[Any],
    epochs: int = EPOCHS,
    say: Callable[[int, Any, Any], None] = print_epoch,
) -> TrainState:
    """Trains batch by batch, and says what each epoch's last batch gave."""
    for epoch in range(epochs):
        loss = accuracy = jnp.nan
        for batch in loader:
            state, loss, accuracy = train_step(state, batch)
        say(epoch, loss, accuracy)
    return state


def accuracy_on(state: TrainState, loader: Iterable[Any]) -> float:
    """Over all batches, each as much as it has examples."""
    found = [(eval_step(state, batch), len(batch[1])) for batch in loader]
    return float(sum(accuracy * n for accuracy, n in found) / sum(n for _, n in found))


def main() -> None:
    """Trains, and prints what the tutorial prints."""
    jax.config.update("jax_threefry_partitionable", False)
    train_loader, test_loader = loaders()
    state = train_model(created(), train_loader)
    print(f"Accuracy on the test set: {accuracy_on(state, test_loader):.4f}")


if __name__ == "__main__":
    main()
