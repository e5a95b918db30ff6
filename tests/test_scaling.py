"""Strong and weak scaling, from records whose step times are chosen."""

from __future__ import annotations

import dataclasses

import pytest
from records import case, measured, over, record

from bench import scaling
from bench.cases import Case
from bench.record import CaseResult, Record

# Two restarts of one round each: 8 ms, then 10 ms.
ONE = ((0.008,), (0.010,))


def on(mode: str, shards: int | tuple[int, int], step_s: tuple[float, float], **sizes: int) -> CaseResult:
    of = dataclasses.replace(case(mode, shards), **sizes)
    return measured(of, tuple((s,) for s in step_s))


def only(found: Record) -> scaling.Series:
    (one,) = scaling.series(found)
    return one


def test_strong_scaling_is_the_time_of_one_device_over_that_of_n() -> None:
    found = only(record(measured(case("single"), ONE), on("data_parallel", 2, (0.005, 0.00625)), cores=2))
    (point,) = found.points
    assert found.scaling == "strong"
    assert point.speedup.value == pytest.approx(1.6)
    assert point.efficiency.value == pytest.approx(0.8)
    assert point.of_cores.value == pytest.approx(0.8)
    assert not point.oversubscribed


def test_weak_scaling_has_as_much_for_each_device() -> None:
    found = only(record(measured(case("single"), ONE), on("data_parallel", 4, (0.010, 0.0125), batch=128), cores=8))
    (point,) = found.points
    assert found.scaling == "weak"
    assert point.efficiency.value == pytest.approx(0.8)
    assert point.speedup.value == pytest.approx(3.2)


def test_devices_that_share_cores_are_marked_and_held_against_the_cores() -> None:
    found = only(record(measured(case("single"), ONE), on("data_parallel", 8, (0.004, 0.005)), cores=2))
    (point,) = found.points
    assert point.oversubscribed
    assert point.efficiency.value == pytest.approx(0.25)
    assert point.of_cores.value == pytest.approx(1.0)


def test_on_a_gpu_nothing_shares_a_core() -> None:
    found = record(measured(case("single"), ONE), on("data_parallel", 8, (0.004, 0.005)), cores=2, platform="gpu")
    (point,) = only(found).points
    assert not point.oversubscribed
    assert point.of_cores.value == pytest.approx(0.25)


def test_members_scale_against_an_ensemble_on_one_device() -> None:
    one = measured(dataclasses.replace(case("ensemble"), members=8), ONE)
    strong = on("ensemble_data", (2, 1), (0.004, 0.005), members=8)
    weak = on("ensemble_data", (2, 1), (0.008, 0.010), members=16)
    found = {series.scaling: series.points[0] for series in scaling.series(record(one, strong, weak))}
    assert found["strong"].efficiency.value == pytest.approx(1.0)
    assert found["weak"].efficiency.value == pytest.approx(1.0)
    assert found["weak"].speedup.value == pytest.approx(2.0)


@pytest.mark.parametrize(
    "other",
    [
        case("data_parallel", 2, workload="wide"),
        dataclasses.replace(case("data_parallel", 2), batch=48),
        dataclasses.replace(case("data_parallel", 2), dtype="float64"),
        dataclasses.replace(case("data_parallel", 2), deterministic=True),
        case("data_parallel", 1),
    ],
)
def test_what_is_other_work_is_no_scaling_of_it(other: Case) -> None:
    base = case("single")
    assert not scaling.fits(base, other, "strong")
    assert not scaling.fits(base, other, "weak")


def test_fused_steps_are_compared_only_if_every_case_has_them() -> None:
    both = measured(case("single"), ONE, fused=((0.001,), (0.001,)))
    without = on("data_parallel", 2, (0.004, 0.005))
    withs = measured(case("data_parallel", 2), ONE, fused=((0.0005,), (0.0005,)))
    assert only(record(both, without)).kind == "latency"
    assert only(record(both, withs)).kind == "fused"


def test_a_broken_case_scales_to_nothing() -> None:
    one, two = measured(case("single"), ONE), on("data_parallel", 2, (0.005, 0.006))
    two = CaseResult(two.case, "broken", why="it crashed")
    assert scaling.series(record(one, two)) == []


def test_where_workers_cannot_be_kept_on_cores_no_number_of_devices_is_fair() -> None:
    found = record(measured(case("single"), ONE), on("data_parallel", 2, (0.005, 0.006)), cores=8)
    unpinned = type(found)(**{**{name: getattr(found, name) for name in found.__struct_fields__}, "pinned": False})
    (point,) = only(unpinned).points
    assert point.oversubscribed


def test_an_ensemble_over_devices_is_no_scaling_of_a_single_member() -> None:
    one = measured(case("single"), ONE)
    eight = on("ensemble_data", (8, 1), (0.004, 0.005), members=8)
    assert scaling.series(record(one, eight)) == []


def over_processes(devices: int, processes: int, step_s: tuple[float, float], **sizes: int) -> CaseResult:
    return on("data_parallel", devices, step_s, processes=processes, **sizes)


def test_efficiency_over_hosts_times_that_within_one_is_the_whole() -> None:
    one = measured(case("single"), ONE)
    within, whole = on("data_parallel", 2, (0.005, 0.00625)), over_processes(4, 2, (0.004, 0.005))
    found = only(over(record(one, within, whole, cores=4), 0, 1))
    here, both = found.points
    assert here.within is not None
    assert (here.within.value, here.over) == (pytest.approx(0.8), None)
    assert both.within is not None
    assert both.over is not None
    # 8 / (2 x 5), 5 / (2 x 4), 8 / (4 x 4).
    assert both.within.value == pytest.approx(0.8)
    assert both.over.value == pytest.approx(0.625)
    assert both.efficiency.value == pytest.approx(0.8 * 0.625)


def test_weak_scaling_over_hosts_has_as_much_on_each() -> None:
    one = measured(case("single"), ONE)
    within = on("data_parallel", 2, (0.010, 0.0125), batch=64)
    whole = over_processes(4, 2, (0.016, 0.020), batch=128)
    found = only(over(record(one, within, whole, cores=4), 0, 1))
    point = found.points[-1]
    assert point.within is not None
    assert point.over is not None
    assert (point.within.value, point.over.value) == (pytest.approx(0.8), pytest.approx(0.625))
    assert point.efficiency.value == pytest.approx(0.5)


def test_with_one_device_on_each_host_there_is_nothing_within() -> None:
    found = over(record(measured(case("single"), ONE), over_processes(2, 2, (0.005, 0.00625)), cores=4), 0, 1)
    (point,) = only(found).points
    assert point.within is None
    assert point.over is not None
    assert point.over.value == pytest.approx(0.8)


def test_what_was_not_measured_on_one_host_is_told_neither_within_nor_over() -> None:
    found = over(record(measured(case("single"), ONE), over_processes(4, 2, (0.004, 0.005)), cores=4), 0, 1)
    (point,) = only(found).points
    assert (point.within, point.over) == (None, None)


def test_processes_of_one_host_are_within_it_where_there_are_several_hosts() -> None:
    one, here = measured(case("single"), ONE), over_processes(2, 2, (0.005, 0.00625))
    whole = over_processes(4, 4, (0.004, 0.005))
    first, second = only(over(record(one, here, whole, cores=4), 0, 0, 1, 1)).points
    assert first.within is not None
    assert (first.within.value, first.over) == (pytest.approx(0.8), None)
    assert second.over is not None
    assert second.over.value == pytest.approx(0.625)


def test_in_one_process_nothing_is_said_of_hosts() -> None:
    (point,) = only(record(measured(case("single"), ONE), on("data_parallel", 2, (0.005, 0.00625)))).points
    assert (point.within, point.over, point.hosts) == (None, None, 1)
