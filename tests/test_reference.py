"""What a reference computes otherwise than the program that it checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from bench.reference import operations


def scanned(x: jax.Array) -> jax.Array:
    return lax.scan(lambda total, row: (total + jnp.sin(row), None), jnp.zeros(3), x)[0]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: jnp.sin(x) + 1, 2),
        (jax.jit(lambda x: jnp.sin(x) + 1), 2),
        (scanned, 5 * 2 + 1),  # the zeros, and five rows
        (lambda x: jnp.sin(scanned(x)), 5 * 2 + 2),
        (lambda x: lax.while_loop(lambda y: y.sum() < 9, lambda y: y + 1, x), 101),
    ],
)
def test_operations_without_jit_are_counted_as_often_as_they_run(function: Callable[..., Any], expected: int) -> None:
    assert operations(jax.make_jaxpr(function)(jnp.ones((5, 3))), 100) == expected
