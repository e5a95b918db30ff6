"""The tutorial's Flax classifier."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn


class MLPClassifier(nn.Module):
    """Hidden layers of one width with relu, then log-probabilities: (..., features) to (..., n_classes)."""

    hidden_layers: int
    hidden_dim: int
    n_classes: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(self.hidden_layers):
            x = nn.Dense(self.hidden_dim, dtype=self.dtype, param_dtype=self.dtype)(x)
            x = nn.relu(x)
        x = nn.Dense(self.n_classes, dtype=self.dtype, param_dtype=self.dtype)(x)
        return nn.log_softmax(x)
