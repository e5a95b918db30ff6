"""How what a function gives differs from what is expected, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench import rounding
from bench.flops import product_dtype
from bench.tolerance import GRADIENT

# Differences that are named: the first few tell what is wrong, all leaves of a network tell no more.
NAMED = 3
# Of a dtype that has no tolerance of its own, as many roundings as bfloat16 may be off by.
ROUNDINGS = 8

# By how much of a leaf's largest entry results may be off where products are of a dtype coarser than float32.
COARSE = {dtype: GRADIENT[dtype] for dtype in ("bfloat16", "float16")}


def coarse(*jaxprs: Any) -> float | None:
    """How far off results may be for what products are rounded to, which doesn't show in the results' own dtypes.

    None: not farther than these tell. A jaxpr that isn't known is None.
    """
    products = [product_dtype(jaxpr) for jaxpr in jaxprs if jaxpr is not None]
    return max((COARSE[dtype] for dtype in products if dtype in COARSE), default=None)


def unequal(found: Any, expected: Any, tolerance: float | None = None) -> str:
    """How a tree differs from the expected one, the shortest difference first; empty if it doesn't.

    Numbers may be off by `tolerance` of their leaf's largest expected entry (None: by what the leaf's dtype rounds to);
    integers, booleans and keys not at all. Entries that are no finite numbers must be the same ones.
    """
    mine, theirs = _leaves(found), _leaves(expected)
    if mine.keys() != theirs.keys():
        missing = [f"{path} is missing" for path in theirs if path not in mine]
        return _named([*missing, *(f"{path} isn't expected" for path in mine if path not in theirs)])
    if jax.tree.structure(found) != jax.tree.structure(expected):
        return f"output is a {jax.tree.structure(found)}, and a {jax.tree.structure(expected)} was expected"
    differences = (_difference(path, leaf, theirs[path], tolerance) for path, leaf in mine.items())
    return _named([difference for difference in differences if difference])


def _leaves(tree: Any) -> dict[str, Any]:
    """Leaves by what a reader calls them."""
    return {"output" + jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _named(differences: Sequence[str]) -> str:
    shortest = sorted(differences, key=len)
    more = [f"and {len(shortest) - NAMED} more"] if len(shortest) > NAMED else []
    return "; ".join([*shortest[:NAMED], *more])


def _difference(path: str, found: Any, expected: Any, tolerance: float | None) -> str:
    mine, theirs = _on_host(found), _on_host(expected)
    # An expectation written down on the host needn't be in JAX's dtypes.
    if mine.shape != theirs.shape or (isinstance(expected, jax.Array) and mine.dtype != theirs.dtype):
        return f"{path} is {mine.dtype}{list(mine.shape)}, and {theirs.dtype}{list(theirs.shape)} was expected"
    off, allowed = _off(mine, theirs), _allowed(mine.dtype, tolerance)
    if not np.any(off > allowed):
        return ""
    at = np.unravel_index(np.argmax(off), off.shape)
    where = f"{path}[{', '.join(map(str, at))}]" if at else path
    said = f"{where} is {mine[at]}, and {theirs[at]} was expected"
    if not np.isfinite(off[at]):
        return said
    return f"{said}: off by {off[at]:.1e} of the largest entry, where {allowed:.0e} is allowed"


def _on_host(leaf: Any) -> np.ndarray:
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)


def _off(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """How far each entry is off, relative to the largest that is expected; infinity where that can't be said."""
    if not jnp.issubdtype(mine.dtype, jnp.inexact):
        return np.where(mine == theirs, 0.0, np.inf)
    precise = np.complex128 if jnp.issubdtype(mine.dtype, jnp.complexfloating) else np.float64
    mine, theirs = mine.astype(precise), theirs.astype(precise)
    same = (mine == theirs) | (np.isnan(mine) & np.isnan(theirs))
    largest = np.max(np.abs(theirs), initial=0.0, where=np.isfinite(theirs)) or 1.0
    with np.errstate(invalid="ignore"):  # infinity less infinity
        off = np.abs(mine - theirs) / largest
    return np.where(same, 0.0, np.where(np.isfinite(off), off, np.inf))


def _allowed(dtype: Any, tolerance: float | None) -> float:
    """How far off entries of a dtype may be, relative to the largest."""
    if not jnp.issubdtype(dtype, jnp.inexact):
        return 0.0
    if tolerance is not None:
        return tolerance
    real = jnp.finfo(dtype).dtype.name
    rounded = rounding.of(real, jax.default_backend(), rounding.precision_setting())
    return GRADIENT.get(rounded) or ROUNDINGS * float(jnp.finfo(dtype).eps)
