"""A Flax nnx module with dropout, on scikit-learn's digits.

    python -m bench run --workload examples/nnx_mlp.py --modes single,data_parallel --devices 1,2

It is made by a function of `rngs`, once for each member of an ensemble, and is put into its training mode. The random
streams that it keeps begin anew for each example, from a key of that example's own: so dropout is the same on any
number of devices.
"""

from typing import Any

import jax
import numpy as np
import optax
from flax import nnx
from sklearn.datasets import load_digits

from bench.adapters import nnx as adapter


class MLP(nnx.Module):
    """One hidden layer with dropout: (n, 64) to logits (n, 10)."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.hidden = nnx.Linear(64, 32, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.out = nnx.Linear(32, 10, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.out(self.dropout(nnx.relu(self.hidden(x))))


def loss(logits: jax.Array, batch: Any) -> jax.Array:
    """The cross-entropy of each example: (n,)."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"])


digits: Any = load_digits()

workload = adapter.workload(
    MLP,
    loss,
    optax.adam(1e-3),
    {"inputs": (digits.data / 16).astype(np.float32), "labels": digits.target},
    name="nnx_mlp",
    batch_size=64,
)
