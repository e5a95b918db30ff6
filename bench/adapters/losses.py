"""The losses of a batch's examples: what a loss may give, its sums over the examples that count, and their means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from toynet.errors import UsageError
from toynet.workload import Params

Loss = Callable[[Any, Any], Any]
"""Of outputs and a batch of examples: the loss of each, (n,), or the mean of them all, a scalar; or a pair of that and
a dict of metrics, each an array of the one shape or the other."""


class Batch(NamedTuple):
    """A part of a batch of n examples, or the whole."""

    examples: Any
    """A tree of arrays (n, ...)."""
    mask: jax.Array | None
    """(n,): 1 for an example, 0 for padding; None: all count."""
    keys: jax.Array | None = None
    """(n, ...): a random key for each example in this step; None: not put there yet, or none is needed."""


class Sums(NamedTuple):
    """What is added up over examples and devices, and divided only once, at the end."""

    metrics: dict[str, jax.Array]
    examples: jax.Array


def size(examples: Any) -> int:
    """How many examples a tree of arrays holds; raises UsageError if its arrays don't agree."""
    sizes = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(examples)}
    if len(sizes) != 1 or not all(sizes):
        raise UsageError(
            "examples must be a tree of arrays that lead with the same number of examples, got "
            f"{', '.join(sorted(str(np.shape(leaf)) for leaf in jax.tree.leaves(examples))) or 'none'}."
        )
    return sizes.pop()[0]


def named(found: Any) -> dict[str, jax.Array]:
    """What a loss gave, by names; its own is `loss`, whatever the metrics beside it are called."""
    losses, metrics = found if isinstance(found, tuple) else (found, {})
    return {**metrics, "loss": losses}


def sums(found: Any, batch: Batch) -> Sums:
    """What a loss gave, summed over the examples that count."""
    found = named(found)
    n, dtype = size(batch.examples), jnp.promote_types(found["loss"].dtype, jnp.float32)

    def total(leaf: Any) -> jax.Array:
        leaf = jnp.asarray(leaf).astype(dtype)  # a metric may be a number of Python
        if not leaf.ndim:
            return leaf * n
        return jnp.sum(leaf if batch.mask is None else leaf * batch.mask)

    count = jnp.full((), n, dtype) if batch.mask is None else jnp.sum(batch.mask).astype(dtype)
    return Sums(jax.tree.map(total, found), count)


def means(grads: Params, sums: Sums) -> tuple[Params, dict[str, jax.Array]]:
    """Gradients of the mean loss over the examples that count (none: zeros), with the metrics."""
    count = jnp.maximum(sums.examples, 1)
    return jax.tree.map(lambda g: (g / count).astype(g.dtype), grads), jax.tree.map(lambda m: m / count, sums.metrics)
