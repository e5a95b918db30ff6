"""Outputs that differ from device to device are named before anything is measured, with what to do."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import planted
import pytest
from jax import lax

from bench.alike import unlike
from bench.cases import Case, Own, check_divides
from bench.sound import check
from toynet.errors import UsageError

SHAPES = check(planted.right)


def said(**changed: Any) -> str:
    return unlike(dataclasses.replace(planted.right, **changed), SHAPES.state, SHAPES.batch)


def without_a_mean(state: Any, batch: Any, axis_name: str | None = None) -> Any:
    loss, grads = jax.value_and_grad(planted.loss_sum)(state["weights"], batch)
    return planted.descend(state, loss, grads)


def with_a_metric(state: Any, batch: Any, axis_name: str | None = None) -> Any:
    after, metrics = planted.step(state, batch, axis_name)
    return after, {**metrics, "right": jnp.mean(batch.mask)}


def alone(state: Any, batch: Any, axis_name: str | None = None) -> Any:
    weights = lax.pcast(state["weights"], axis_name, to="varying") if axis_name else state["weights"]
    return without_a_mean({**state, "weights": weights}, batch)


def test_a_right_step_gives_the_same_on_all_devices() -> None:
    assert said() == ""


def test_a_step_that_cannot_be_traced_so_is_left_to_its_run() -> None:
    def failing(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        raise KeyError("w")

    assert said(step=failing) == ""


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (without_a_mean, "its metrics['loss'] differs from device to device; take the mean of the loss over the devi"),
        (with_a_metric, "its metrics['right'] differs from device to device; take the mean of it over the devices, `"),
        (alone, "its metrics['loss'] and state['weights'] differ from device to device; take the mean of the loss ov"),
    ],
)
def test_what_differs_from_device_to_device_is_named_with_the_mean_that_is_missing(step: Any, sentence: str) -> None:
    assert said(step=step).startswith(sentence)
    assert "pmean(" in said(step=step)


def test_it_is_refused_where_a_batch_is_divided_and_nowhere_else() -> None:
    own = Own(
        name="own", batch_size=8, masked=True, virtual_shards=0, has_parts=True, unlike="its loss differs; mend it"
    )
    fine = [Case(workload="own.py", mode="single", batch=8), Case(workload="own.py", mode="data_parallel", batch=8)]
    check_divides(fine, {"own.py": own})
    with pytest.raises(UsageError, match="mode 'data_parallel' on 2 devices, for its loss differs; mend it"):
        check_divides([dataclasses.replace(fine[1], data_shards=2)], {"own.py": own})
