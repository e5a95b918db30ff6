"""Random keys of examples, the same on any number of devices."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax


def example_keys(key: jax.Array, n: int, axis_name: str | None = None) -> jax.Array:
    """A key for each of this device's n examples, by their index in the global batch; shape (n, ...) for a key (...).

    Within shard_map, with the name of the axis that the batch is divided over, device i has the examples from i * n
    on. Dropout drawn from these keys doesn't depend on how many devices there are. It would if every device drew from
    one key for its part of the batch: a key that all of them share gives every part the same mask, without an error,
    and `fold_in(key, axis_index)` gives other masks on other numbers of devices.
    """
    first = lax.axis_index(axis_name) * n if axis_name else 0
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, first + jnp.arange(n))
