"""A convolutional net on scikit-learn's digits, with a metric beside its loss.

    python -m bench run --workload examples/digits_cnn.py --modes single,data_parallel --devices 1,2

What `loss` gives is of each example: so a batch may be one that doesn't divide over the devices, for it can be padded.
"""

from typing import Any

import jax
import numpy as np
import optax
from flax import linen as nn
from sklearn.datasets import load_digits

from bench.adapters import linen


class CNN(nn.Module):
    """Two convolutions: (n, 8, 8) to logits (n, 10)."""

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = images[..., None]
        x = nn.relu(nn.Conv(8, (3, 3))(x))
        x = nn.avg_pool(x, (2, 2), strides=(2, 2))
        x = nn.relu(nn.Conv(16, (3, 3))(x))
        return nn.Dense(10)(x.reshape(len(x), -1))


def loss(logits: jax.Array, batch: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The cross-entropy of each example, and whether its label is the likeliest: (n,) both."""
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
    return losses, {"accuracy": logits.argmax(axis=-1) == batch["label"]}


digits: Any = load_digits()

workload = linen.workload(
    CNN(),
    loss,
    optax.adam(1e-3),
    {"image": (digits.images / 16).astype(np.float32), "label": digits.target},
    inputs=lambda batch: batch["image"],
    name="digits-cnn",
    batch_size=64,
)
