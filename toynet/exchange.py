"""What devices exchange along the data axis, within shard_map, and what stands in for it where they don't."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree

from toynet.mesh import DATA

# Numbers that are laid into one array before they are reduced. A collective of one small array takes a
# fraction of one of several; for large ones the copies cost what that saves.
ONE_ARRAY_AT_MOST = 2**16


def added(tree: Any, axis_name: str) -> Any:
    """The sum over the devices of an axis."""
    leaves = jax.tree.leaves(tree)
    if len({leaf.dtype for leaf in leaves}) != 1 or sum(leaf.size for leaf in leaves) > ONE_ARRAY_AT_MOST:
        return lax.psum(tree, axis_name)
    vector, unravel = ravel_pytree(tree)
    return unravel(lax.psum(vector, axis_name))


def own(leaf: jax.Array, axis: int, devices: int) -> jax.Array:
    """This device's part, along an axis, of a leaf that each of them has the whole of."""
    size = leaf.shape[axis] // devices
    return lax.dynamic_slice_in_dim(leaf, lax.axis_index(DATA) * size, size, axis)


class Exchange(Protocol):
    """What a step on a divided state needs of the other devices."""

    def varying(self, tree: Any) -> Any:
        """Leaves that are equal everywhere, as the device's own: else their gradients are summed unasked."""
        ...

    def gathered(self, part: jax.Array, axis: int, to: Literal["varying", "invarying"]) -> jax.Array:
        """The leaf whose parts the devices hold; `invarying` where shard_map must know that it's equal everywhere."""
        ...

    def scattered(self, leaf: jax.Array, axis: int) -> jax.Array:
        """This device's part of the sum over devices."""
        ...

    def added(self, tree: Any) -> Any:
        """The sum over devices."""
        ...


class Collectives:
    """The exchange itself."""

    def varying(self, tree: Any) -> Any:
        return lax.pcast(tree, DATA, to="varying")

    def gathered(self, part: jax.Array, axis: int, to: Literal["varying", "invarying"]) -> jax.Array:
        return lax.all_gather(part, DATA, axis=axis, tiled=True, to=to)

    def scattered(self, leaf: jax.Array, axis: int) -> jax.Array:
        return lax.psum_scatter(leaf, DATA, scatter_dimension=axis, tiled=True)

    def added(self, tree: Any) -> Any:
        return added(tree, DATA)


class StandIns:
    """Arrays of the same shapes, from what the device has itself.

    The barriers keep what a collective would have read from being computed in part only, or not at all.
    """

    def __init__(self, devices: int) -> None:
        self._devices = devices

    def varying(self, tree: Any) -> Any:
        return tree

    def gathered(self, part: jax.Array, axis: int, to: Literal["varying", "invarying"]) -> jax.Array:
        return jnp.concatenate([lax.optimization_barrier(part)] * self._devices, axis)

    def scattered(self, leaf: jax.Array, axis: int) -> jax.Array:
        return own(lax.optimization_barrier(leaf), axis, self._devices)

    def added(self, tree: Any) -> Any:
        return lax.optimization_barrier(tree)
