"""Workloads for tests of the harness: a right one without Flax, quick to start, and others that go wrong."""

from __future__ import annotations

import dataclasses
import itertools
import os
import signal
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import io_callback

from toynet.workload import Parts, Workload

FEATURES = 3


class Batch(NamedTuple):
    inputs: jax.Array
    targets: jax.Array
    mask: jax.Array


def init(key: jax.Array) -> dict[str, jax.Array]:
    return {"weights": jax.random.normal(key, (FEATURES,)), "steps": jnp.zeros((), jnp.int32)}


def draw(key: jax.Array, n: int) -> Batch:
    inputs = jax.random.normal(key, (n, FEATURES))
    return Batch(inputs, inputs.sum(axis=1), jnp.ones(n))


def loss_sum(weights: jax.Array, batch: Batch) -> jax.Array:
    return jnp.sum((batch.inputs @ weights - batch.targets) ** 2 * batch.mask)


def mean_gradients(state: Any, batch: Batch, axis_name: str | None = None) -> tuple[jax.Array, jax.Array]:
    weights = lax.pcast(state["weights"], axis_name, to="varying") if axis_name else state["weights"]
    loss, grads = jax.value_and_grad(loss_sum)(weights, batch)
    sums = (loss, grads, batch.mask.sum())
    loss, grads, count = lax.psum(sums, axis_name) if axis_name else sums
    return loss / count, grads / count


def descend(state: Any, loss: jax.Array, grads: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
    return {"weights": state["weights"] - 0.1 * grads, "steps": state["steps"] + 1}, {"loss": loss}


def step(state: Any, batch: Batch, axis_name: str | None = None) -> tuple[Any, dict[str, jax.Array]]:
    return descend(state, *mean_gradients(state, batch, axis_name))


def gradients(state: Any, batch: Batch, axis_name: str | None = None) -> jax.Array:
    return mean_gradients(state, batch, axis_name)[1]


def sums(weights: jax.Array, batch: Batch) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    loss, grads = jax.value_and_grad(loss_sum)(weights, batch)
    return grads, (loss, batch.mask.sum())


parts = Parts(
    params=lambda state: state["weights"],
    sums=sums,
    means=lambda grads, rest: (grads / rest[1], {"loss": rest[0] / rest[1]}),
    update=lambda state, grads: descend(state, jnp.zeros(()), grads)[0],
)
right = Workload(
    name="right",
    init=init,
    batch=draw,
    step=step,
    gradients=gradients,
    parts=parts,
    batch_size=8,
    epoch_steps=4,
    masked=True,
)


def _times_n(state: Any, batch: Batch, axis_name: str | None = None) -> tuple[jax.Array, jax.Array]:
    """The double-count trap: the mean of gradients of parameters that don't vary over the devices."""
    if axis_name is None:
        return mean_gradients(state, batch)
    loss, grads = jax.value_and_grad(lambda w: loss_sum(w, batch) / batch.mask.sum())(state["weights"])
    return lax.pmean(loss, axis_name), lax.pmean(grads, axis_name)


def _forgotten_mask(state: Any, batch: Batch, axis_name: str | None = None) -> tuple[jax.Array, jax.Array]:
    """Padding counts as examples, which only shows where a batch doesn't divide."""
    mask = jnp.ones_like(batch.mask) if axis_name else batch.mask
    return mean_gradients(state, batch._replace(mask=lax.stop_gradient(mask)), axis_name)


def _unreduced(state: Any, batch: Batch, axis_name: str | None = None) -> tuple[jax.Array, jax.Array]:
    """A mean of the devices' means, which is another mean where they hold unequal numbers of examples."""
    if axis_name is None:
        return mean_gradients(state, batch)
    local = mean_gradients({"weights": lax.pcast(state["weights"], axis_name, to="varying")}, batch)
    return lax.pmean(local, axis_name)


def _with(mean: Any, name: str) -> Workload:
    return dataclasses.replace(
        right,
        name=name,
        step=lambda state, batch, axis_name=None: descend(state, *mean(state, batch, axis_name)),
        gradients=lambda state, batch, axis_name=None: mean(state, batch, axis_name)[1],
    )


def _forgets(state: Any, batch: Batch, axis_name: str | None = None) -> tuple[jax.Array, jax.Array]:
    """Of several processes each forgets the others: the mean is that of its own examples."""
    if axis_name is None or jax.process_count() == 1:
        return mean_gradients(state, batch, axis_name)
    own = lax.axis_index(axis_name) == 0
    return lax.psum(jax.tree.map(lambda leaf: jnp.where(own, leaf, 0), mean_gradients(state, batch)), axis_name)


def _elsewhere(state: Any, batch: Batch, axis_name: str | None = None) -> tuple[jax.Array, jax.Array]:
    """A loss that is told wrongly in the second of several processes only."""
    loss, grads = mean_gradients(state, batch, axis_name)
    return loss * (1 if axis_name is None else 1 + jax.process_index()), grads


unmasked = dataclasses.replace(right, name="unmasked", masked=False)
times_n = _with(_times_n, "times_n")
forgotten_mask = _with(_forgotten_mask, "forgotten_mask")
unreduced = _with(_unreduced, "unreduced")
forgets = _with(_forgets, "forgets")
elsewhere = _with(_elsewhere, "elsewhere")


def _beyond(wrong: Callable[[], Any]) -> Any:
    """A step that goes wrong where a batch is larger than its own, so that a look at it finds nothing."""

    def beyond(state: Any, batch: Batch, axis_name: str | None = None) -> tuple[Any, dict[str, jax.Array]]:
        if len(batch.mask) > right.batch_size:
            wrong()
        return step(state, batch, axis_name)

    return beyond


def _raise() -> Any:
    raise ValueError("planted: the step raises")


def _deadlocks(state: Any, batch: Batch, axis_name: str | None = None) -> Any:
    """Only device 0 comes to the collective, and XLA aborts the process when the other never does."""
    after, metrics = step(state, batch, axis_name)
    if axis_name is None:
        return after, metrics
    loss = lax.pcast(metrics["loss"], axis_name, to="varying")

    def alone(x: jax.Array) -> jax.Array:
        return lax.pcast(lax.psum(x, axis_name), axis_name, to="varying")

    waited = lax.cond(lax.axis_index(axis_name) == 0, alone, lambda x: x, loss)
    return after, {"loss": metrics["loss"] + 0 * lax.pmean(waited, axis_name)}


raises = dataclasses.replace(right, name="raises", step=_beyond(_raise))
killed = dataclasses.replace(right, name="killed", step=_beyond(lambda: os.kill(os.getpid(), signal.SIGKILL)))
hangs = dataclasses.replace(right, name="hangs", step=_beyond(lambda: time.sleep(3600)))
deadlocks = dataclasses.replace(right, name="deadlocks", step=_deadlocks)
chatty = dataclasses.replace(right, name="chatty", step=lambda *a, **k: (print("to standard output"), step(*a, **k))[1])
restless = dataclasses.replace(
    right, name="restless", init=lambda key: init(jax.random.fold_in(key, time.time_ns() % 2**31))
)

_calls = itertools.count(1)


def _slow(retraced_from: float) -> Workload:
    """A step that takes so long that blocks are of one; from that call on its callback changes a setting of JAX.

    As one that logs may; whatever is called next is then traced anew.
    """

    def tell(steps: Any) -> Any:
        time.sleep(0.025)
        if (call := next(_calls)) >= retraced_from:
            jax.config.update("jax_random_seed_offset", call)
        return steps

    def told(state: Any, batch: Batch, axis_name: str | None = None) -> tuple[Any, dict[str, jax.Array]]:
        count = jax.ShapeDtypeStruct((), jnp.int32)
        return step({**state, "steps": io_callback(tell, count, state["steps"])}, batch, axis_name)

    return dataclasses.replace(right, name="slow", step=told, gradients=None, epoch_steps=2)


slow = _slow(retraced_from=float("inf"))
# The check of its results makes 5 steps, and what comes before blocks that are counted makes 4, of which there are 6.
retraced = _slow(retraced_from=8)
not_a_workload = 3
