"""What factors of products are rounded to, by platform and by what JAX was told."""

import jax
import pytest

from bench import rounding


@pytest.mark.parametrize(
    ("products", "platform", "precision", "expected"),
    [
        ("float32", "cpu", None, "float32"),
        ("float32", "gpu", None, "tensorfloat32"),
        ("float32", "gpu", "default", "tensorfloat32"),
        ("float32", "gpu", "high", "tensorfloat32"),
        ("float32", "gpu", "highest", "float32"),
        ("float32", "tpu", None, "bfloat16"),
        ("float32", "tpu", "high", "tensorfloat32"),
        ("float32", "tpu", "F32_F32_F32", "float32"),
        ("float64", "gpu", None, "float64"),
        ("bfloat16", "gpu", None, "bfloat16"),
    ],
)
def test_float32_is_rounded_as_the_platform_does_unless_jax_was_told_otherwise(
    products: str, platform: str, precision: str | None, expected: str
) -> None:
    assert rounding.of(products, platform, precision) == expected


def test_the_names_are_those_that_jax_takes() -> None:
    for precision in rounding._NAMED:
        with jax.default_matmul_precision(precision):
            assert rounding.precision_setting() == precision


@pytest.mark.parametrize(
    ("state", "factors", "found"),
    [
        (("float32", "int32"), (), ("float32", "float32")),
        (("float32", "uint32"), ("bfloat16", "float32"), ("float32", "bfloat16")),
        (("bfloat16", "float32"), ("bfloat16",), ("bfloat16", "bfloat16")),
        (("float32",), ("float16",), ("float32", "float16")),
        (("float16",), ("float32",), ("float16", "float16")),
        (("float64",), ("float64",), ("float64", "float64")),
        (("float64", "float32"), (), ("float32", "float32")),
        (("float32",), ("float8_e4m3fn", "bfloat16"), ("float32", "float8_e4m3fn")),
        (("int32", "key<fry>"), ("int8",), ("float32", "float32")),
    ],
)
def test_a_workload_computes_in_the_coarsest_of_its_dtypes(
    state: tuple[str, ...], factors: tuple[str, ...], found: tuple[str, str]
) -> None:
    assert rounding.computed_in(state, factors) == found
