"""What a test asks of a function besides its time: one compilation, the expected results; and facts to keep."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp

from bench.calls import Calls
from bench.equality import coarse, unequal
from bench.handed import has_nan
from bench.signature import changed

FIX = "A state must come back with the shapes, dtypes, weak types and placement that it was handed over with."


def recompiled(calls: Calls, args: Sequence[Any], carry: bool | None) -> str:
    """Why calls after the first are compiled anew, or would be in a loop; a sentence without its subject, or nothing.

    `carry` is what was said of the first argument: where it isn't a state, what comes out may be anything.
    """
    if calls.found:
        return f"is compiled more than once. {' '.join(calls.found)} {FIX}"
    if carry is None and (unlike := _unlike_state(calls, args)):
        return f"gives its state back otherwise than it came, so that a loop of it compiles again: {unlike}. {FIX}"
    return ""


def wrong(calls: Calls, equals: Any, tolerance: float | None) -> str:
    """How what the first call gave isn't what is expected; a sentence without its subject, or nothing.

    `calls` has kept it. `equals` is a function of the same arguments, which may run on the host, or a tree. `tolerance`
    as in `unequal`; None allows for products of a coarse dtype, too.
    """
    expected = equals(*calls.copies()) if callable(equals) else equals
    unlike = unequal(calls.first, expected, coarse(calls.jaxpr) if tolerance is None else tolerance)
    return f"doesn't give what is expected: {unlike}." if unlike else ""


def nan(calls: Calls, args: Sequence[Any]) -> str:
    """That the first call, which `calls` has kept, gave NaN of numbers; a sentence without its subject, or nothing."""
    return "gives NaN, of arguments without one." if has_nan(calls.first) and not has_nan(args) else ""


def _unlike_state(calls: Calls, args: Sequence[Any]) -> str:
    """How the first of several outputs differs from the first argument, where it has its tree and is no lone array."""
    first = calls.first
    if calls.carried or not isinstance(first, tuple | list) or len(first) < 2 or not args:
        return ""
    structure = jax.tree.structure(args[0])
    if structure == jax.tree.structure(0) or structure != jax.tree.structure(first[0]):
        return ""
    return changed(_kinds(args[0]), _kinds(first[0]))


def _kinds(tree: Any) -> dict[str, str]:
    """Dtype and shape of the leaves of a first argument, by their place."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {f"args[0]{jax.tree_util.keystr(path)}": _kind(leaf) for path, leaf in leaves}


def _kind(leaf: Any) -> str:
    seen = jax.typeof(leaf)
    return f"{seen.dtype}{list(seen.shape)}"


def facts(calls: Calls, args: Sequence[Any], samples: int | None = None) -> dict[str, Any]:
    """What a reader of a time wants beside it: seconds of the stages, exact counts a device, where and by what it ran.

    `dtype` is that of most floating-point numbers of the arguments; empty without any. `samples` is of one call.
    """
    stages = dataclasses.asdict(calls.start)
    stages["first_step_s"] = stages.pop("first_call_s")
    cost = calls.cost
    return {
        **stages,
        "flops": cost.flops,
        "accessed_bytes": cost.accessed_bytes,
        "peak_bytes": cost.peak_bytes,
        "devices": calls.devices,
        "backend": jax.default_backend(),
        "jax": version("jax"),
        "jaxlib": version("jaxlib"),
        "dtype": _dtype(args),
        **({} if samples is None else {"samples": samples}),
    }


def _dtype(args: Sequence[Any]) -> str:
    sizes: dict[str, int] = {}
    for leaf in jax.tree.leaves(tuple(args)):
        if hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating):
            name = jax.typeof(leaf).dtype.name
            sizes[name] = sizes.get(name, 0) + leaf.size
    return max(sizes, key=lambda name: sizes[name], default="")
