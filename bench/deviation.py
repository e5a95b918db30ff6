"""How far the results of a case are from those that are expected of it, leaf by leaf."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from bench.measured import Check
from bench.reference import named
from bench.tolerance import ASKED


@dataclass(frozen=True)
class Comparison:
    """Compares the checked members, leaf by leaf, relative to each leaf's largest entry."""

    ensemble: bool
    members: tuple[int, ...]
    tolerance: float
    asked: bool = False
    """Whether the tolerance is the user's own."""

    def each(self, tree: Any) -> list[Any]:
        """The checked members one by one, of a tree whose leaves lead with them if it is an ensemble's."""
        if not self.ensemble:
            return [tree]
        return [jax.tree.map(lambda leaf, k=k: leaf[k], tree) for k in range(len(self.members))]

    def check(
        self,
        name: str,
        found: Any,
        expected: Sequence[Any],
        floor: float = 0.0,
        movable: Callable[[int], Sequence[float]] | None = None,
    ) -> Check:
        """Each checked member of `found` against what is expected of it; `floor` as in `deviation`.

        `movable` says of the k-th of them how far roundings may move each leaf, and is asked if that matters.
        """
        deviations, beyond = [], ""
        for k, (mine, theirs) in enumerate(zip(self.each(found), expected, strict=True)):
            if unlike := _unlike(mine, theirs):
                return Check(name, False, unlike, "the same tree, shapes and dtypes")
            off = deviation(mine, theirs, floor)
            if off > self.tolerance and movable:
                off, beyond = deviation(mine, theirs, floor, movable(k)), " beyond what roundings may do"
            deviations.append(off)
        worst = float(np.max(deviations))
        if not np.isfinite(worst):
            return Check(name, False, "not finite", "finite numbers")
        allowed = f"{self.tolerance:g}{f' {ASKED}' * self.asked}"
        return Check(name, worst <= self.tolerance, f"off by {worst:.1e}{beyond}", f"{allowed} of a leaf's largest")


def deviation(found: Any, expected: Any, floor: float = 0.0, movable: Sequence[float] | None = None) -> float:
    """The largest difference of any leaf, relative to its largest expected entry; NaN if one isn't a number.

    A leaf's entries count as no smaller than `floor` times the largest entry of all leaves. Infinite ones that are
    expected count as 0, and differences that are no larger than what is `movable` of their leaf.
    """
    pairs = [_comparable(*pair) for pair in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)]
    sizes = [_largest(theirs) for _, theirs in pairs]
    least = floor * max(sizes, default=0.0)
    differences = [_largest(mine - theirs) for mine, theirs in pairs]
    if movable is not None:
        differences = [0.0 if size <= far else size for size, far in zip(differences, movable, strict=True)]
    relative = [difference / (max(size, least) or 1.0) for difference, size in zip(differences, sizes, strict=True)]
    return float(np.max(relative, initial=0.0))


def _comparable(*leaves: np.ndarray) -> list[np.ndarray]:
    """Two leaves of any dtype in floating point: booleans can't be subtracted, and unsigned integers wrap around."""
    mine, theirs = (leaf.astype(np.result_type(leaf.dtype, np.float32), copy=False) for leaf in leaves)
    agree = np.isinf(theirs) & (mine == theirs)
    return [np.where(agree, 0, leaf) for leaf in (mine, theirs)] if agree.any() else [mine, theirs]


def _largest(leaf: np.ndarray) -> float:
    return float(np.max(np.abs(leaf), initial=0))


def _unlike(found: Any, expected: Any) -> str:
    if list(named(found)) != list(named(expected)):
        return f"{jax.tree.structure(found)} instead of {jax.tree.structure(expected)}"
    for mine, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        if (mine.shape, mine.dtype) != (theirs.shape, theirs.dtype):
            return f"{mine.dtype}{list(mine.shape)} instead of {theirs.dtype}{list(theirs.shape)}"
    return ""
