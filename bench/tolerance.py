"""How far right results may be from each other: by the dtypes that they are computed in, or as is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from toynet.errors import UsageError

# Relative to each leaf's largest entry. A sum over the batch in another order differs by a few roundings
# (2e-6 at most in results/baseline-cpu.json). What is wrong differs by more, even the mean of the devices'
# means where they hold 126 and 119 examples; a factor n, a forgotten mask or a swapped member by far more.
# Products in bfloat16 are rounded to 2^-8, by each device for its part of a sum: on 8 nets of 1 to 4 hidden layers
# right gradients were off by up to 0.015 and a step by up to 0.11, a forgotten mask (3 of 256 examples) by 0.1
# and a factor of two by 1. Means of uneven means (0.01 to 0.03) can't be told from it.
# TF32, a GPU's own way of float32 products, rounds to 2^-11, an eighth of that: right gradients were off by up to
# 3.9e-3 and a step by up to 1.3e-2 in results/baseline-h100.json. Of the tutorial's batch of 245 over 2 devices, means
# of uneven means (1.1e-3), a forgotten mask (5.3e-3) and a factor of 1.005 (5.0e-3) can't be told from it.
# What shows all of them is float32 with JAX_DEFAULT_MATMUL_PRECISION=highest.
# Float16 rounds as TF32 does, to 2^-11. By hand, on 6 nets of 1 to 4 hidden layers with parameters in float32 and on as
# many that are float16 throughout, 250 examples whole and over 2 and 4 devices: right gradients were off by up to 9e-4
# where devices' sums were added up in float32 and by 1.6e-3 where in float16, a step of SGD by 2.3e-3 and one of adam
# by 1.2e-2; a forgotten mask (2 of 252 examples) by 8e-3 to 6e-2 and a factor of two by 1 (its steps by 0.46 and more).
# Means of uneven means (1e-3 to 1.1e-2) can't be told from it. Adam in float16 throughout gave no numbers, its epsilon
# being 0 there.
GRADIENT = {
    "float32": 1e-5,
    "float64": 1e-11,
    "bfloat16": 0.06,
    "tensorfloat32": 0.0075,
    "float16": 0.0075,
}
STEP = {"float32": 1e-5, "float64": 1e-11, "bfloat16": 0.3, "tensorfloat32": 0.04, "float16": 0.04}
# By the dtype of the state: an initial state is the same numbers, drawn by another program: four of their roundings.
INITIAL = {"float32": 1e-5, "float64": 1e-11, "bfloat16": 0.016, "float16": 0.002}
# Where the terms of a whole leaf nearly cancel, as in an output bias, its roundings are still those of its
# terms (1.1e-4 of such a leaf seen, 0.12 in bfloat16); so a gradient is held against a share of the largest
# one at least.
FLOOR = {"float32": 0.01, "float64": 0.01}  # and of all else 1
# Relative to the curve's largest loss. Adam makes a whole step of a gradient near zero, whatever its
# sign, so roundings grow over an epoch: enough to tell another curve, not to tell another rounding (up to
# 0.004 in bfloat16, 8.1e-4 in TF32, which has the tolerance of float32, for that is what Adam needs, and 2.8e-4 in
# float16).
CURVE = {"float32": 1e-2, "float64": 1e-7, "bfloat16": 0.03, "tensorfloat32": 1e-2, "float16": 1e-2}
# What is written behind a tolerance that is the user's own.
ASKED = "(--tolerance)"


@dataclass(frozen=True)
class Tolerances:
    """What is allowed, each relative to the largest entry of a leaf or of a curve."""

    initial: float
    gradients: float
    steps: float
    curve: float
    floor: float
    """A gradient's entries count as no smaller than this share of the largest of all leaves."""
    asked: bool
    """Whether the first three are the user's own."""


def tolerances(dtype: str, products: str, asked: float | None = None) -> Tolerances:
    """By the dtype of a state and what the factors of products are rounded to; `asked` is the user's own.

    Raises UsageError for dtypes of which it isn't known, unless one was asked for.
    """
    unknown = [name for name in (dtype, products) if name not in GRADIENT]
    floor = FLOOR.get(products, 1.0)
    if asked is not None:
        return Tolerances(asked, asked, asked, CURVE.get(products, asked), floor, asked=True)
    if unknown:
        raise UsageError(
            f"it computes in {unknown[0]}, of which it isn't known how far right results are from each other; say what "
            "is allowed by --tolerance."
        )
    return Tolerances(INITIAL[dtype], GRADIENT[products], STEP[products], CURVE[products], floor, asked=False)
