"""What is allowed is by dtype, and what the user asks for takes its place."""

import pytest

from bench.tolerance import GRADIENT, STEP, Tolerances, tolerances
from toynet.errors import UsageError


def test_a_state_is_allowed_its_own_roundings_and_gradients_those_of_the_products() -> None:
    mixed = tolerances("float32", "float16")
    assert (mixed.initial, mixed.gradients, mixed.steps) == (1e-5, GRADIENT["float16"], STEP["float16"])
    assert tolerances("bfloat16", "bfloat16").initial > tolerances("float16", "float16").initial
    assert tolerances("float64", "float64") == Tolerances(1e-11, 1e-11, 1e-11, 1e-7, 0.01, asked=False)


def test_float16_rounds_as_tf32_does() -> None:
    assert (GRADIENT["float16"], STEP["float16"]) == (GRADIENT["tensorfloat32"], STEP["tensorfloat32"])


def test_what_is_asked_for_is_allowed_of_all_but_the_curve() -> None:
    assert tolerances("float32", "bfloat16", 0.2) == Tolerances(0.2, 0.2, 0.2, 0.03, 1.0, asked=True)
    assert tolerances("float32", "float8_e5m2", 0.2).curve == 0.2


@pytest.mark.parametrize(("dtype", "products"), [("float8_e5m2", "float8_e5m2"), ("float32", "float4_e2m1fn")])
def test_of_what_is_not_known_nothing_is_allowed_unasked(dtype: str, products: str) -> None:
    with pytest.raises(UsageError, match=f"computes in {products}, of which it isn't known"):
        tolerances(dtype, products)
