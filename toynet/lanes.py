"""A step of many members at once, who are the last axis of every array: there they fill a CPU's vector lanes.

vmap puts them first, where a small network's rows of 2 or 10 fill none, and makes its products of many tiny ones.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax
from jax import lax

from toynet.config import Config
from toynet.data import Batch
from toynet.sums import Sums


def log_probabilities(config: Config, params: Any, inputs: jax.Array) -> jax.Array:
    """The members' outputs (n, n_classes, members), for inputs (n, features) and parameters (..., members)."""
    x = inputs[:, :, None]
    for i in range(config.hidden_layers + 1):
        dense = params["params"][f"Dense_{i}"]
        x = jnp.sum(x[:, :, None] * dense["kernel"][None], axis=1) + dense["bias"][None]
        if i < config.hidden_layers:
            x = jax.nn.relu(x)
    return jax.nn.log_softmax(x, axis=1)


def losses(config: Config, params: Any, batch: Batch) -> tuple[jax.Array, Sums]:
    """The sum of all members' losses, and each one's sums without gradients, (members,)."""
    log_probs = log_probabilities(config, params, batch.inputs)
    one_hot = jax.nn.one_hot(batch.labels, config.n_classes, dtype=config.dtype)
    each = cast(jax.Array, optax.softmax_cross_entropy(log_probs, one_hot[:, :, None], axis=1))
    correct = (jnp.argmax(log_probs, axis=1) == batch.labels[:, None]).astype(config.dtype)
    mask = batch.mask[:, None]
    loss = jnp.sum(each * mask, axis=0)
    return jnp.sum(loss), Sums(None, loss, jnp.sum(correct * mask, axis=0), jnp.sum(batch.mask))


def local_sums(config: Config, params: Any, batch: Batch) -> Sums:
    """Of every member over the examples given; gradients are (..., members)."""
    (_, sums), grads = jax.value_and_grad(functools.partial(losses, config), has_aux=True)(params, batch)
    return sums._replace(grads=grads)


def chunked_sums(config: Config, params: Any, batch: Batch, *, chunk: int) -> Sums:
    """The same, made of chunks of the batch, so that what one holds of all members stays in a core's cache."""

    def chunked(leaf: jax.Array) -> jax.Array:
        padding = [(0, -leaf.shape[0] % chunk)] + [(0, 0)] * (leaf.ndim - 1)  # of zeros, which the mask leaves out
        return jnp.pad(leaf, padding).reshape(-1, chunk, *leaf.shape[1:])

    chunks = jax.tree.map(chunked, batch)
    # Like their like: over the mesh axes where the sums will differ, shard_map wants zeros that count as differing.
    member = jnp.zeros_like(params["params"]["Dense_0"]["bias"][0])
    nothing = Sums(jax.tree.map(jnp.zeros_like, params), member, member, jnp.zeros_like(batch.mask[0]))

    def plus(total: Sums, part: Batch) -> tuple[Sums, None]:
        return jax.tree.map(jnp.add, total, local_sums(config, params, part)), None

    return lax.scan(plus, nothing, chunks)[0]


def together(update: Callable[[Any, Any], Any], state: Any, grads: Any) -> Any:
    """An optimizer's update of members who have all taken as many steps: what counts them is one number for all."""
    one = jax.tree.map(lambda leaf: leaf[0] if jnp.issubdtype(leaf.dtype, jnp.integer) else leaf, state)
    return jax.tree.map(lambda new, old: jnp.broadcast_to(new, old.shape), update(one, grads), state)
