"""Trees that are handed to a function and come back from it: copied, told apart, held against each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from toynet.errors import UsageError


def like(found: Any, expected: tuple[Any, ...]) -> bool:
    """Whether it has the tree, shapes and dtypes of the one that is expected, and is of one array at least."""
    if not expected or jax.tree.structure(found) != jax.tree.structure(expected[0]):
        return False
    pairs = list(zip(jax.tree.leaves(found), jax.tree.leaves(expected[0]), strict=True))
    return bool(pairs) and all(_kind(one) == _kind(other) for one, other in pairs)


def _kind(leaf: Any) -> tuple[Any, ...]:
    """Shape and dtype, as jit sees them."""
    try:
        seen = jax.typeof(leaf)
    except TypeError:
        return (type(leaf),)
    return seen.shape, seen.dtype


def copied(leaf: Any) -> Any:
    """A copy that a call may use up; an array of NumPy is put on the device, what is no array stays."""
    if isinstance(leaf, jax.Array):
        return leaf.copy()
    return jnp.array(leaf) if isinstance(leaf, np.ndarray) else leaf


def is_finite(tree: Any) -> bool:
    """Whether all numbers of its arrays are finite."""
    found = [leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, jax.Array | np.ndarray)]
    return all(bool(jnp.isfinite(leaf).all()) for leaf in found if jnp.issubdtype(leaf.dtype, jnp.inexact))


def has_nan(tree: Any) -> bool:
    """Whether a number in it is NaN."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, jax.Array | np.ndarray | float)]
    return any(bool(jnp.isnan(leaf).any()) for leaf in leaves if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact))


def check_options(others: Mapping[str, Any]) -> None:
    """Raises UsageError for keywords that are no options, such as arguments of the function that is to be called."""
    for keyword in others:
        raise UsageError(
            f"no option is called {keyword!r}, and a function is called with positional arguments alone: bind what is "
            f"its own, as in functools.partial(function, {keyword}=...)."
        )


def size(tree: Any) -> int:
    """Bytes of its arrays."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree) if hasattr(leaf, "nbytes"))


def is_deleted(tree: Any) -> bool:
    """Whether a call has used up an array of it."""
    return any(leaf.is_deleted() for leaf in arrays(tree))


def arrays(tree: Any) -> list[jax.Array]:
    """Those of JAX among its leaves."""
    return [leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, jax.Array)]
