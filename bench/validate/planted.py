"""A step whose work is known: a chain of matrix products, and more of them by a planted share.

Written as a module of its own into a tree for each side, so that a comparison of two trees meets it as
it would meet a user's code. Needs JAX only, so it starts quickly.
"""

from __future__ import annotations

from pathlib import Path

SIZE = 64
PRODUCTS = 400
STEP = "planted_step"

_MODULE = '''"""{products} + {extra} products of {size} x {size} matrices in every step."""

import jax
import jax.numpy as jnp
from jax import lax

from toynet.workload import Workload


def init(key):
    weights = jax.random.normal(key, ({size}, {size})) / {size} ** 0.5
    return {{"weights": weights, "extra": jnp.zeros(({size}, {size}))}}


def batch(key, n):
    return jax.random.normal(key, (n, {size}))


def chain(weights, matrix, count):
    return lax.fori_loop(0, count, lambda _, m: jnp.tanh(m @ weights), matrix)


def step(state, batch, axis_name=None):
    found = chain(state["weights"], batch, {products})
    extra = chain(state["weights"], batch, {extra})  # doesn't change the loss
    loss = jnp.mean(found**2)
    return {{"weights": state["weights"] * (1 - 1e-6 * loss), "extra": extra}}, {{"loss": loss}}


workload = Workload(name="planted", init=init, batch=batch, step=step, batch_size={size}, epoch_steps=4)
'''


def write_tree(folder: Path, share: float) -> Path:
    """A tree whose step does that share more products, 0.05 for 5%, of a multiple of 1 / PRODUCTS; its folder."""
    folder.mkdir(parents=True)
    module = _MODULE.format(size=SIZE, products=PRODUCTS, extra=round(share * PRODUCTS))
    (folder / f"{STEP}.py").write_text(module, encoding="utf-8")
    return folder


def flops(share: float) -> int:
    """Floating-point operations of a step's matrix products."""
    return 2 * SIZE**3 * (PRODUCTS + round(share * PRODUCTS))
