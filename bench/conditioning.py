"""How far a step's result moves when its state moves by no more than roundings: what can't be told from a right one.

Some gradients are zero but for roundings, as that of a bias before BatchNorm or of the keys' bias in attention; adam
makes a whole step of each all the same, in whatever direction the roundings point.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

# Of numbers of these dtypes, and of what products of float32 are rounded to, relative.
UNIT = {"float64": 2.0**-52, "float32": 2.0**-23, "tensorfloat32": 2.0**-11, "float16": 2.0**-10, "bfloat16": 2.0**-8}
DRAWS = 2
# Sums in another order are off by a few times what a unit in each number of the state makes; what is wrong moves
# leaves that roundings hardly move, by hundreds of times as much.
TIMES = 16.0


def moved(step: Callable[[Any], Any], state: Any, products: str) -> list[float]:
    """Of each leaf of the state after a step, on the host, how far roundings can move its entries.

    That is TIMES as far as they move at most when every number of `state` moves by a unit of `products`, or less.
    """
    expected = [_floating(leaf) for leaf in jax.tree.leaves(step(state))]
    farthest, unit = np.zeros(len(expected)), UNIT.get(products, UNIT["bfloat16"])  # what is coarser counts as that
    for seed in range(DRAWS):
        random = np.random.default_rng(seed)
        nudged = jax.tree.map(lambda leaf, random=random: _nudged(leaf, unit, random), state)
        after = jax.tree.leaves(step(nudged))
        differences = [
            np.max(np.abs(_floating(mine) - theirs), initial=0.0) for mine, theirs in zip(after, expected, strict=True)
        ]
        farthest = np.maximum(farthest, differences)
    return (TIMES * farthest).tolist()


def _nudged(leaf: np.ndarray, unit: float, random: np.random.Generator) -> np.ndarray:
    if not jax.numpy.issubdtype(leaf.dtype, np.floating):
        return leaf
    return (leaf * (1 + unit * random.uniform(-1, 1, leaf.shape))).astype(leaf.dtype)


def _floating(leaf: np.ndarray) -> np.ndarray:
    return leaf.astype(np.result_type(leaf.dtype, np.float32), copy=False)
