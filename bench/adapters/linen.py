"""A Flax linen module as a workload."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import optax
from flax import linen as nn

from bench.adapters import supervised
from bench.adapters.losses import Loss
from bench.adapters.made import by_example
from bench.adapters.supervised import Model, named_inputs
from toynet.errors import UsageError
from toynet.workload import Params, Workload


def workload(
    module: nn.Module | Callable[[str | None], nn.Module],
    loss: Loss,
    optimizer: optax.GradientTransformation,
    examples: Any,
    *,
    inputs: Callable[[Any], Any] = named_inputs,
    name: str,
    batch_size: int = 32,
    epoch_steps: int = 8,
    rngs: Sequence[str] = (),
    kwargs: Mapping[str, Any] = {},
) -> Workload:
    """The training of a module, which is called with `inputs(batch)` and `kwargs`.

    A module that takes means over the batch, as BatchNorm does, must know the axis that the batch is divided over, and
    is given as a function of its name (or None): `lambda axis_name: CNN(axis_name=axis_name)`. `rngs` are the random
    streams that it asks for, as "dropout": it is applied to each example alone then, with the example's own keys, so
    that what is drawn doesn't depend on how many devices there are. For the loss and the examples see `supervised`.
    """
    told = not isinstance(module, nn.Module)
    make = (lambda _: module) if isinstance(module, nn.Module) else module
    if isinstance(module, type) or not callable(make) or not isinstance(make(None), nn.Module):
        raise UsageError(
            "a linen module was expected, or a function that makes one of an axis's name, "
            f"`lambda axis_name: CNN(axis_name=axis_name)`; got {_told(module)}."
        )

    def streams(key: jax.Array) -> dict[str, jax.Array]:
        return {stream: jax.random.fold_in(key, i) for i, stream in enumerate(rngs)}

    def init(key: jax.Array) -> tuple[Params, Any]:
        one = jax.tree.map(lambda leaf: leaf[:1], examples)
        of_params, of_streams = jax.random.split(key)
        variables = dict(make(None).init({"params": of_params, **streams(of_streams)}, inputs(one), **kwargs))
        return variables.pop("params", {}), variables

    def applied(axis_name: str | None, params: Params, aux: Any, inputs: Any, key: jax.Array | None) -> Any:
        variables = {"params": params, **aux}
        of_streams = None if key is None else streams(key)
        return make(axis_name).apply(variables, inputs, rngs=of_streams, mutable=list(aux), **kwargs)

    aux = jax.eval_shape(lambda: init(jax.random.PRNGKey(0)))[1]
    undivided = _undivided(sorted(aux), told, bool(rngs)) if aux else ""
    model = Model(init=init, apply=by_example(applied, inputs), random=bool(rngs), undivided=undivided)
    return supervised.workload(
        model, loss, optimizer, examples, name=name, batch_size=batch_size, epoch_steps=epoch_steps
    )


def _told(module: Any) -> str:
    if isinstance(module, type):
        return f"the class {module.__name__} itself"
    return f"a {type(module).__name__}" + (" that makes none" if callable(module) else "")


def _undivided(collections: Sequence[str], told: bool, random: bool) -> str:
    """Why a batch can't be divided over devices for a module that keeps those collections, if it can't be."""
    keeps = f"its module keeps {' and '.join(collections)}"
    if random:
        return (
            f"{keeps}, made from the whole batch, and asks for random numbers, which are the same on any number of "
            "devices only where it is applied to each example alone; leave out one or the other"
        )
    if not told:
        return (
            f"{keeps}, and isn't told the axis that the batch is divided over; give it as a function of the axis's "
            "name, `lambda axis_name: CNN(axis_name=axis_name)`"
        )
    return ""
