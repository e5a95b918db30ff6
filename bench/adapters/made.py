"""What the adapters have in common: how a module is made, and how it is applied to each example alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax

from toynet.errors import UsageError


def made(make: Callable[..., Any], name: str, value: Any, **more: Any) -> Any:
    """What `make` gives for one argument, handed over by name where it has it, and those of `more` that it has."""
    taken = inspect.signature(make).parameters
    given = {key: each for key, each in {name: value, **more}.items() if key in taken}
    return make(**given) if name in given else make(value, **given)


def check(make: Any, module: type) -> None:
    """Raises UsageError if what should make a module is one, or can't be called."""
    if isinstance(make, module) or not callable(make):
        raise UsageError(
            "a function that makes the module was expected, for each member has parameters of its own; got a "
            f"{type(make).__name__}."
        )


Applied = Callable[[Any, Any, Any, Any, Any], tuple[Any, Any]]
"""Of the axis's name, parameters, auxiliary state, inputs (n, ...) and one key: outputs, and auxiliary state."""


def by_example(applied: Applied, inputs: Callable[[Any], Any]) -> Callable[..., tuple[Any, Any]]:
    """`apply` of a Model: to each example alone, with its own key, or without keys to the batch as a whole.

    With auxiliary state a batch is whole, and the key of one example does for all.
    """

    def apply(params: Any, aux: Any, batch: Any, keys: jax.Array | None, axis_name: str | None) -> tuple[Any, Any]:
        if keys is None or aux:
            return applied(axis_name, params, aux, inputs(batch), None if keys is None else keys[0])

        def one(example: Any, key: jax.Array) -> Any:
            alone = jax.tree.map(lambda leaf: leaf[None], example)
            return jax.tree.map(lambda leaf: leaf[0], applied(axis_name, params, aux, alone, key)[0])

        return jax.vmap(one)(inputs(batch), keys), aux

    return apply
