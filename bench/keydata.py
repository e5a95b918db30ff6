"""Typed random keys as arrays of numbers, which can be copied to the host, stacked, padded, compared and kept."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from toynet.workload import Workload


@functools.partial(jax.tree_util.register_dataclass, data_fields=["data"], meta_fields=["implementation"])
@dataclass(frozen=True)
class KeyData:
    """Keys of `jax.random.key` in a tree: in their place an array of theirs, uint32 (..., words)."""

    data: Any
    implementation: Hashable


def raw(workload: Workload) -> Workload:
    """The workload, the typed keys of its states, batches and metrics handed out as `KeyData`.

    Its own functions are given the typed keys again. Where there are none, nothing is changed.
    """
    changed: dict[str, Any] = {name: _on_raw(getattr(workload, name)) for name in ("init", "batch", "step")}
    if workload.gradients:
        changed["gradients"] = _on_raw(workload.gradients)
    # A side's own toynet may be older, and know of neither.
    if parts := getattr(workload, "parts", None):
        functions = {name: getattr(parts, name, None) for name in ("sums", "update", "keyed")}
        functions = {name: _on_raw(function) for name, function in functions.items() if function}
        changed["parts"] = dataclasses.replace(parts, **functions)
    if lanes := getattr(workload, "lanes", None):
        step, gradients = (of and _on_raw(of, words_axis=-2) for of in (lanes.step, lanes.gradients))
        changed["lanes"] = dataclasses.replace(lanes, step=step, gradients=gradients)
    return dataclasses.replace(workload, **changed)


def _on_raw(function: Callable[..., Any], words_axis: int = -1) -> Callable[..., Any]:
    """A function of trees with typed keys as one of trees with `KeyData`, whose words are along that axis."""

    def typed(leaf: Any) -> Any:
        if not isinstance(leaf, KeyData):
            return leaf
        return jax.random.wrap_key_data(jnp.moveaxis(leaf.data, words_axis, -1), impl=leaf.implementation)

    def raw(leaf: Any) -> Any:
        if not (isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)):
            return leaf
        return KeyData(jnp.moveaxis(jax.random.key_data(leaf), -1, words_axis), jax.random.key_impl(leaf))

    @functools.wraps(function)
    def on_raw(*args: Any, **kwargs: Any) -> Any:
        given = jax.tree.map(typed, args, is_leaf=lambda leaf: isinstance(leaf, KeyData))
        return jax.tree.map(raw, function(*given, **kwargs))

    return on_raw
