"""A certificate passes every right mode and finds each planted wrong one."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import planted
import pytest
from certified import certified, failed
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import certificate
from bench.deviation import deviation
from bench.holder import SEED, epoch_of
from bench.reference import unstacked
from toynet import modes, train
from toynet.config import Config, preset
from toynet.program import Program, bind
from toynet.workload import Workload

pytestmark = pytest.mark.usefixtures("compiled_once", "unoptimised")


RIGHT = [
    ("single", modes.Layout(batch=8)),
    ("ensemble", modes.Layout(batch=8, members=5)),
    ("data_parallel", modes.Layout(batch=8, data_shards=8)),
    ("data_parallel", modes.Layout(batch=7, data_shards=4)),
    ("fsdp", modes.Layout(batch=8, data_shards=planted.FEATURES)),
    ("zero1", modes.Layout(batch=7, data_shards=planted.FEATURES)),
    ("fsdp", modes.Layout(batch=7, data_shards=4)),  # which no leaf divides over
    ("ensemble_data", modes.Layout(batch=8, members=3, member_shards=2, data_shards=2)),
    ("ensemble_data", modes.Layout(batch=5, members=8, member_shards=4, data_shards=2)),
    ("ensemble_data", modes.Layout(batch=8, members=4, member_shards=4)),
]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("mode", "layout"), RIGHT)
def test_a_right_program_passes_every_check(mode: str, layout: modes.Layout, fused: bool) -> None:
    made = certified(planted.right, mode, layout, fused=fused)
    assert not made.failures
    assert {check.name for check in made.checks} == {
        "initial state",
        "raw gradients",
        "loss over an epoch",
        "step from the same state",
        "traces",
        "collectives",
        "sharding of the state",
        "share of a device",
    }


def test_the_tutorials_net_with_adam_passes_in_two_dimensions() -> None:
    workload = train.workload("tutorial", preset("tutorial"))
    made = certified(workload, "ensemble_data", modes.Layout(members=6, member_shards=2, data_shards=4))
    assert not made.failures
    assert made.members_checked == (0, 2, 3, 5)


WRONG = [
    (planted.times_n, modes.Layout(batch=8, data_shards=2)),
    (planted.times_n, modes.Layout(batch=8, data_shards=8)),
    (planted.forgotten_mask, modes.Layout(batch=7, data_shards=4)),
    (planted.unreduced, modes.Layout(batch=7, data_shards=4)),
]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("workload", "layout"), WRONG)
def test_wrong_gradients_are_found(workload: Workload, layout: modes.Layout, fused: bool) -> None:
    found = failed(certified(workload, "data_parallel", layout, fused=fused))
    assert {"raw gradients", "step from the same state", "loss over an epoch"} <= found


def test_the_mean_of_gradients_that_are_sums_is_told_with_what_to_do() -> None:
    layout = modes.Layout(batch=8, data_shards=2)
    said = certified(planted.times_n, "data_parallel", layout).failures
    assert "(2 times what they should be: take the mean of the loss over the devices before its gradient, not" in said
    without = dataclasses.replace(planted.times_n, gradients=None)
    assert (
        "(if it averages gradients: take the mean of the loss" in certified(without, "data_parallel", layout).failures
    )
    assert "take the mean" not in certified(planted.forgotten_mask, "data_parallel", WRONG[2][1]).failures


@pytest.mark.parametrize("workload", [planted.unreduced, planted.forgotten_mask])
def test_wrong_gradients_are_found_where_hardly_any_example_is_padding(workload: Workload) -> None:
    found = failed(certified(workload, "data_parallel", modes.Layout(batch=1001, data_shards=8)))
    assert "raw gradients" in found


def test_a_factor_in_the_gradient_shows_in_adams_moments_without_a_function_of_gradients() -> None:
    """Adam's update is the same for gradients n times as long, its moments are not."""
    right = train.workload("tutorial", preset("tutorial"))

    def step(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        after, metrics = right.step(state, batch, axis_name)
        adam, rest = after.opt_state
        return (
            (after._replace(opt_state=(adam._replace(mu=jax.tree.map(lambda m: 8 * m, adam.mu)), rest)), metrics)
            if axis_name
            else (after, metrics)
        )

    wrong = dataclasses.replace(right, step=step, gradients=None)
    assert "step from the same state" in failed(certified(wrong, "data_parallel", modes.Layout(data_shards=8)))


@pytest.mark.parametrize(("mode", "shards"), [("ensemble", 1), ("ensemble_data", 2)])
def test_replicated_members_are_found(mode: str, shards: int) -> None:
    def replicate(program: Program) -> Program:
        return dataclasses.replace(program, init=lambda keys: program.init(keys.at[:].set(keys[0])))

    made = certified(planted.right, mode, modes.Layout(batch=8, members=4, member_shards=shards), replicate)
    assert failed(made) == {"initial state"}


def test_swapped_members_are_found() -> None:
    def swap(program: Program) -> Program:
        return dataclasses.replace(program, init=lambda keys: program.init(keys[::-1]))

    assert "initial state" in failed(certified(planted.right, "ensemble", modes.Layout(batch=8, members=4), swap))


@pytest.mark.parametrize(("mode", "shards"), [("fsdp", 3), ("zero1", 3)])
def test_an_optimizer_that_looks_at_a_whole_leaf_is_found_where_it_gets_a_part(mode: str, shards: int) -> None:
    """Steps of length 1: of the whole gradient for `single`, of each device's part here."""

    def update(state: Any, grads: jax.Array) -> Any:
        return planted.parts.update(state, grads / jnp.sqrt(jnp.sum(grads**2)))

    def step(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        loss, grads = planted.mean_gradients(state, batch, axis_name)
        return update(state, grads), {"loss": loss}

    wrong = dataclasses.replace(planted.right, step=step, parts=dataclasses.replace(planted.parts, update=update))
    found = failed(certified(wrong, mode, modes.Layout(batch=8, data_shards=shards)))
    assert found == {"step from the same state", "loss over an epoch"}


@pytest.mark.parametrize(
    ("mode", "layout"), [("single", modes.Layout(batch=8)), ("fsdp", modes.Layout(batch=8, data_shards=3))]
)
def test_a_step_that_is_traced_again_is_found(mode: str, layout: modes.Layout) -> None:
    def retracing(program: Program) -> Program:
        def step(state: Any, batch: Any) -> Any:
            jax.clear_caches()
            return program.step(state, batch)

        step.trace = program.step.trace  # type: ignore[attr-defined]
        return dataclasses.replace(program, step=step)

    assert failed(certified(planted.right, mode, layout, retracing)) == {"traces"}


def test_a_missing_collective_is_found() -> None:
    """Every device computes the whole batch: the right result, but nothing is divided."""

    def undivided(program: Program) -> Program:
        whole = bind(planted.right, modes.by_name("data_parallel"), modes.Layout(batch=8))
        return dataclasses.replace(whole, layout=program.layout)

    made = certified(planted.right, "data_parallel", modes.Layout(batch=8, data_shards=2), undivided)
    assert {"collectives", "sharding of the state", "share of a device"} <= failed(made)


def test_a_loss_that_is_not_finite_is_found() -> None:
    def nan(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        after, metrics = planted.step(state, batch, axis_name)
        return after, {"loss": metrics["loss"] * np.nan}

    made = certified(dataclasses.replace(planted.right, step=nan), "ensemble", modes.Layout(batch=8, members=2))
    assert "loss over an epoch" in failed(made)
    assert "not finite" in made.failures


@settings(max_examples=3)
@given(
    batch=st.integers(1, 17),
    member_shards=st.sampled_from([1, 2]),
    data_shards=st.sampled_from([1, 2, 4]),
    members=st.integers(1, 8),
)
def test_any_sizes_pass(batch: int, member_shards: int, data_shards: int, members: int) -> None:
    workload = train.workload("small", Config(size=40, hidden_dim=3, batch_size=batch))
    layout = modes.Layout(batch=batch, members=members, member_shards=member_shards, data_shards=data_shards)
    assert not certified(workload, "ensemble_data", layout).failures


def test_each_shard_of_members_is_checked() -> None:
    for members, shards in [(8, 8), (64, 8), (9, 4), (64, 2), (1, 1), (3, 2)]:
        layout = modes.Layout(batch=8, members=members, member_shards=shards)
        checked = certificate.checked_members(bind(planted.right, modes.by_name("ensemble_data"), layout))
        held = layout.padded_members // shards
        assert {i // held for i in checked} == {i // held for i in range(members)}
        assert (checked[0], checked[-1]) == (0, members - 1)


def test_a_deviation_is_relative_to_each_leafs_largest_entry() -> None:
    expected = {"a": np.array([1.0, 100.0]), "b": np.array([0.001])}
    assert deviation({"a": np.array([1.0, 101.0]), "b": np.array([0.001])}, expected) == pytest.approx(0.01)
    assert deviation({"a": np.array([1.0, 100.0]), "b": np.array([0.002])}, expected) == pytest.approx(1.0)
    assert deviation({"a": np.array([1.0, 100.0]), "b": np.array([0.002])}, expected, floor=0.01) == pytest.approx(1e-3)
    assert np.isnan(deviation({"a": np.array([1.0, np.nan]), "b": np.array([0.001])}, expected))


def test_the_share_of_a_device_is_read_from_the_arrays() -> None:
    made = certified(planted.right, "ensemble_data", modes.Layout(batch=10, members=3, member_shards=2, data_shards=2))
    (share,) = [check for check in made.checks if check.name == "share of a device"]
    assert (share.found, share.allowed) == (
        "5 examples x 2 members",
        "5 examples x 2 members",
    )  # 3 members are padded to 4


@pytest.mark.parametrize(
    ("mode", "layout", "found", "allowed"),
    [
        ("data_parallel", modes.Layout(batch=7, data_shards=4), "8 of 8 examples", "4 of 8 examples"),
        (
            "ensemble_data",
            modes.Layout(batch=8, members=4, member_shards=4),
            "8 of 8 examples x 4 of 4 members",
            "8 of 8 examples x 2 of 4 members",
        ),
    ],
)
def test_a_process_that_addresses_all_where_two_should_share_it_is_found(
    mode: str, layout: modes.Layout, found: str, allowed: str
) -> None:
    """As where each of two processes places the whole on devices of its own: one process that counts itself as two."""
    program = bind(planted.right, modes.by_name(mode), layout)
    batch = program.place(unstacked(epoch_of(planted.right, layout.batch))[0])
    state = program.init(program.keys(SEED))
    assert certificate.share_of_process(program, state, batch).passed
    two = dataclasses.replace(program, layout=dataclasses.replace(layout, processes=2))
    share = certificate.share_of_process(two, state, batch)
    assert (share.passed, share.found, share.allowed) == (False, found, allowed)
