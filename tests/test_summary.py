"""From samples to numbers, on records whose numbers are known."""

import dataclasses
import math

import msgspec
import pytest
from records import COST, GOOD, Times, case, measured, record

from bench.cases import Case
from bench.record import CaseResult, Record
from bench.stats import Estimate
from bench.summary import Summary, ratio, summaries

DRIFT: Times = [[1.0, 1.3, 1.7, 2.0], [5.0, 4.0, 3.0, 2.5], [1.0, 9.0, 2.0, 4.0]]


def drifting(step_s: float, rounds: int = 4) -> Times:
    """Steps on a machine that gets slower and faster with time."""
    return [[step_s * factor for factor in restart[:rounds]] for restart in DRIFT]


def only(of: Record) -> Summary:
    """The summary of the last case."""
    return summaries(of)[-1]


def same(found: Estimate | None, expected: float, low: float, high: float) -> bool:
    """Whether an estimate is that, but for roundings."""
    assert found is not None
    return (found.value, found.low, found.high) == pytest.approx((expected, low, high), rel=1e-9)


def test_a_ratio_by_rounds_does_not_see_the_machine_drift() -> None:
    # Half of single's time in every round: exactly 2, however the machine drifts meanwhile.
    single, half = measured(case("single"), drifting(1e-3)), measured(case("data_parallel", 2), drifting(5e-4))
    assert same(only(record(single, half)).speedup["latency"], 2, 2, 2)


def test_a_ratio_is_of_the_rounds_that_both_ran() -> None:
    # The second stopped after two rounds, when the machine was at its fastest or slowest.
    single, half = measured(case("single"), drifting(1e-3)), measured(case("data_parallel", 2), drifting(5e-4, 2))
    assert same(ratio(single, half, "latency"), 2, 2, 2)
    assert same(ratio(half, single, "latency"), 0.5, 0.5, 0.5)


def test_the_ratio_of_a_restart_is_the_median_of_its_rounds_and_not_the_ratio_of_medians() -> None:
    # 1/1, 4/2 and 6/1: their median is 2. The ratio of the medians, 4 and 1, would be 4.
    found = ratio(measured(case("single"), [[1, 4, 6]]), measured(case("data_parallel"), [[1, 2, 1]]), "latency")
    assert found == Estimate(2, None, None, 1)


def test_the_interval_of_a_ratio_comes_from_the_restarts() -> None:
    # Ratios e**1, e**2, e**3 by restart: the interval of test_stats, half of which is 2.484138 in logarithms.
    single = measured(case("single"), [[1.0] * 3] * 3)
    faster = measured(case("data_parallel", 2), [[math.exp(-power)] * 3 for power in (1, 2, 3)])
    found = only(record(single, faster)).speedup["latency"]
    assert found.restarts == 3
    assert found.low == pytest.approx(math.exp(2 - 2.484138), rel=1e-6)
    assert found.high == pytest.approx(math.exp(2 + 2.484138), rel=1e-6)


def test_cases_that_share_no_round_have_no_ratio() -> None:
    other = measured(case("data_parallel", 2), [[1.0]])
    assert ratio(measured(case("single"), []), other, "latency") is None
    assert ratio(measured(case("single"), [[1.0]]), other, "fused") is None


def test_a_speed_up_counts_the_members() -> None:
    # 8 members in twice the time of one: four times the member-samples a second.
    single = measured(case("single"), [[1e-3]], fused=[[1e-4]])
    ensemble = measured(case("ensemble", members=8), [[2e-3]], fused=[[4e-4]])
    found = only(record(single, ensemble)).speedup
    assert found["latency"].value == pytest.approx(4)
    assert found["fused"].value == pytest.approx(2)


def test_single_is_once_as_fast_as_itself() -> None:
    assert same(only(record(measured(case("single"), drifting(1e-3)))).speedup["latency"], 1, 1, 1)


@pytest.mark.parametrize(
    "base",
    [
        dataclasses.replace(case("single"), batch=64),
        dataclasses.replace(case("single"), dtype="float64"),
        dataclasses.replace(case("single"), compute_dtype="bfloat16"),
        dataclasses.replace(case("single"), hidden_layers=2, hidden_dim=20),
        case("single", workload="wide"),
        case("data_parallel"),
    ],
)
def test_only_single_with_the_same_workload_batch_network_and_dtypes_is_compared_with(base: Case) -> None:
    assert only(record(measured(base, [[1e-3]]), measured(case("ensemble", members=8), [[1e-3]]))).speedup == {}


def test_single_in_other_sizes_and_dtypes_is_compared_with_its_like() -> None:
    of = {"hidden_layers": 2, "hidden_dim": 20, "compute_dtype": "bfloat16"}
    single = measured(dataclasses.replace(case("single"), **of), [[1e-3]])
    two = measured(dataclasses.replace(case("data_parallel", 2), **of, deterministic=True), [[0.5e-3]])
    assert only(record(single, two)).speedup["latency"].value == pytest.approx(2)


def test_where_single_broke_nothing_is_compared_with_it() -> None:
    broken = msgspec.structs.replace(measured(case("single"), [[1e-3]]), status="broken", why="dead")
    assert only(record(broken, measured(case("ensemble", members=8), [[1e-3]]))).speedup == {}


def test_a_step_is_the_median_of_restarts_of_the_medians_of_rounds() -> None:
    found = only(record(measured(case("single"), [[1, 2, 9], [3, 3, 3], [5, 4, 100]])))  # medians 2, 3, 5
    assert found.step_s["latency"].value == pytest.approx(3)
    assert found.step_s["latency"].restarts == 3
    assert set(found.step_s) == {"latency"}


def test_dispatch_and_the_fastest_step_are_of_the_steps_that_were_waited_for() -> None:
    # tests/records.py: a call returns after half of its step, and the fastest step takes a tenth.
    found = only(record(measured(case("single"), [[0.4, 0.2], [0.6, 0.8]], fused=[[1e-9], [1e-9]])))
    assert found.dispatch_s is not None
    assert found.dispatch_s.value == pytest.approx((0.15 + 0.35) / 2)
    assert found.fastest_s == pytest.approx(0.02)


def test_samples_a_second_count_every_member_by_the_fastest_kind_of_block() -> None:
    found = only(record(measured(case("ensemble", members=8), [[1e-2]], throughput=[[8e-3]], fused=[[4e-3]])))
    assert found.best == "fused"
    assert found.samples_per_s is not None
    assert found.samples_per_s.value == pytest.approx(8 * 32 / 4e-3)
    waited = only(record(measured(case("single"), [[1e-3]], throughput=[[2e-3]], fused=[[3e-3]])))
    assert waited.best == "latency"


def test_a_case_is_oversubscribed_if_its_simulated_devices_outnumber_the_cores() -> None:
    cases = [measured(case(*place), [[1e-3]]) for place in (("single", 1), ("data_parallel", 2), ("data_parallel", 4))]
    cases.append(measured(case("ensemble_data", (2, 2), members=8), [[1e-3]]))
    assert [s.oversubscribed for s in summaries(record(*cases, cores=2))] == [False, False, True, True]
    assert [s.oversubscribed for s in summaries(record(*cases, cores=4))] == [False] * 4
    assert [s.oversubscribed for s in summaries(record(*cases, cores=2, platform="gpu"))] == [False] * 4


def test_a_case_that_broke_is_oversubscribed_all_the_same() -> None:
    assert only(record(CaseResult(case("data_parallel", 8), "broken", "dead"))).oversubscribed


def test_the_compile_time_is_of_the_starts_that_no_cache_answered() -> None:
    starts = [(0.9, False), (0.01, True), (0.7, False), (0.01, True), (0.02, True)]
    assert only(record(measured(case("single"), [[1e-3]], compile_s=starts))).compile_s == pytest.approx(0.8)
    assert only(record(measured(case("single"), [[1e-3]], compile_s=[(0.01, True)]))).compile_s is None


@pytest.mark.parametrize("status", ["broken", "waiting"])
def test_a_case_that_is_not_measured_has_no_time_whatever_was_sampled(status: str) -> None:
    single = measured(case("single"), [[1e-3]])
    result = msgspec.structs.replace(measured(case("data_parallel", 2), [[1e-3]], fused=[[1e-4]]), status=status)
    found = only(record(single, result))
    assert (found.step_s, found.speedup, found.best) == ({}, {}, None)
    assert (found.dispatch_s, found.fastest_s, found.compile_s, found.samples_per_s) == (None,) * 4
    assert (found.result.cost, found.result.certificate) == (COST, GOOD)


def test_cases_stay_in_the_order_of_the_record() -> None:
    cases = [case("ensemble", members=8), case("single"), case("data_parallel", 2)]
    assert [s.case for s in summaries(record(*(measured(c, [[1e-3]]) for c in cases)))] == cases
