"""A certificate of products that round more than float32 passes what is right, and finds what is wrong among it."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from certified import certified, failed

from bench import tolerance
from toynet import modes, train
from toynet.config import preset

# As users run it: XLA's optimisations are a part of what rounds.
pytestmark = pytest.mark.usefixtures("compiled_once")

COARSE = preset("small", compute_dtype="bfloat16", batch_size=61, size=200)


def test_a_right_program_with_products_in_bfloat16_passes_though_it_rounds_more_than_float32_may() -> None:
    layout = modes.Layout(batch=61, members=3, member_shards=2, data_shards=4)
    made = certified(train.workload("small", COARSE), "ensemble_data", layout, products="bfloat16")
    assert not made.failures
    off = {check.name: float(check.found.removeprefix("off by ")) for check in made.checks if "off by" in check.found}
    assert off["initial state"] < tolerance.STEP["float32"]
    assert off["raw gradients"] > 100 * tolerance.GRADIENT["float32"]
    assert off["step from the same state"] > 10 * tolerance.STEP["float32"]


def test_a_forgotten_mask_is_found_among_the_roundings_of_bfloat16() -> None:
    def unmasked(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        counted = batch._replace(mask=jnp.ones_like(batch.mask)) if axis_name else batch
        return train.mean_gradients(COARSE, state, counted, axis_name)[0]

    planted = dataclasses.replace(train.workload("small", COARSE), gradients=unmasked)
    made = certified(planted, "data_parallel", modes.Layout(batch=61, data_shards=4), products="bfloat16")
    assert failed(made) == {"raw gradients"}


def rounded_to_tf32(state: Any) -> Any:
    """A state whose parameters have the 10 bits after the point that TF32 keeps."""

    def rounded(leaf: Any) -> Any:
        floats = jnp.issubdtype(leaf.dtype, jnp.floating)
        return jax.lax.reduce_precision(leaf, 8, 10) if floats else leaf

    return jax.tree.map(rounded, state)


def test_the_roundings_of_tf32_pass_and_a_mean_of_uneven_means_does_not() -> None:
    layout, config = modes.Layout(batch=61, data_shards=4), dataclasses.replace(COARSE, compute_dtype=None)
    right = train.workload("small", config)
    assert right.gradients

    def rounded(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        assert right.gradients
        return right.gradients(rounded_to_tf32(state) if axis_name else state, batch, axis_name)

    def of_means(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        assert right.gradients
        own = batch.mask.sum()
        share = own / jax.lax.psum(own, axis_name) * jax.lax.psum(1, axis_name) if axis_name else 1.0
        return right.gradients(state, batch._replace(mask=batch.mask / share), axis_name)

    found = certified(dataclasses.replace(right, gradients=rounded), "data_parallel", layout, products="tensorfloat32")
    assert not found.failures
    assert found.products == "tensorfloat32"
    assert failed(certified(dataclasses.replace(right, gradients=rounded), "data_parallel", layout)) == {
        "raw gradients"
    }
    planted = certified(
        dataclasses.replace(right, gradients=of_means), "data_parallel", layout, products="tensorfloat32"
    )
    assert failed(planted) == {"raw gradients"}
