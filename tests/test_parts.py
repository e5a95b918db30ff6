"""A case taken apart in this process: what its parts are, and that they run."""

from __future__ import annotations

import dataclasses

import planted
import pytest
from records import case, record, reducing, taken_apart

from bench import loops
from bench.cases import Case
from bench.holder import Holder

TWO = Case(workload="planted:right", mode="data_parallel", data_shards=2, batch=8)


@pytest.fixture(autouse=True)
def _small_peaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(loops.PRODUCT_SIDE, "cpu", 16)
    monkeypatch.setitem(loops.STREAM_ENTRIES, "cpu", 64)


def held(of: Case) -> Holder:
    holder = Holder(of, planted.right)
    holder.compile()
    return holder


def test_a_step_with_collectives_is_compute_and_collectives() -> None:
    holder = held(TWO)
    parts = holder.take_apart(peaks=True)
    assert parts.kinds == ("compute", "collectives", "rendezvous", "product", "stream")
    assert not parts.why_not
    assert parts.product_flops == 2 * 16**3
    assert parts.product_dtype == "float32"
    assert parts.stream_bytes == 2 * 4 * 64
    for kind in parts.kinds:
        block = holder.block(kind, 8)
        assert block.steps == 8
        assert block.seconds > 0
    assert set(holder.rough(("latency", *parts.kinds))) == {"latency", *parts.kinds}


def test_compute_alone_leaves_the_state_of_the_steps_as_it_was() -> None:
    holder, other = held(TWO), held(TWO)
    holder.take_apart(peaks=False)
    holder.block("compute", 8)
    assert holder.check().losses == other.check().losses


def test_a_step_without_collectives_has_no_parts_but_the_peaks_of_its_device() -> None:
    holder = held(Case(workload="planted:right", mode="single", batch=8))
    assert holder.take_apart(peaks=False).kinds == ()
    assert holder.take_apart(peaks=True).kinds == ("product", "stream")


def test_sums_in_a_fixed_order_are_not_taken_apart_and_it_is_said_why() -> None:
    from toynet import train
    from toynet.config import VIRTUAL_SHARDS, preset

    config = preset("tutorial", virtual_shards=VIRTUAL_SHARDS)
    holder = Holder(dataclasses.replace(TWO, workload="tutorial", batch=32), train.workload("tutorial", config))
    holder.compile()
    parts = holder.take_apart(peaks=False)
    assert parts.kinds == ()
    assert "fixed order" in parts.why_not


def test_what_cannot_be_taken_apart_is_named_in_the_report() -> None:
    from bench.measured import Parts
    from bench.report import table

    result = taken_apart(case("data_parallel", 2), {"latency": 0.01, "fused": 0.008}, reducing(2, 220))
    whole = type(result)(
        result.case,
        "measured",
        cost=result.cost,
        parts=Parts((), 0.0, 0.0, why_not="its collectives are strange"),
        starts=result.starts,
        samples=result.samples,
    )
    said = table.build(record(whole, parts=True)).sentences
    assert "Not taken apart: tutorial/data_parallel-2/m1/b32: its collectives are strange." in said


def test_collectives_in_the_body_of_a_loop_are_not_taken_apart() -> None:
    import jax
    import jax.numpy as jnp
    from jax import lax

    def step(state: object, batch: planted.Batch, axis_name: str | None = None) -> object:
        after, metrics = planted.step(state, batch, axis_name)
        if axis_name is None:
            return after, metrics

        def again(total: jax.Array, _: object) -> tuple[jax.Array, None]:
            return total + 0 * lax.psum(lax.pcast(jnp.ones(()), axis_name, to="varying"), axis_name), None

        loss, _ = lax.scan(again, metrics["loss"], None, length=3)
        return after, {"loss": loss}

    holder = Holder(TWO, dataclasses.replace(planted.right, step=step))
    holder.compile()
    parts = holder.take_apart(peaks=False)
    assert parts.kinds == ()
    assert "in the body of a loop" in parts.why_not
