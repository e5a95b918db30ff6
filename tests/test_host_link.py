"""Both links of the model, from records made by a law that is known: within a host, and between hosts."""

from __future__ import annotations

import dataclasses
import math

import msgspec
import pytest
from records import case, over, record, reducing, taken_apart

from bench import links
from bench.cases import Case
from bench.host_link import host_link
from bench.links import Spread
from bench.measured import Collective, Cost, Kind
from bench.projection import Job, model_of, projected, sources
from bench.record import CaseResult, Record

# Seconds an example, a step's start, a wait; each link's latency, and its bytes a second.
WORK, START, DISPATCH = 1e-5, 2e-4, 6e-5
LATENCY, BANDWIDTH = 5e-6, 1e9
HOST_LATENCY, HOST_BANDWIDTH = 1e-3, 12.5e6
SIZE = 400_000


def link_s(of: Case, gloo: bool) -> tuple[float, float]:
    """Of an all-reduce of an array, of next to nothing and of its size."""
    n, hosts = of.devices, of.processes
    if gloo and hosts > 1:
        small = 4 * (n - 1) * HOST_LATENCY
        return small, small + 2 * (n - 1) / n * SIZE / HOST_BANDWIDTH
    each = n // hosts
    small = 2 * math.log2(each) * LATENCY + 2 * math.log2(hosts) * HOST_LATENCY
    carried = 2 * (each - 1) / each * SIZE / BANDWIDTH + 2 * (hosts - 1) / hosts * SIZE / HOST_BANDWIDTH
    return small, small + carried


def times(of: Case, gloo: bool) -> dict[Kind, float]:
    compute = START + WORK * of.batch / of.devices
    if of.devices == 1:
        return {"latency": compute + DISPATCH, "fused": compute}
    small, whole = link_s(of, gloo)
    step = compute + whole
    return {
        "latency": step + DISPATCH,
        "fused": step,
        "compute": compute,
        "collectives": whole,
        "rendezvous": small,
    }


def cost(devices: int) -> Cost:
    found = reducing(devices, SIZE)
    return dataclasses.replace(found, collectives=tuple(dataclasses.replace(c, arrays=1) for c in found.collectives))


def result(batch: int, devices: int, processes: int, gloo: bool, noise: float = 0.0) -> CaseResult:
    of = case("single" if devices == 1 else "data_parallel", devices)
    of = dataclasses.replace(of, batch=batch, processes=processes)
    return taken_apart(of, times(of, gloo), cost(devices), noise=noise)


SHAPES = ((1, 1), (2, 1), (2, 2), (4, 2))


def measured(*machines: int, platform: str = "cpu", noise: float = 0.0, shapes: tuple[tuple[int, int], ...] = SHAPES):
    gloo = platform == "cpu"
    results = [result(batch, n, p, gloo, noise) for n, p in shapes for batch in (512, 2048)]
    return over(record(*results, cores=4, platform=platform, parts=True), *machines)


def only(found: Record):
    (source,) = sources(found)
    return source


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_both_links_are_found_again(platform: str) -> None:
    found = model_of(only(measured(0, 1, platform=platform))).whole.coefficients
    expected = {
        "latency": LATENCY,
        "bytes": 1 / BANDWIDTH,
        "host latency": HOST_LATENCY,
        "host bytes": 1 / HOST_BANDWIDTH,
    }
    for term, value in expected.items():
        assert found[term] == pytest.approx(value, rel=1e-6), term  # type: ignore[index]


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_the_link_between_hosts_stands_in_the_collectives_alone(platform: str) -> None:
    found = host_link(measured(0, 1, platform=platform, noise=0.02, shapes=((1, 1), (2, 2))))
    assert found is not None
    assert found.bytes_per_s is not None
    for estimate, value in ((found.latency_s, HOST_LATENCY), (found.bytes_per_s, HOST_BANDWIDTH)):
        assert estimate.value == pytest.approx(value, rel=0.03)
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low < value < estimate.high


def test_where_no_case_is_over_hosts_there_is_no_such_link() -> None:
    assert host_link(measured(0, 1, shapes=((1, 1), (2, 1)))) is None


def test_a_case_of_all_reduces_tells_the_link_before_one_that_carries_more() -> None:
    found = measured(0, 1, shapes=((1, 1), (2, 2), (4, 2)))
    *rest, last = found.cases
    assert last.cost is not None
    gathering = dataclasses.replace(last.cost, collectives=(Collective("all-gather", 1, 50 * SIZE, 4, 1),))
    rest.append(msgspec.structs.replace(last, cost=gathering))
    link = host_link(msgspec.structs.replace(found, cases=tuple(rest)))
    assert link is not None
    assert link.bytes_per_s is not None
    assert link.bytes_per_s.value == pytest.approx(HOST_BANDWIDTH)


def test_where_members_are_divided_as_well_collectives_are_over_fewer_devices_and_tell_nothing() -> None:
    found = measured(0, 1, shapes=((1, 1), (4, 2)))
    of = dataclasses.replace(case("ensemble_data", (2, 2), members=8), processes=2)
    cases = tuple(msgspec.structs.replace(r, case=of) for r in found.cases if r.case.devices == 4)
    assert host_link(found) is not None
    assert host_link(msgspec.structs.replace(found, cases=cases)) is None


@pytest.mark.parametrize("bandwidth", [HOST_BANDWIDTH, 1e4])
def test_too_few_bytes_tell_no_bandwidth_however_long_they_took(
    bandwidth: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("test_host_link.SIZE", 200)
    monkeypatch.setattr("test_host_link.HOST_BANDWIDTH", bandwidth)
    found = host_link(measured(0, 1))
    assert found is not None
    assert found.latency_s.value == pytest.approx(HOST_LATENCY)
    assert found.bytes_per_s is None


def test_restarts_that_scatter_more_than_bytes_take_tell_no_bandwidth() -> None:
    quiet, loud = (host_link(measured(0, 1, noise=noise)) for noise in (0.02, 0.9))
    assert quiet is not None
    assert loud is not None
    assert quiet.bytes_per_s is not None
    assert loud.bytes_per_s is None


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_a_projection_over_hosts_is_what_the_law_says(platform: str) -> None:
    source = only(measured(0, 1, platform=platform))
    assert source.each == 2
    over_hosts = source.spread(16)
    assert (over_hosts.hosts, over_hosts.each) == (8, 2)
    of = dataclasses.replace(case("data_parallel", 16), batch=2048, processes=8)
    found = projected(model_of(source), over_hosts, Job(2048), "fused")
    assert found.step_s.value == pytest.approx(times(of, platform == "cpu")["fused"], rel=1e-6)


def test_devices_of_one_host_need_no_link_between_hosts() -> None:
    source = only(measured(0, 1, platform="gpu"))
    of = dataclasses.replace(case("data_parallel", 8), batch=2048)
    found = projected(model_of(source), source.spread(8, 8), Job(2048), "fused")
    assert found.step_s.value == pytest.approx(times(of, False)["fused"], rel=1e-6)


def test_gloo_is_one_ring_of_all_devices_and_waits_for_its_receivers() -> None:
    both = (Collective("all-reduce", 1, 8000, 4, 3), Collective("all-gather", 1, 8000, 4, 1))
    found = links.amounts(both, Spread(4, 2, ring=True))
    # 3 arrays round 2 (4 - 1) steps of two latencies, and one round half as many.
    assert found == {"host latency": 3 * 12 + 6, "host bytes": 8000 * 1.5 + 8000 * 0.75}


def test_elsewhere_a_collective_has_two_levels() -> None:
    found = links.amounts((Collective("all-reduce", 2, 8000, 16, 4),), Spread(16, 4))
    assert found == {"latency": 2 * 4, "bytes": 8000 * 1.5, "host latency": 2 * 4, "host bytes": 8000 * 1.5}


def test_processes_of_one_host_talk_over_neither_link_where_a_cpu_has_several() -> None:
    found = measured(0, 0, 1, 1)
    of = dataclasses.replace(case("data_parallel", 2), processes=2)
    assert links.spread(found, of) is None
    assert links.spread(measured(0, 0, 1, 1, platform="gpu"), of) == Spread(2)
