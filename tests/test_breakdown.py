"""Where the time goes, from parts whose times are chosen."""

from __future__ import annotations

import dataclasses

import pytest
from records import case, record, reducing, taken_apart

from bench import breakdown
from bench.breakdown import breakdowns, bus_factor, moved_bytes
from bench.measured import Collective, Kind
from bench.stats import Estimate

TWO = case("data_parallel", 2)
TIMES: dict[Kind, float] = {
    "latency": 0.010,
    "fused": 0.008,
    "compute": 0.005,
    "collectives": 0.002,
    "rendezvous": 0.001,
}


def of(times: dict[Kind, float], size: int = 2**20, **counts: float) -> breakdown.Breakdown:
    cost = dataclasses.replace(reducing(2, size), **counts)
    (found,) = breakdowns(record(taken_apart(TWO, times, cost)))
    return found


def test_parts_add_up_to_a_step_that_is_waited_for() -> None:
    found = of(TIMES)
    assert found.dispatch_s.value == pytest.approx(0.002)
    assert found.rest_s.value == pytest.approx(0.001)
    assert found.collectives_s is not None
    parts = found.compute_s.value + found.collectives_s.value + found.dispatch_s.value + found.rest_s.value
    assert parts == pytest.approx(found.step_s.value)


def test_what_overlaps_is_below_zero() -> None:
    assert of({**TIMES, "fused": 0.006}).rest_s.value == pytest.approx(-0.001)


def test_a_step_is_held_against_its_compute_and_collectives_in_the_same_rounds() -> None:
    found = of(TIMES)
    assert found.explained is not None
    assert found.explained.value == pytest.approx(8 / 7)


def test_a_step_without_collectives_is_all_compute() -> None:
    one = taken_apart(case("single"), {"latency": 0.010, "fused": 0.008}, reducing(1, 0))
    (found,) = breakdowns(record(one))
    assert found.compute_s.value == pytest.approx(0.008)
    assert found.collectives_s is None
    assert found.bandwidth is None
    assert found.rest_s.value == 0


def test_a_long_step_has_no_program_of_many_and_no_dispatch_of_its_own() -> None:
    found = of({"latency": 0.7, "compute": 0.5, "collectives": 0.1})
    assert found.dispatch_s.value == 0
    assert found.rest_s.value == pytest.approx(0.1)


# nccl-tests, doc/PERFORMANCE.md: 2(n-1)/n for an all-reduce, (n-1)/n for the two others.
@pytest.mark.parametrize(("kind", "factor"), [("all-reduce", 1.5), ("all-gather", 0.75), ("reduce-scatter", 0.75)])
def test_bus_bandwidth_has_the_factors_of_nccl_tests(kind: str, factor: float) -> None:
    assert bus_factor(kind, 4) == factor
    one = Collective(kind, 1, 1000, 4)
    found = breakdown.bandwidth((one,), Estimate(0.001, None, None, 1))
    assert found.algorithm.value == pytest.approx(moved_bytes(one) / 0.001)
    assert found.bus.value == pytest.approx(found.algorithm.value * factor)


def test_a_reduce_scatter_moves_all_that_is_reduced_and_not_its_result() -> None:
    assert moved_bytes(Collective("reduce-scatter", 1, 1000, 4)) == 4000


@pytest.mark.parametrize(
    ("times", "bound"),
    [
        ({"latency": 0.010, "fused": 0.002, "compute": 0.001, "collectives": 0.001}, "dispatch-bound"),
        ({"latency": 0.010, "fused": 0.009, "compute": 0.002, "collectives": 0.007}, "collective-bound"),
        ({"latency": 0.010, "fused": 0.009, "compute": 0.007, "collectives": 0.002, "product": 0.1}, "near no limit"),
        ({"latency": 0.010, "fused": 0.009, "compute": 0.007, "collectives": 0.002}, None),
        ({"latency": 0.010, "fused": 0.009, "compute": 0.001, "collectives": 0.002}, None),
    ],
)
def test_the_largest_part_is_what_bounds_a_step(times: dict[Kind, float], bound: str | None) -> None:
    assert of(times).bound == bound


def test_shares_of_peaks_are_rates_over_rates() -> None:
    # A product has 2 * 1024**3 FLOPs, so in 0.1 s 21.5 GFLOP/s; the step's 1e6 in its 8 ms are 0.125 GFLOP/s.
    found = of({**TIMES, "product": 0.1, "stream": 0.1}, product_flops=1e6, accessed_bytes=2.0**24)
    assert found.peak_flops_per_s is not None
    assert found.peak_flops_per_s.value == pytest.approx(2 * 1024**3 / 0.1)
    assert found.product_share is not None
    assert found.product_share.value == pytest.approx(1e6 / 0.008 / (2 * 1024**3 / 0.1))
    # A stream moves 2**28 bytes; the step a sixteenth of them, in 0.08 of the time.
    assert found.stream_share is not None
    assert found.stream_share.value == pytest.approx(0.0625 / 0.08)
    assert found.bound == "memory-bound"


def test_where_caches_answer_memory_bounds_nothing() -> None:
    found = of({**TIMES, "product": 0.1, "stream": 0.1}, product_flops=1e6, accessed_bytes=2.0**25)
    assert found.stream_share is not None
    assert found.stream_share.value > 1
    assert found.bound == "near no limit"


# A product has 2 * 1024**3 FLOPs in 0.1 s, and a step takes 8 ms: half of the peak are 2**30 * 0.08 of them.
@pytest.mark.parametrize(("flops", "bound"), [(0.081 * 2**30, "compute-bound"), (0.079 * 2**30, "near no limit")])
def test_a_step_is_bound_by_a_peak_of_which_it_reaches_half(flops: float, bound: str) -> None:
    assert of({**TIMES, "product": 0.1, "stream": 0.1}, product_flops=flops).bound == bound


def test_without_products_memory_is_all_that_can_bound_compute() -> None:
    assert of({**TIMES, "product": 0.1, "stream": 0.1}, accessed_bytes=2.0**24).bound == "memory-bound"


def test_differences_have_intervals_from_restarts() -> None:
    noisy = taken_apart(TWO, TIMES, reducing(2, 2**20), noise=0.1)
    (found,) = breakdowns(record(noisy))
    # Restarts alternate by 10%: 2.2, 1.8, 2.2, 1.8 ms; t(3) = 3.18.
    assert found.dispatch_s.half == pytest.approx(3.182 * 0.00023094 / 2, rel=1e-3)


def test_a_case_that_was_not_taken_apart_has_no_breakdown() -> None:
    result = taken_apart(TWO, TIMES, reducing(2, 8))
    assert breakdowns(record(type(result)(result.case, "measured", cost=result.cost, samples=result.samples))) == []
