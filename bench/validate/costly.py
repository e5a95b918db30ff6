"""Functions whose work is known, and more of it by a planted share, for which they give the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def functions(share: float) -> dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]:
    """By name: a function that does that share more work, and its arguments.

    A step that is all dispatch, and so has no share to plant; some 2 ms of matrix products; a scan of a small step.
    """

    def dispatch(weights: jax.Array, batch: jax.Array) -> tuple[jax.Array, jax.Array]:
        error = jnp.tanh(batch @ weights)
        return weights - 0.01 * batch.T @ error, jnp.mean(error**2)

    def products(weights: jax.Array, batch: jax.Array) -> tuple[jax.Array, jax.Array]:
        found = lax.fori_loop(0, round(60 * (1 + share)), lambda _, held: jnp.tanh(held @ weights), batch)
        # The same result, however often: what is compared is equal, and the loop isn't left out.
        return weights, jnp.isfinite(found).all()

    def scan(state: jax.Array, rate: jax.Array) -> tuple[jax.Array, jax.Array]:
        def step(held: jax.Array, _: None) -> tuple[jax.Array, None]:
            return held - rate * jnp.sin(held), None

        found, _ = lax.scan(step, state, None, length=round(200 * (1 + share)))
        return state, jnp.isfinite(found).all()

    square = jax.random.normal(jax.random.key(0), (128, 128)) / 128**0.5
    return {
        "dispatch": (dispatch, (jnp.ones((8, 4)) / 8, jnp.ones((16, 8)))),
        "products": (products, (square, square)),
        "scan": (scan, (jnp.linspace(0.0, 1.0, 256), jnp.float32(0.1))),
    }
