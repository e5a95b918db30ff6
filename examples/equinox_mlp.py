"""An Equinox module that draws one of scikit-learn's digits: of a place, how dark it is there.

    python -m bench run --workload examples/equinox_mlp.py --modes single,data_parallel --devices 1,2

An Equinox module is written for one example, and is called under vmap. Its arrays of floating point are trained; its
activation function and its waves, which are of NumPy, stay as they are.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

from bench.adapters import equinox as adapter

WAVES = 8


class Drawing(eqx.Module):
    """A place (2,) as sines and cosines of it, and a perceptron: to a darkness (1,)."""

    waves: np.ndarray
    mlp: eqx.nn.MLP

    def __init__(self, key: jax.Array) -> None:
        self.waves = np.random.default_rng(0).normal(size=(WAVES, 2)).astype(np.float32)
        self.mlp = eqx.nn.MLP(2 * WAVES, 1, width_size=32, depth=2, activation=jax.nn.gelu, key=key)

    def __call__(self, place: jax.Array) -> jax.Array:
        turned = self.waves @ place
        return self.mlp(jnp.concatenate([jnp.sin(turned), jnp.cos(turned)]))


def loss(darkness: jax.Array, batch: dict[str, jax.Array]) -> jax.Array:
    """How far each place is off, squared: (n,)."""
    return (darkness[:, 0] - batch["darkness"]) ** 2


digits: Any = load_digits()
places = np.stack(np.meshgrid(*[np.linspace(-1, 1, 8, dtype=np.float32)] * 2), axis=-1)

workload = adapter.workload(
    Drawing,
    loss,
    optax.adam(1e-3),
    {"inputs": places.reshape(-1, 2), "darkness": (digits.images[0].ravel() / 16).astype(np.float32)},
    name="equinox_mlp",
    batch_size=64,
)
