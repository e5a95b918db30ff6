"""Members in blocks: what is computed for those in the last axis, for those in the first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from toynet.workload import Batch, State


def in_blocks(function: Callable[[State, Batch], Any], block: int) -> Callable[[State, Batch], Any]:
    """A function of a state whose leaves are (..., block), as one of a state whose leaves are (members, ...).

    Blocks are computed one after another; the last is filled up with its last member. What comes out leads with the
    members, too.
    """

    def of_members(state: State, batch: Batch) -> Any:
        members = jax.tree.leaves(state)[0].shape[0]
        blocks = -(-members // block)

        def split(leaf: jax.Array) -> jax.Array:
            padding = [(0, blocks * block - members)] + [(0, 0)] * (leaf.ndim - 1)
            padded = jnp.pad(leaf, padding, mode="edge")
            return jnp.moveaxis(padded.reshape(blocks, block, *leaf.shape[1:]), 1, -1)

        def joined(leaf: jax.Array) -> jax.Array:
            led = jnp.moveaxis(leaf, -1, 1)
            return led.reshape(blocks * block, *led.shape[2:])[:members]

        results = lax.map(lambda part: function(part, batch), jax.tree.map(split, state))
        return jax.tree.map(joined, results)

    return of_members
