"""The leaves of two trees against each other, by the paths that a user knows them by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

# Of what is alike the first few tell what is wrong; all leaves of a network tell no more.
NAMED = 3
SHOWN_AT_MOST = 60

What = Literal["tree", "shape", "dtype", "weak type"]
# What to do about a state that comes out of a step otherwise than it went in.
FIXES: dict[What, str] = {
    "tree": "let a step give back a state of the tree that it is given, and keep what changes in arrays, not in static "
    "fields or as a number of Python",
    "shape": "let a step give back every leaf in the shape that it is given, or start in init from the shape that it "
    "comes to; what grows needs the size that it may have at most from the start",
    "dtype": "start from that dtype in init, or convert to the leaf's own with `.astype` in the step",
    "weak type": "say the dtype in init, as `jnp.zeros((), jnp.int32)` does in place of 0",
}


@dataclass(frozen=True)
class Change:
    """What one leaf has otherwise, so that JAX takes it for another and traces anew."""

    path: str
    what: What
    was: str
    now: str


def by_path(tree: Any, root: str) -> dict[str, Any]:
    """The leaves by their paths: `state['w']`, `state.params['w']`."""
    return {root + jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def changes(before: Any, after: Any, root: str) -> list[Change]:
    """What differs between two trees of shapes, leaf by leaf; where leaves are others, or their tree is, only that."""
    was, now = by_path(before, root), by_path(after, root)
    if was.keys() != now.keys():
        lost = [Change(path, "tree", described(was[path]), "gone") for path in was if path not in now]
        return lost + [Change(path, "tree", "not there", described(now[path])) for path in now if path not in was]
    if jax.tree.structure(before) != jax.tree.structure(after):
        return [_static_change(jax.tree.structure(before), jax.tree.structure(after), root)]
    return [
        Change(path, what, described(was[path]), described(now[path]))
        for path in was
        if (what := _what(was[path], now[path]))
    ]


def _what(was: Any, now: Any) -> What | None:
    if was.shape != now.shape:
        return "shape"
    if was.dtype != now.dtype:
        return "dtype"
    return "weak type" if was.weak_type != now.weak_type else None


def _static_change(was: Any, now: Any, root: str) -> Change:
    """The innermost node in which two structures of the same leaves differ."""
    for mine, theirs in zip(was.children(), now.children(), strict=False):
        if mine != theirs:
            return _static_change(mine, theirs, root)
    before, after = _apart(_aux(was), _aux(now))
    return Change(root, "tree", before, after)


def _aux(structure: Any) -> str:
    """What a node has besides its children, as far as JAX says it."""
    data = structure.node_data()
    return str(structure if data is None else data[1])


def _apart(was: str, now: str) -> tuple[str, str]:
    """Two long texts from a little before where they differ."""
    same = next((i for i, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), 0)
    here = slice(start := max(0, same - SHOWN_AT_MOST // 2), start + SHOWN_AT_MOST)
    return was[here], now[here]


def described(leaf: Any) -> str:
    """What JAX compiles a program for: `float32[3]`, `weakly typed int32[]`."""
    return f"{'weakly typed ' * getattr(leaf, 'weak_type', False)}{leaf.dtype}{list(leaf.shape)}"


def size_bytes(leaf: Any) -> int:
    """Of an array, or of what is known of one."""
    return leaf.size * leaf.dtype.itemsize


def in_words(size: int) -> str:
    """A number of bytes."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size:,} bytes"


def listed(names: Iterable[str]) -> str:
    """The first of them, and how many there are more."""
    shown = list(names)
    more = [f"{len(shown) - NAMED} more"] if len(shown) > NAMED else []
    *others, last = [*shown[:NAMED], *more]
    return f"{', '.join(others)} and {last}" if others else last


def shapes(tree: Any) -> Any:
    """A tree of arrays, of NumPy's too, as JAX will take them: as shapes."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), as_jax_has_them(tree))


def as_jax_has_them(tree: Any) -> Any:
    """The same leaves as arrays with dtypes that JAX has here, none of them weakly typed."""

    def converted(leaf: Any) -> Any:
        if isinstance(leaf, jax.Array):
            return leaf
        return np.asarray(leaf, jax.dtypes.canonicalize_dtype(np.asarray(leaf).dtype))

    return jax.tree.map(converted, tree)


def on_host(tree: Any) -> Any:
    """A copy in NumPy; of random keys, their numbers."""
    return jax.tree.map(lambda leaf: np.array(jax.random.key_data(leaf) if is_key(leaf) else leaf), tree)


def is_key(leaf: Any) -> bool:
    """Whether a leaf is of typed random keys."""
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def unlike(found: Any, again: Any, roots: Sequence[str]) -> tuple[str, ...]:
    """The leaves of two trees of NumPy arrays, with so many roots, that haven't the same bits."""
    return tuple(
        path
        for root, mine, theirs in zip(roots, found, again, strict=True)
        for (path, leaf), other in zip(by_path(mine, root).items(), jax.tree.leaves(theirs), strict=True)
        if leaf.tobytes() != other.tobytes()
    )
