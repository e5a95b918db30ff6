"""Any step of the user's own, with a state and a batch, as a workload of mode `single`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from toynet.errors import UsageError
from toynet.modes import MODES
from toynet.workload import Batch, Metrics, State, Workload

NUMBERS = (bool, int, float, complex)


def workload(
    step: Callable[[State, Batch], tuple[State, Metrics]],
    *,
    state: Any,
    batch: Any,
    loss: Callable[[Metrics], Any] | None = None,
    name: str | None = None,
) -> Workload:
    """A step `(state, batch) -> (state, metrics)`, jitted already or not.

    `state` and `batch` are trees of arrays, or functions that make them: the state from nothing or a key, the batch
    from nothing. The batch is used as it is. Its size is the axis that its leaves lead with, if they agree; else it
    counts as one example. What in the state isn't an array, such as a module's activation function, stays as it is.
    `metrics` are the loss, a scalar, or have a `loss`, or else `loss` makes it of them. Raises UsageError for a step
    that can't be called so.
    """
    if not callable(step):
        raise UsageError(f"a step is a function (state, batch) -> (state, metrics), got a {type(step).__name__}.")
    found = batch() if callable(batch) else batch
    size = _size(found)

    def init(key: jax.Array) -> State:
        return _fixed(state if not callable(state) else state(key) if _takes_any(state) else state(), step)

    def draw(key: jax.Array, n: int) -> Batch:
        if n != (size or 1):
            raise UsageError(
                f"{told!r} has one batch, of {size or 1}, which is used as it is, and one of {n} was asked for; leave "
                "the batch size out, or make a Workload whose `batch(key, n)` gives batches of any size."
            )
        return found if size else jax.tree.map(_as_one, found)

    def stepped(state: State, batch: Batch, axis_name: str | None = None) -> tuple[State, dict[str, Any]]:
        given = batch if size else jax.tree.map(lambda leaf: leaf[0], batch)
        after, metrics = _two(step(_whole(state), given))
        return _fixed(after, step), _with_loss(metrics, loss)

    told = name or getattr(step, "__name__", "step")
    own = "only its step is known"
    refused = {mode.name: f"{own}, not how a state is begun from a key" for mode in MODES.values() if mode.ensemble}
    refused |= {
        mode.name: f"{own}, not how it takes means over devices" for mode in MODES.values() if mode.shards_batch
    }
    return Workload(
        name=told, init=init, batch=draw, step=stepped, batch_size=size or 1, epoch_steps=1, refused=refused
    )


@jax.tree_util.register_static
@dataclass(frozen=True)
class Fixed:
    """In a state, what isn't an array; it is none of the tree's leaves."""

    value: Any


def _fixed(state: Any, step: Callable[..., Any]) -> State:
    """A state as a tree of arrays. Numbers of Python are constants where Equinox jits the step, else arrays, as JAX
    has them."""
    of_equinox = type(step).__module__.partition(".")[0] == "equinox"
    arrays = (jax.Array, np.ndarray, np.generic, *(() if of_equinox else NUMBERS))
    return jax.tree.map(lambda leaf: leaf if isinstance(leaf, arrays) else Fixed(leaf), state)


def _whole(state: State) -> Any:
    return jax.tree.map(
        lambda leaf: leaf.value if isinstance(leaf, Fixed) else leaf,
        state,
        is_leaf=lambda leaf: isinstance(leaf, Fixed),
    )


def _takes_any(function: Callable[..., Any]) -> bool:
    return bool(inspect.signature(function).parameters)


def _as_one(leaf: Any) -> Any:
    """A leaf of a batch that counts as one example."""
    return leaf[None] if isinstance(leaf, jax.Array) else np.asarray(leaf)[None]


def _size(batch: Batch) -> int | None:
    """The axis that all leaves lead with; None if they don't agree."""
    leaves = jax.tree.leaves(batch)
    if not leaves:
        raise UsageError(f"a batch is a tree of arrays, got a {type(batch).__name__} without any.")
    sizes = {np.shape(leaf)[:1] for leaf in leaves}
    return sizes.pop()[0] if len(sizes) == 1 and all(sizes) else None


def _two(result: Any) -> tuple[Any, Any]:
    if isinstance(result, tuple) and len(result) == 2:
        return result
    raise UsageError(f"a step gives two things, (state, metrics), got {_described(result)}.")


def _with_loss(metrics: Metrics, loss: Callable[[Metrics], Any] | None) -> dict[str, Any]:
    """The metrics, their loss by its name; raises UsageError if there is none, or if it isn't a scalar."""
    if loss is not None:
        found = loss(metrics)
    elif isinstance(metrics, dict) and "loss" in metrics:
        found = metrics["loss"]
    else:
        found = getattr(metrics, "loss", metrics)
    if not isinstance(found, (jax.Array, np.ndarray, np.generic, *NUMBERS)) or jnp.shape(found):
        raise UsageError(
            f"a step's metrics are its loss, a scalar, or have a `loss`; got {_described(found)}. Hand over "
            "`loss=`, a function that makes it of the metrics."
        )
    return {"loss": found, "metrics": metrics}


def _described(value: Any) -> str:
    if isinstance(value, dict):
        return f"a dict of {', '.join(map(str, value)) or 'nothing'}"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return f"an array {jnp.shape(value)}" if isinstance(value, jax.Array) else f"a {type(value).__name__}"
