"""Programs that repeat one thing: the collectives of a step alone, and what shows the most that devices can do.

Need JAX and NumPy only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from bench.cost import Operation, Shape
from toynet.mesh import DATA, MEMBERS

# Of every buffer, its first axis: one entry for each device.
OWN = PartitionSpec((MEMBERS, DATA))
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all")
# What is zero stays zero, and has the dtype that it had.
DTYPES = ("float16", "bfloat16", "float32", "float64", "int32", "uint32")
# Large enough that a call's own time is nothing beside it, and that the array doesn't fit a core's caches.
PRODUCT_SIDE = {"cpu": 1024}
PRODUCT_SIDE_ELSEWHERE = 8192
STREAM_ENTRIES = {"cpu": 2**25}
STREAM_ENTRIES_ELSEWHERE = 2**28


@dataclass(frozen=True)
class Loop:
    """A compiled program that does one thing to buffers, so often as it is told.

    They are donated: what comes out goes in the next time.
    """

    compiled: Any
    first: Any
    """The buffers of the first run, which deletes them."""

    def run(self, buffers: Any, times: int) -> Any:
        """The buffers afterwards, perhaps not ready yet."""
        return self.compiled(buffers, np.int32(times))


def collectives(operations: Sequence[Operation], mesh: Mesh) -> Loop:
    """Those collectives and nothing else: shapes, dtypes and groups are those given, of zeros.

    Each of them works on what it gave the last time, so that none can be left out or moved out of the loop.
    Their kinds have to be of COLLECTIVES, and their groups the data axis.
    """

    def once(held: list[Any]) -> list[Any]:
        return [_reduced(one, buffers) for one, buffers in zip(operations, held, strict=True)]

    buffers = [[_zeros(mesh, shape) for shape in one.operands] for one in operations]
    return _loop(once, buffers, mesh)


def small(operations: Sequence[Operation]) -> list[Operation]:
    """The same collectives of arrays so small that what is left is their latency."""
    return [
        Operation(one.kind, one.group_size, tuple(_small(one, result) for result in one.results), one.dimension)
        for one in operations
    ]


def product(mesh: Mesh, dtype: str) -> tuple[Loop, float]:
    """A product of two square matrices on every device at once, and its floating-point operations on one."""
    side = PRODUCT_SIDE.get(jax.default_backend(), PRODUCT_SIDE_ELSEWHERE)
    direction = np.random.default_rng(0).standard_normal(side).astype(np.float32)
    direction /= np.linalg.norm(direction)
    # A reflection: however often it is multiplied by, numbers stay of the size that they have.
    mirror = (np.eye(side, dtype=np.float32) - 2 * np.outer(direction, direction))[None]
    buffers = [_everywhere(mesh, mirror, dtype), _everywhere(mesh, mirror, dtype)]
    return _loop(lambda held: [held[0] @ held[1], held[1]], buffers, mesh), 2.0 * side**3


def stream(mesh: Mesh) -> tuple[Loop, float]:
    """A large array read and written in place on every device at once, and the bytes of both on one.

    Of float32 whatever the step is of: bytes are bytes, and a CPU that lacks a dtype would convert it.
    As the kernel "scale" of STREAM (McCalpin 1995), whose factor is 1 here, unknown to the compiler.
    """
    entries = STREAM_ENTRIES.get(jax.default_backend(), STREAM_ENTRIES_ELSEWHERE)
    values = _everywhere(mesh, np.ones((1, entries), np.float32), "float32")
    factor = _everywhere(mesh, np.ones((1, 1), np.float32), "float32")
    moved = 2.0 * entries * values.dtype.itemsize
    return _loop(lambda held: [held[0] * held[1], held[1]], [values, factor], mesh), moved


def _small(one: Operation, result: Shape) -> Shape:
    """Of a sum two entries a device: a ring sends nothing for parts without any."""
    if one.kind == "all-reduce":
        return Shape(result.dtype, (2 * max(one.group_size, 1),))
    divided = one.group_size if one.kind in ("all-gather", "all-to-all") else 1
    return Shape(result.dtype, tuple(divided if axis == one.dimension else 1 for axis in range(len(result.dims))))


def _reduced(one: Operation, held: list[Any]) -> list[Any]:
    """One collective of what is held, shaped as that is."""
    axis, dimension = DATA, one.dimension or 0
    match one.kind:
        case "all-reduce":
            return list(lax.psum(tuple(held), axis))
        case "all-gather":
            gathered = [lax.all_gather(x, axis, axis=dimension, tiled=True) for x in held]
            return [
                lax.slice_in_dim(y, 0, x.shape[dimension], axis=dimension) for x, y in zip(held, gathered, strict=True)
            ]
        case "reduce-scatter":
            scattered = [lax.psum_scatter(x, axis, scatter_dimension=dimension, tiled=True) for x in held]
            return [lax.dynamic_update_slice(x, y, [0] * x.ndim) for x, y in zip(held, scattered, strict=True)]
        case "all-to-all":
            return [lax.all_to_all(x, axis, dimension, dimension, tiled=True) for x in held]
    raise AssertionError(one.kind)


def _loop(once: Callable[[Any], Any], buffers: Any, mesh: Mesh) -> Loop:
    """What does something to each device's own part of the buffers, again and again."""

    def loop(buffers: Any, times: jax.Array) -> Any:
        own = jax.tree.map(lambda buffer: buffer[0], buffers)
        done = lax.fori_loop(0, times, lambda _, held: once(held), own)
        return jax.tree.map(lambda buffer: buffer[None], done)

    # What is equal on all devices isn't followed: every buffer counts as a device's own.
    shard = jax.shard_map(loop, mesh=mesh, in_specs=(OWN, PartitionSpec()), out_specs=OWN, check_vma=False)
    return Loop(jax.jit(shard, donate_argnums=0).lower(buffers, np.int32(1)).compile(), buffers)


def _zeros(mesh: Mesh, shape: Shape) -> jax.Array:
    whole = (mesh.size, *shape.dims)
    return jax.jit(lambda: jnp.zeros(whole, shape.dtype), out_shardings=NamedSharding(mesh, OWN))()


def _everywhere(mesh: Mesh, value: np.ndarray, dtype: str) -> jax.Array:
    """The same on every device; value has shape (1, ...)."""
    sharding = NamedSharding(mesh, OWN)
    shape = (mesh.size, *value.shape[1:])
    return jax.make_array_from_callback(shape, sharding, lambda _: value.astype(jnp.dtype(dtype)))
