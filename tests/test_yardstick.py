"""The reference workload: the same numbers on any day, or it says so. A change here makes records incomparable."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax
import numpy as np
import pytest

from bench import yardstick
from bench.yardstick import LAYERS, VALUE, Yardstick, inputs, program
from toynet.errors import UsageError


def test_it_computes_what_numpy_computes_in_float64() -> None:
    values, matrix = (array.astype(np.float64) for array in inputs())
    for _ in range(LAYERS):
        values = np.tanh(values @ matrix)
    assert float((values**2).sum()) == pytest.approx(VALUE, rel=1e-8)
    assert float(jax.jit(program)(*inputs())) == pytest.approx(VALUE, rel=1e-6)  # some roundings of float32


def test_its_inputs_are_the_ones_that_records_were_made_with() -> None:
    values, matrix = inputs()
    assert (values.shape, matrix.shape, values.dtype, matrix.dtype) == ((64, 128), (128, 128), "float32", "float32")
    assert values[0, :2].tolist() == [0.0, np.float32(np.sin(1.0))]
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(128), atol=1e-6)
    assert float(np.abs(values).sum()) == pytest.approx(5215.0, abs=1)


@pytest.mark.parametrize(
    "setting",
    [
        nullcontext(),
        jax.enable_x64(True),
        jax.default_matmul_precision("bfloat16"),
        jax.numpy_dtype_promotion("strict"),
    ],
)
def test_no_setting_of_the_users_changes_what_it_computes_or_in_what_dtype(
    setting: AbstractContextManager[Any],
) -> None:
    with setting:
        jaxpr = str(jax.make_jaxpr(program)(*inputs()))
        assert "f64" not in jaxpr
        assert "bf16" not in jaxpr
        assert Yardstick().block(2, iter([1.0, 1.5]).__next__).seconds == 0.5


def test_a_block_is_so_many_calls_and_the_time_of_all() -> None:
    block = Yardstick().block(3, iter([10.0, 12.0]).__next__)
    assert (block.steps, block.seconds) == (3, 2.0)


def test_a_machine_that_computes_something_else_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yardstick, "VALUE", 139.2)
    with pytest.raises(UsageError, match=r"^the reference workload gives 139\.125 on .*, where 139\.2 is right; .*\.$"):
        Yardstick()


def test_it_runs_on_the_first_device() -> None:
    assert all(array.devices() == {jax.devices()[0]} for array in Yardstick()._inputs)
