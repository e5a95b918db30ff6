"""What is added up over examples, chunks of them and devices, and what is made of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Metrics(NamedTuple):
    """Means over the examples that count, of the global batch; scalars."""

    loss: jax.Array
    accuracy: jax.Array


class Sums(NamedTuple):
    """What is added up over examples, chunks and devices, and divided only once, at the end."""

    grads: Any
    loss: jax.Array
    correct: jax.Array
    examples: jax.Array


def means(sums: Sums) -> tuple[Any, Metrics]:
    """Gradients of the mean loss over the examples that count (none: zeros), with the metrics."""
    count = jnp.maximum(sums.examples, 1)
    return jax.tree.map(lambda g: g / count, sums.grads), Metrics(sums.loss / count, sums.correct / count)
