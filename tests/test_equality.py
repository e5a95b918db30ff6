"""How a tree differs from the expected one, in words."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.equality import unequal

STATE = {"w": jnp.ones(3), "n": jnp.int32(1), "key": jax.random.key(1)}


def test_a_tree_is_equal_to_itself_its_keys_and_what_is_no_finite_number_too() -> None:
    assert unequal(STATE, dict(STATE)) == ""
    masked = jnp.array([jnp.inf, -jnp.inf, jnp.nan, 1])
    assert unequal(masked, masked) == ""


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (({**STATE, "w": jnp.ones(4)}, 1.0), "output[0]['w'] is float32[4], and float32[3] was expected"),
        (({**STATE, "w": jnp.ones(3, jnp.int32)}, 1.0), "output[0]['w'] is int32[3], and float32[3] was expected"),
        (({**STATE, "n": jnp.int32(2)}, 1.0), "output[0]['n'] is 2, and 1 was expected"),
        (({**STATE, "w": jnp.array([1, 1, jnp.nan])}, 1.0), "output[0]['w'][2] is nan, and 1.0 was expected"),
        (
            (STATE, jnp.float32(1.5)),
            "output[1] is 1.5, and 1.0 was expected: off by 5.0e-01 of the largest entry, where 1e-05 is allowed",
        ),
        (({"w": STATE["w"], "n": STATE["n"]}, 1.0), "output[0]['key'] is missing"),
        (({**STATE, "m": 1}, 1.0), "output[0]['m'] isn't expected"),
    ],
)
def test_a_difference_is_a_sentence_with_its_place(found: Any, said: str) -> None:
    assert unequal(found, (STATE, 1.0)) == said


def test_containers_of_another_kind_differ() -> None:
    assert unequal([1.0], (1.0,)) == "output is a PyTreeDef([*]), and a PyTreeDef((*,)) was expected"


def test_the_shortest_differences_are_first_and_a_few_enough() -> None:
    found = {name: jnp.int32(1) for name in ("longest", "longer", "long", "l", "short")}
    expected = {name: jnp.int32(0) for name in found}
    assert unequal(found, expected) == (
        "output['l'] is 1, and 0 was expected; output['long'] is 1, and 0 was expected; "
        "output['short'] is 1, and 0 was expected; and 2 more"
    )


@pytest.mark.parametrize(
    ("dtype", "within", "beyond"),
    [("float32", 5e-6, 1e-4), ("bfloat16", 0.03, 0.2), ("float16", 5e-3, 0.02), ("complex64", 5e-6, 1e-4)],
)
def test_numbers_may_be_off_by_what_their_dtype_rounds_to(dtype: str, within: float, beyond: float) -> None:
    expected = jnp.array([1, 100], dtype)
    assert unequal(expected + jnp.array([100 * within, 0], dtype), expected) == ""  # of the largest entry
    assert "off by" in unequal(expected + jnp.array([100 * beyond, 0], dtype), expected)


def test_a_tolerance_is_for_numbers_and_not_for_counts() -> None:
    assert unequal(jnp.float32(1.05), jnp.float32(1), tolerance=0.1) == ""
    assert unequal(jnp.int32(101), jnp.int32(100), tolerance=0.1) == "output is 101, and 100 was expected"


def test_what_is_expected_may_be_written_down_on_the_host() -> None:
    assert unequal({"w": jnp.ones(2), "n": jnp.int32(3)}, {"w": np.ones(2), "n": 3}) == ""
