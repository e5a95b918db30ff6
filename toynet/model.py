"""The tutorial's Flax classifier."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn


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

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        dense = functools.partial(nn.Dense, dtype=self.compute_dtype or self.dtype, param_dtype=self.dtype)
        for _ in range(self.hidden_layers):
            x = nn.relu(dense(self.hidden_dim)(x))
        return nn.log_softmax(dense(self.n_classes)(x).astype(self.dtype))
