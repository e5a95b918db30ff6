"""A Flax nnx module as a workload."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from bench.adapters import supervised
from bench.adapters.losses import Loss
from bench.adapters.made import by_example, check, made
from bench.adapters.supervised import Model, named_inputs
from toynet.errors import UsageError
from toynet.workload import Params, Workload

Split = tuple[nnx.GraphDef, nnx.State, nnx.State, nnx.State]


def workload(
    make: Callable[..., nnx.Module],
    loss: Loss,
    optimizer: optax.GradientTransformation,
    examples: Any,
    *,
    inputs: Callable[[Any], Any] = named_inputs,
    name: str,
    batch_size: int = 32,
    epoch_steps: int = 8,
    kwargs: Mapping[str, Any] = {},
) -> Workload:
    """The training of a module in its training mode, `.train()`, which is called with `inputs(batch)` and `kwargs`.

    `make(rngs)` gives the module. Where a layer takes means over the batch, as BatchNorm does, it is
    `make(rngs, axis_name)`, and gives that layer the axis's name (or None). A module that keeps random streams is
    applied to each example alone, with the example's own keys, so that what is drawn doesn't depend on how many
    devices there are. For the loss and the examples see `supervised`.
    """
    check(make, nnx.Module)

    @functools.cache
    def described(axis_name: str | None) -> Split:
        return _split(nnx.eval_shape(lambda: _module(make, jax.random.PRNGKey(0), axis_name)))

    def init(key: jax.Array) -> tuple[Params, Any]:
        _, params, _, aux = _split(_module(make, key, None))
        return nnx.to_pure_dict(params), nnx.to_pure_dict(aux)

    def applied(axis_name: str | None, params: Params, aux: Any, inputs: Any, key: Any) -> tuple[Any, Any]:
        graph, of_params, streams, of_aux = described(axis_name)
        module: Any = nnx.merge(graph, _filled(of_params, params), _reseeded(streams, key), _filled(of_aux, aux))
        outputs = module(inputs, **kwargs)
        nnx.pop(module, nnx.Intermediate)
        return outputs, nnx.to_pure_dict(_split(module)[3])

    _, _, streams, aux = described(None)
    random = bool(jax.tree.leaves(streams))
    undivided = _undivided(aux, make, random) if jax.tree.leaves(aux) else ""
    model = Model(init=init, apply=by_example(applied, inputs), random=random, undivided=undivided)
    return supervised.workload(
        model, loss, optimizer, examples, name=name, batch_size=batch_size, epoch_steps=epoch_steps
    )


def _undivided(aux: nnx.State, make: Callable[..., Any], random: bool) -> str:
    """Why a batch can't be divided over devices for a module that keeps such state, if it can't be."""
    variables = jax.tree.leaves(aux, is_leaf=lambda leaf: isinstance(leaf, nnx.Variable))
    keeps = f"its module keeps {' and '.join(sorted({type(variable).__name__ for variable in variables}))}"
    if random:
        return (
            f"{keeps}, made from the whole batch, and draws random numbers, which are the same on any number of "
            "devices only where it is applied to each example alone; leave out one or the other"
        )
    if "axis_name" not in inspect.signature(make).parameters:
        return (
            f"{keeps}, and isn't told the axis that the batch is divided over; make it by a function of two, "
            "`lambda rngs, axis_name: CNN(rngs, axis_name=axis_name)`"
        )
    return ""


def _module(make: Callable[..., nnx.Module], key: jax.Array, axis_name: str | None) -> nnx.Module:
    module = made(make, "rngs", nnx.Rngs(key), axis_name=axis_name)
    if not isinstance(module, nnx.Module):
        raise UsageError(f"a function of `rngs` that makes an nnx.Module was expected, got a {type(module).__name__}.")
    module.train()
    return module


def _split(module: nnx.Module) -> Split:
    """What a module is, its parameters of floating point, its random streams, and what else it keeps."""
    graph, params, streams, *rest = nnx.split(module, _is_trained, nnx.RngState, ...)
    return graph, params, streams, rest[0]


def _is_trained(_: Any, variable: Any) -> bool:
    return isinstance(variable, nnx.Param) and jnp.issubdtype(variable.dtype, jnp.floating)


def _filled(described: nnx.State, values: Any) -> nnx.State:
    """A state with those values, from one with their shapes."""
    state = jax.tree.map(lambda leaf: leaf, described)
    nnx.replace_by_pure_dict(state, values)
    return state


def _reseeded(streams: nnx.State, key: jax.Array | None) -> nnx.State:
    """Random streams that begin from one key, each with its own; the counts of what they have drawn are zero."""
    leaves, structure = jax.tree.flatten(streams)
    return structure.unflatten([_begun(leaf, key, i) for i, leaf in enumerate(leaves)])


def _begun(leaf: jax.ShapeDtypeStruct, key: jax.Array | None, i: int) -> jax.Array:
    if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jnp.zeros(leaf.shape, leaf.dtype)
    assert key is not None
    typed = jax.random.wrap_key_data(jax.random.key_data(key))
    return jax.random.split(jax.random.fold_in(typed, i), leaf.shape)
