"""What jit tells calls apart by: shapes, dtypes, weak types and placement of arguments, and values that are static."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

# Of the differences between two calls; the first tell enough.
NAMED = 3


def signature(args: Sequence[Any]) -> dict[str, str]:
    """In words, by each leaf's place in the arguments, such as `args[0]['w']`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tuple(args))
    return {f"args{jax.tree_util.keystr(path)}": _said(leaf) for path, leaf in leaves}


def _said(leaf: Any) -> str:
    if isinstance(leaf, jax.Array):
        kind = jax.typeof(leaf)
        weak = " of weak type" if getattr(kind, "weak_type", False) else ""
        return f"{leaf.dtype}{list(leaf.shape)}{weak}{_placed(leaf)}"
    if isinstance(leaf, np.ndarray | np.generic):
        return f"{leaf.dtype}{list(leaf.shape)} on the host"
    if isinstance(leaf, bool | int | float | complex):
        return f"a Python {type(leaf).__name__}"
    return repr(leaf)


def _placed(leaf: jax.Array) -> str:
    if not leaf.committed:
        return ""
    sharding = leaf.sharding
    if isinstance(sharding, jax.sharding.NamedSharding):
        return f" as {sharding.spec} over {dict(sharding.mesh.shape)}"
    devices = ", ".join(str(device) for device in sorted(sharding.device_set, key=lambda device: device.id))
    return f" on {devices}"


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """How the second differs from the first, in words; empty if it doesn't."""
    if before.keys() != after.keys():
        new, gone = ([*keys][:NAMED] for keys in (after.keys() - before.keys(), before.keys() - after.keys()))
        return "; ".join(f"{what} {', '.join(names)}" for what, names in (("new:", new), ("gone:", gone)) if names)
    unlike = [f"{name} was {before[name]} and is {now}" for name, now in after.items() if now != before[name]]
    more = f" and {len(unlike) - NAMED} more" if len(unlike) > NAMED else ""
    return "; ".join(unlike[:NAMED]) + more
