"""A case in this process: a workload of the user's own is held to what it really computes in, or to what is asked."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import planted
import pytest

from bench.cases import Case
from bench.holder import Holder, epoch_of
from bench.measured import Certificate
from toynet.errors import UsageError
from toynet.workload import Workload

pytestmark = pytest.mark.usefixtures("compiled_once")

CASE = Case(workload="mine:net", mode="data_parallel", data_shards=2, batch=8)


def rounding(dtype: str, wrong: float = 1.0) -> Workload:
    """The planted workload, its products in that dtype; over devices its gradients are so many times too large."""

    def loss_sum(weights: jax.Array, batch: Any) -> jax.Array:
        products = (batch.inputs.astype(dtype) @ weights.astype(dtype)).astype(jnp.float32)
        return jnp.sum((products - batch.targets) ** 2 * batch.mask)

    def mean(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        weights = state["weights"]
        weights = jax.lax.pcast(weights, axis_name, to="varying") if axis_name else weights
        sums = (*jax.value_and_grad(loss_sum)(weights, batch), batch.mask.sum())
        loss, grads, count = jax.lax.psum(sums, axis_name) if axis_name else sums
        return loss / count, grads / count * (wrong if axis_name else 1.0)

    def step(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        return planted.descend(state, *mean(state, batch, axis_name))

    gradients = lambda state, batch, axis_name=None: mean(state, batch, axis_name)[1]  # noqa: E731
    return dataclasses.replace(planted.right, step=step, gradients=gradients, parts=None)


def certified(workload: Workload, tolerance: float | None = None) -> Certificate:
    holder = Holder(CASE, workload)
    holder.compile()
    return holder.check(fused=False, tolerance=tolerance)


def allowed(of: Certificate) -> dict[str, str]:
    return {check.name: check.allowed for check in of.checks if "largest" in check.allowed}


@pytest.mark.parametrize(("dtype", "gradients"), [("bfloat16", "0.06"), ("float16", "0.0075")])
def test_an_own_workload_is_held_to_the_dtype_of_its_products(dtype: str, gradients: str) -> None:
    right = certified(rounding(dtype))
    assert not right.failures
    assert right.products == dtype
    assert allowed(right)["raw gradients"] == f"{gradients} of a leaf's largest"
    assert allowed(right)["initial state"] == "1e-05 of a leaf's largest"  # its state is float32
    assert dict(right.refused) == dict.fromkeys(("fsdp", "zero1"), "it has no `parts` by which to divide its state")
    assert "raw gradients" in certified(rounding(dtype, wrong=2.0)).failures


def test_a_tolerance_that_is_asked_for_takes_the_place_of_the_usual_one_and_is_told() -> None:
    passed = certified(rounding("float32", wrong=1.02), tolerance=0.05)
    assert not passed.failures
    names = ("initial state", "raw gradients", "step from the same state")
    assert allowed(passed) == {
        **dict.fromkeys(names, "0.05 (--tolerance) of a leaf's largest"),
        "loss over an epoch": "0.01 of a leaf's largest",
    }
    failed = certified(rounding("float32", wrong=1.02), tolerance=1e-3)
    assert "allowed: 0.001 (--tolerance) of a leaf's largest" in failed.failures


def test_products_of_a_dtype_whose_roundings_are_not_known_want_a_tolerance() -> None:
    holder = Holder(CASE, rounding("float8_e4m3fn"))
    holder.compile()
    with pytest.raises(UsageError, match=r"computes in float8_e4m3fn, of which it isn't known .* --tolerance"):
        holder.check(fused=False)
    assert "raw gradients" in allowed(holder.check(fused=False, tolerance=0.5))


def test_a_batch_of_another_size_than_was_asked_for_is_refused() -> None:
    fixed = dataclasses.replace(planted.right, batch=lambda key, n: planted.draw(key, 8))
    assert len(epoch_of(fixed, 8).mask) == fixed.epoch_steps
    with pytest.raises(UsageError, match="its batch gives 8 examples where n = 16 of them were asked for"):
        epoch_of(fixed, 16)


def test_what_is_checked_is_the_state_after_the_first_step_though_more_were_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Elsewhere than on a CPU more steps are timed before a case counts as one of long steps."""
    monkeypatch.setattr("bench.holder.LONG_FIRST_STEP_S", 0.0)
    holder = Holder(CASE, planted.right)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(jax, "default_backend", lambda: "gpu")
        holder.compile()
    assert not holder.check().failures


def test_the_reference_workload_is_run_in_all_processes_of_a_case_or_in_none(monkeypatch: pytest.MonkeyPatch) -> None:
    holder = Holder(CASE, planted.right)
    monkeypatch.setattr(holder, "_agreed", lambda value: max(value, 1.0))  # as the other process says
    with pytest.raises(UsageError, match="the reference workload can't be run in another of its processes"):
        holder.block("reference", 1)
