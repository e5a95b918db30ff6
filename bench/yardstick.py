"""The reference workload: a small program that no commit changes, timed in every run, in the rounds of its cases.

A later run in which a case is slower and this is, too, ran on a slower machine; one in which the case alone is
slower has a slower commit. So never change this module, whatever would make it better: times of another program
can't be held against those in records. What has to change gets a kind of block of its own (`reference-2`, named
beside this one in `bench.measured`), so that no record mixes them up. Needs JAX and NumPy only.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from bench.measured import Block
from bench.timing import Clock
from toynet.errors import UsageError

ROWS, SIDE, LAYERS = 64, 128, 6
# What it computes, as NumPy does in float64; and by how much of it another device may differ.
VALUE = 139.124876
TOLERANCE = 1e-4


class Yardstick:
    """The reference workload on the first device of this process."""

    def __init__(self) -> None:
        """Raises UsageError if it computes something else here than anywhere."""
        device = jax.local_devices()[0]
        self._program = jax.jit(program)
        self._inputs = [jax.device_put(array, device) for array in inputs()]
        value = float(self._program(*self._inputs))
        if not abs(value - VALUE) <= TOLERANCE * VALUE:
            raise UsageError(
                f"the reference workload gives {value:g} on {device}, where {VALUE:g} is right; "
                f"this machine or its jaxlib computes wrongly, so mend that first."
            )

    def block(self, steps: int, clock: Clock) -> Block:
        """The program called so many times, each call waited for."""
        start = clock()
        for _ in range(steps):
            jax.block_until_ready(self._program(*self._inputs))
        return Block(steps, clock() - start)


def inputs() -> tuple[np.ndarray, np.ndarray]:
    """Values of shape (ROWS, SIDE), and a matrix of shape (SIDE, SIDE) that changes no row's length; float32."""
    values = np.sin(np.arange(ROWS * SIDE, dtype=np.float64)).reshape(ROWS, SIDE)
    row, column = np.indices((SIDE, SIDE), dtype=np.float64)
    cosines = np.cos(np.pi / SIDE * (row + 0.5) * column) * np.sqrt(np.where(column == 0, 1, 2) / SIDE)
    return values.astype(np.float32), cosines.astype(np.float32)


def program(values: jax.Array, matrix: jax.Array) -> jax.Array:
    """Layers of a product and a tanh, one after another, and the sum of squares of what comes out; float32.

    The precision is said here, so that no setting of the user's changes it.
    """

    def layer(held: jax.Array, _: None) -> tuple[jax.Array, None]:
        return jnp.tanh(jnp.dot(held, matrix, precision=lax.Precision.HIGHEST)), None

    last, _ = lax.scan(layer, values, None, length=LAYERS)
    return jnp.sum(last * last)
