"""An Equinox module as a workload."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import optax

from bench.adapters import supervised
from bench.adapters.losses import Loss
from bench.adapters.made import check, made
from bench.adapters.supervised import Model, named_inputs
from toynet.errors import UsageError
from toynet.workload import Params, Workload

try:
    import equinox as eqx
except ModuleNotFoundError:
    raise UsageError("an Equinox module needs Equinox, which isn't installed here: pip install equinox.") from None

# The axis of the examples, as Equinox's own examples call it.
EXAMPLES = "batch"
UNDIVIDED = (
    "its module keeps state, made from the whole batch by means over the examples' axis of vmap, and JAX takes none "
    "over that where devices hold parts of the batch"
)


def workload(
    make: Callable[..., Any],
    loss: Loss,
    optimizer: optax.GradientTransformation,
    examples: Any,
    *,
    inputs: Callable[[Any], Any] = named_inputs,
    name: str,
    batch_size: int = 32,
    epoch_steps: int = 8,
) -> Workload:
    """The training of a module: of its arrays of floating point; what else it holds stays as it is.

    `make(key)` gives the module, or module and state, as `eqx.nn.make_with_state(CNN)(key)` does. It is called for
    each example alone, under `jax.vmap(..., axis_name="batch")`, with what `inputs` takes of it, with the state if
    there is one, and with a `key` if its call has one: the example's own, so that what is drawn doesn't depend on how
    many devices there are. For the loss and the examples see `supervised`.
    """
    check(make, eqx.Module)

    def parted(key: jax.Array) -> tuple[Params, Any, Any]:
        """Parameters, other arrays with the state, and what isn't an array."""
        module, state = _module_and_state(made(make, "key", key))
        params, others = eqx.partition(module, eqx.is_inexact_array)
        arrays, rest = eqx.partition(others, eqx.is_array)
        return params, (arrays, state), rest

    # Arrays are described, and what isn't one is there as it is.
    params, aux, rest = eqx.filter_eval_shape(parted, jax.random.PRNGKey(0))
    whole = eqx.combine(params, aux[0], rest)
    takes_key = "key" in inspect.signature(type(whole).__call__).parameters

    def apply(params: Params, aux: Any, batch: Any, keys: jax.Array | None, axis_name: str | None) -> tuple[Any, Any]:
        arrays, state = aux
        module: Any = eqx.combine(params, arrays, rest)

        def one(example: Any, key: jax.Array | None, state: Any) -> tuple[Any, Any]:
            by_name = {} if key is None else {"key": key}
            return (module(example, **by_name), None) if state is None else module(example, state, **by_name)

        outputs, state = jax.vmap(one, (0, 0, None), (0, None), axis_name=EXAMPLES)(inputs(batch), keys, state)
        return outputs, (arrays, state)

    model = Model(
        init=lambda key: parted(key)[:2],
        apply=apply,
        random=takes_key,
        undivided="" if aux[1] is None else UNDIVIDED,
    )
    return supervised.workload(
        model, loss, optimizer, examples, name=name, batch_size=batch_size, epoch_steps=epoch_steps
    )


def _module_and_state(found: Any) -> tuple[Any, Any]:
    """A module, and its state or None, of what a user's function made; raises UsageError for anything else."""
    module, state = found if isinstance(found, tuple) and len(found) == 2 else (found, None)
    if not (isinstance(module, eqx.Module) and callable(module) and isinstance(state, eqx.nn.State | None)):
        raise UsageError(
            "a function of `key` that makes an eqx.Module, or a module and its eqx.nn.State, was expected; it made "
            f"a {type(found).__name__}."
        )
    if state is None and any(map(_is_index, jax.tree.leaves(module, is_leaf=_is_index))):
        raise UsageError(
            f"a {type(module).__name__} has state, which must come with it; hand over "
            f"`eqx.nn.make_with_state({type(module).__name__})`, a function that makes both."
        )
    return module, state


def _is_index(leaf: Any) -> bool:
    return isinstance(leaf, eqx.nn.StateIndex)
