"""The tutorial's Flax classifier."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn


def broadcast_dot(lhs: jax.Array, rhs: jax.Array, *_: Any, **__: Any) -> jax.Array:
    """A layer's product (..., in) x (in, out) without a matrix product: for tiny ones, which its call outweighs."""
    return jnp.sum(lhs[..., None] * jnp.expand_dims(rhs, range(lhs.ndim - 1)), axis=-2)


class MLPClassifier(nn.Module):
    """Hidden layers of one width with relu, then log-probabilities: (..., features) to (..., n_classes).

    Parameters and what comes out have one dtype, the layers' products another, or the same.
    """

    hidden_layers: int
    hidden_dim: int
    n_classes: int
    dtype: Any = jnp.float32
    compute_dtype: Any = None
    """None: as dtype."""
    dot_general: Callable[..., jax.Array] | None = None
    """How a layer multiplies; None: by `lax.dot_general`."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        dense = functools.partial(
            nn.Dense,
            dtype=self.compute_dtype or self.dtype,
            param_dtype=self.dtype,
            dot_general=self.dot_general,
        )
        for _ in range(self.hidden_layers):
            x = nn.relu(dense(self.hidden_dim)(x))
        return nn.log_softmax(dense(self.n_classes)(x).astype(self.dtype))
