"""A Flax linen module as a workload."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import optax
from flax import linen as nn

from bench.adapters import supervised
from bench.adapters.supervised import Loss, Model
from toynet.workload import Params, Workload

# The axis of a module that is applied to one example at a time.
EXAMPLES = "examples"


def workload(
    module: nn.Module | Callable[[Any], nn.Module],
    loss: Loss,
    optimizer: optax.GradientTransformation,
    examples: Any,
    *,
    inputs: Callable[[Any], Any] = lambda batch: batch["inputs"],
    name: str,
    batch_size: int = 32,
    epoch_steps: int = 8,
    rngs: Sequence[str] = (),
    kwargs: Mapping[str, Any] = {},
) -> Workload:
    """The training of a module, which is called with `inputs(batch)` and `kwargs`.

    A module that takes means over the batch, as BatchNorm does, must know the axes that the batch is divided over, and
    is given as a function of their name (or names, or None): `lambda axis_name: CNN(axis_name=axis_name)`. `rngs` are
    the random streams that it asks for, as "dropout"; their keys are those of the examples, so that what is drawn
    doesn't depend on how many devices there are. For the loss and the examples see `supervised`.
    """
    told = not isinstance(module, nn.Module)
    make = module if told else lambda _: module

    def streams(key: jax.Array) -> dict[str, jax.Array]:
        return {stream: jax.random.fold_in(key, i) for i, stream in enumerate(rngs)}

    def init(key: jax.Array) -> tuple[Params, Any]:
        one = jax.tree.map(lambda leaf: leaf[:1], examples)
        of_params, of_streams = jax.random.split(key)
        variables = dict(make(None).init({"params": of_params, **streams(of_streams)}, inputs(one), **kwargs))
        return variables.pop("params", {}), variables

    def applied(axis_name: Any, params: Params, aux: Any, inputs: Any, key: jax.Array | None) -> tuple[Any, Any]:
        variables = {"params": params, **aux}
        of_streams = None if key is None else streams(key)
        return make(axis_name).apply(variables, inputs, rngs=of_streams, mutable=list(aux), **kwargs)

    def apply(
        params: Params, aux: Any, batch: Any, keys: jax.Array | None, axis_name: str | None
    ) -> tuple[Any, Any]:
        if keys is None:
            return applied(axis_name, params, aux, inputs(batch), None)
        if aux and not told:  # its batch isn't divided
            return applied(None, params, aux, inputs(batch), keys[0])

        def one(example: Any, key: jax.Array) -> tuple[Any, Any]:
            axes = (axis_name, EXAMPLES) if axis_name else EXAMPLES
            outputs, after = applied(axes, params, aux, jax.tree.map(lambda leaf: leaf[None], example), key)
            return jax.tree.map(lambda leaf: leaf[0], outputs), after

        return jax.vmap(one, out_axes=(0, None), axis_name=EXAMPLES)(inputs(batch), keys)

    aux = jax.eval_shape(init, jax.eval_shape(lambda: jax.random.PRNGKey(0)))[1]
    why = (
        f"its module keeps {' and '.join(sorted(aux))}, and doesn't know the axis that the batch is divided over; give "
        "it as a function of the axis's name, `lambda axis_name: CNN(axis_name=axis_name)`"
    )
    model = Model(init=init, apply=apply, random=bool(rngs), undivided=why if aux and not told else "")
    return supervised.workload(
        model, loss, optimizer, examples, name=name, batch_size=batch_size, epoch_steps=epoch_steps
    )
