"""A small transformer with dropout, whose masks are the same on any number of devices.

    python -m bench run --workload examples/transformer.py --modes single,data_parallel --devices 1,2

It learns to turn a sequence of tokens round. With `rngs` it is applied to each example with keys of that example's own.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from bench.adapters import linen

TOKENS, LENGTH, WIDTH = 16, 8, 32


class Block(nn.Module):
    """Attention and a perceptron, each beside what it is added to: (n, LENGTH, WIDTH) to the same."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        attended = nn.MultiHeadDotProductAttention(num_heads=2)(nn.LayerNorm()(x))
        x = x + nn.Dropout(0.1, deterministic=not train)(attended)
        hidden = nn.gelu(nn.Dense(2 * WIDTH)(nn.LayerNorm()(x)))
        return x + nn.Dropout(0.1, deterministic=not train)(nn.Dense(WIDTH)(hidden))


class Transformer(nn.Module):
    """Tokens (n, LENGTH) to logits (n, LENGTH, TOKENS)."""

    @nn.compact
    def __call__(self, tokens: jax.Array, train: bool) -> jax.Array:
        places = nn.Embed(LENGTH, WIDTH)(jnp.arange(LENGTH))
        x = nn.Embed(TOKENS, WIDTH)(tokens) + places[None]
        x = Block()(x, train)
        return nn.Dense(TOKENS)(nn.LayerNorm()(x))


def loss(logits: jax.Array, batch: dict[str, jax.Array]) -> jax.Array:
    """The cross-entropy of each sequence, the mean over its places: (n,)."""
    turned = batch["inputs"][:, ::-1]
    return optax.softmax_cross_entropy_with_integer_labels(logits, turned).mean(axis=-1)


workload = linen.workload(
    Transformer(),
    loss,
    optax.adam(1e-3),
    {"inputs": np.random.default_rng(0).integers(TOKENS, size=(1024, LENGTH))},
    name="transformer",
    batch_size=32,
    rngs=("dropout",),
    kwargs={"train": True},
)
