"""The least that a step of your own takes: a Flax linen module, a loss, an optimizer and examples.

    python -m bench run --workload examples/tutorial_net.py --modes single,data_parallel --devices 1,2

The net is that of the tutorial "A Simple Neural Net in Jax", and so are its points.
"""

import jax
import numpy as np
import optax
from flax import linen as nn

from bench.adapters import linen
from toynet.config import Config
from toynet.data import train_and_test


class Classifier(nn.Module):
    """One hidden layer: (n, 2) to logits (n, 2)."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.relu(nn.Dense(10)(x))
        return nn.Dense(2)(x)


def loss(logits: jax.Array, batch: dict[str, jax.Array]) -> jax.Array:
    """The cross-entropy of each example: (n,)."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"])


points = train_and_test(Config())[0]

workload = linen.workload(
    Classifier(),
    loss,
    optax.adam(0.01),
    {"inputs": points.inputs.astype(np.float32), "labels": points.labels},
    name="tutorial-net",
    batch_size=32,
)
