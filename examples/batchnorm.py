"""A net that carries state of its own: the running statistics of BatchNorm, the same on all devices.

    python -m bench run --workload examples/batchnorm.py --modes single,data_parallel --devices 1,2

Its statistics are those of the whole batch, so it must know the axis that the batch is divided over: it is given as
a function of the axis's name. Were it given as `Net()`, the modes that divide the batch would be refused.
"""

from typing import Any

import jax
import numpy as np
import optax
from flax import linen as nn
from sklearn.datasets import load_digits

from bench.adapters import linen


class Net(nn.Module):
    """One hidden layer with BatchNorm: (n, 64) to logits (n, 10)."""

    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = nn.Dense(32, use_bias=False)(x)  # BatchNorm would take a bias out again
        x = nn.BatchNorm(use_running_average=not train, axis_name=self.axis_name)(x)
        return nn.Dense(10)(nn.relu(x))


def loss(logits: jax.Array, batch: Any) -> jax.Array:
    """The cross-entropy of each example: (n,)."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"])


digits: Any = load_digits()

workload = linen.workload(
    lambda axis_name: Net(axis_name=axis_name),
    loss,
    optax.sgd(0.1, momentum=0.9),
    {"inputs": (digits.data / 16).astype(np.float32), "labels": digits.target},
    name="batchnorm",
    batch_size=64,
    kwargs={"train": True},
)
