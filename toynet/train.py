"""The tutorial's workload: state, loss, init, step and evaluation; pure, not jitted."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.flatten_util import ravel_pytree

from toynet import lanes
from toynet.config import Config
from toynet.data import Batch, batches, train_and_test
from toynet.errors import UsageError
from toynet.exchange import added
from toynet.model import MLPClassifier, broadcast_dot
from toynet.paths import PLAIN, Path
from toynet.sums import Metrics, Sums, means
from toynet.workload import Lanes, Parts, Workload

LocalSums = Callable[[Config, Any, Batch], Sums]
"""What a device adds up over its part of a batch, at parameters."""


class TrainState(NamedTuple):
    """Parameters, optimizer state and the number of steps taken: arrays only."""

    params: Any
    opt_state: optax.OptState
    step: jax.Array


def model(config: Config) -> MLPClassifier:
    """The network that a configuration describes."""
    dtypes = jnp.dtype(config.dtype), jnp.dtype(config.products)
    dot_general = broadcast_dot if config.product == "broadcast" else None
    return MLPClassifier(config.hidden_layers, config.hidden_dim, config.n_classes, *dtypes, dot_general)


def optimizer(config: Config) -> optax.GradientTransformation:
    """The tutorial's adam."""
    return optax.adam(config.learning_rate)


def init(config: Config, key: jax.Array) -> TrainState:
    """The state before the first step, from a key."""
    params = model(config).init(key, jnp.zeros((1, config.features), config.dtype))
    return TrainState(params, optimizer(config).init(params), jnp.zeros((), jnp.int32))


def log_probabilities(config: Config, params: Any, inputs: jax.Array) -> jax.Array:
    """The classifier's output, (..., n_classes) for inputs (..., features)."""
    return cast(jax.Array, model(config).apply(params, inputs))


def loss_sum(config: Config, params: Any, batch: Batch) -> tuple[jax.Array, jax.Array]:
    """Cross-entropy and number of correct predictions, each summed over the examples that count."""
    log_probs = log_probabilities(config, params, batch.inputs)
    # Not by one-hot labels: of more than 32,768 examples x members jaxlib 0.10.2 (CPU) adds up those of others
    # (github.com/jax-ml/jax/issues/39103).
    losses = optax.softmax_cross_entropy_with_integer_labels(log_probs, batch.labels)
    correct = (jnp.argmax(log_probs, axis=-1) == batch.labels).astype(config.dtype)
    return jnp.sum(losses * batch.mask), jnp.sum(correct * batch.mask)


def local_sums(config: Config, params: Any, batch: Batch) -> Sums:
    """Gradients, loss, correct predictions and examples of this device's part of the batch."""
    value_and_grad = jax.value_and_grad(functools.partial(loss_sum, config), has_aux=True)
    (loss, correct), grads = value_and_grad(params, batch)
    return Sums(grads, loss, correct, jnp.sum(batch.mask))


def ordered_sums(config: Config, params: Any, batch: Batch, axis_name: str | None) -> Sums:
    """The same over the whole batch, bit-equal on any number of devices that divides `virtual_shards`.

    Every device sums its chunks one by one, gathers those of the others, in one collective since all
    is laid into one vector first, and adds all of them in their order.
    """
    chunks = config.virtual_shards // (lax.axis_size(axis_name) if axis_name else 1)
    parts = jax.tree.map(lambda leaf: leaf.reshape(chunks, -1, *leaf.shape[1:]), batch)
    sums = functools.partial(local_sums, config, params)
    shapes = jax.eval_shape(sums, jax.tree.map(lambda leaf: leaf[0], parts))
    unravel = ravel_pytree(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes))[1]
    vectors = lax.map(lambda part: ravel_pytree(sums(part))[0], parts)
    if axis_name:
        vectors = lax.all_gather(vectors, axis_name, tiled=True, to="invarying")
    total, _ = lax.scan(lambda total, vector: (total + vector, None), vectors[0], vectors[1:])
    return unravel(total)


def global_sums(
    config: Config, params: Any, batch: Batch, axis_name: str | None, local: LocalSums = local_sums
) -> Sums:
    """Sums over the global batch: over this device's part, and over the axis if there is one."""
    if axis_name:
        # A gradient for parameters that are equal on all devices would be summed over them unasked.
        params = lax.pcast(params, axis_name, to="varying")
    if config.virtual_shards:
        return ordered_sums(config, params, batch, axis_name)
    sums = local(config, params, batch)
    return added(sums, axis_name) if axis_name else sums


def mean_gradients(
    config: Config, state: TrainState, batch: Batch, axis_name: str | None = None, local: LocalSums = local_sums
) -> tuple[Any, Metrics]:
    """Gradients of the global batch's mean loss at a state, with the metrics."""
    return means(global_sums(config, state.params, batch, axis_name, local))


def update(config: Config, state: TrainState, grads: Any) -> TrainState:
    """The state after a step of adam along these gradients."""
    updates, opt_state = optimizer(config).update(grads, state.opt_state, state.params)
    return TrainState(optax.apply_updates(state.params, updates), opt_state, state.step + 1)


def step(config: Config, state: TrainState, batch: Batch, axis_name: str | None = None) -> tuple[TrainState, Metrics]:
    """One step of adam on the mean loss of the global batch: the one function that every mode runs."""
    grads, metrics = mean_gradients(config, state, batch, axis_name)
    return update(config, state, grads), metrics


def parts(config: Config) -> Parts:
    """The step taken apart for the modes that divide its state."""

    def sums(params: Any, batch: Batch) -> tuple[Any, Sums]:
        found = local_sums(config, params, batch)
        return found.grads, found._replace(grads=None)

    return Parts(
        params=lambda state: state.params,
        sums=sums,
        means=lambda grads, rest: means(rest._replace(grads=grads)),
        update=functools.partial(update, config),
    )


def evaluate(config: Config, state: TrainState, batch: Batch) -> Metrics:
    """Loss and accuracy over the examples that count."""
    loss, correct = loss_sum(config, state.params, batch)
    count = jnp.maximum(jnp.sum(batch.mask), 1)
    return Metrics(loss / count, correct / count)


@functools.cache
def training_batches(config: Config) -> Batch:
    """The training set in batches, as NumPy arrays: (steps, batch_size, ...)."""
    return batches(train_and_test(config)[0], config.batch_size, config.dtype)


def draw(config: Config, key: jax.Array, n: int) -> Batch:
    """n examples of the training set, drawn with replacement."""
    stacked = training_batches(config)
    chosen = jax.random.randint(key, (n,), 0, config.train_size)
    flat = Batch(*(jnp.asarray(leaf.reshape(-1, *leaf.shape[2:])) for leaf in stacked))
    return Batch(*(leaf[chosen] for leaf in flat))


def lanes_of(config: Config, path: Path) -> Lanes:
    """The step of many members that lead no array, but end each."""
    local = functools.partial(lanes.chunked_sums, chunk=path.chunk)

    def gradients(state: TrainState, batch: Batch, axis_name: str | None = None) -> Any:
        return mean_gradients(config, state, batch, axis_name, local)[0]

    def step(state: TrainState, batch: Batch, axis_name: str | None = None) -> tuple[TrainState, Metrics]:
        grads, metrics = mean_gradients(config, state, batch, axis_name, local)
        return lanes.together(functools.partial(update, config), state, grads), metrics

    return Lanes(step=step, gradients=gradients, block=path.block)


def workload(name: str, config: Config, path: Path = PLAIN) -> Workload:
    """A configuration as a workload that is computed so; raises UsageError if its dtype isn't enabled in JAX."""
    if config.dtype == "float64" and not jax.config.read("jax_enable_x64"):
        raise UsageError("float64 needs JAX_ENABLE_X64=1 in the environment; without it JAX computes in float32.")
    if not path.plain:
        config = dataclasses.replace(config, product=path.product)
    return Workload(
        name=name,
        init=functools.partial(init, config),
        batch=functools.partial(draw, config),
        step=functools.partial(step, config),
        gradients=lambda state, batch, axis_name=None: mean_gradients(config, state, batch, axis_name)[0],
        parts=parts(config),
        lanes=lanes_of(config, path) if path.block else None,
        small_sums=not path.plain,
        batch_size=config.batch_size,
        epoch_steps=config.epoch_steps,
        masked=True,
        virtual_shards=config.virtual_shards,
    )


def threefry(config: Config) -> contextlib.AbstractContextManager[Any]:
    """The random bits of JAX before 0.5 (`legacy`, what the tutorial printed) or of today, within a `with`."""
    return jax.threefry_partitionable(config.threefry == "partitionable")
