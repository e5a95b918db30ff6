"""The fitted model and its projections, on records made by a law that is known."""

from __future__ import annotations

import dataclasses
import math

import pytest
from records import case, record, reducing, taken_apart

from bench import cost_model, links, projection
from bench.cases import Case
from bench.held_out import held_out
from bench.links import Spread
from bench.measured import Collective, Kind
from bench.projection import Job, model_of, projected, reach, sources
from bench.record import CaseResult, Record
from bench.report import projections
from toynet.errors import UsageError

# The law: seconds an example, a step's start, a message, and of a gigabyte a second; dispatch on one device, on more.
WORK, START, LATENCY, BANDWIDTH, DISPATCH, DISPATCH_SEVERAL = 1e-5, 2e-4, 5e-5, 1e9, 6e-5, 2e-4
SIZE = 4_000_000


def times(of: Case) -> dict[Kind, float]:
    n = of.devices
    compute = START + WORK * of.batch / n
    if n == 1:
        return {"latency": compute + DISPATCH, "fused": compute}
    hop = 2 * math.log2(n) * LATENCY
    link = hop + 2 * (n - 1) / n * SIZE / BANDWIDTH
    return {
        "latency": compute + link + DISPATCH_SEVERAL,
        "fused": compute + link,
        "compute": compute,
        "collectives": link,
        "rendezvous": hop,
    }


def result(batch: int, devices: int, noise: float = 0.0) -> CaseResult:
    of = dataclasses.replace(case("single" if devices == 1 else "data_parallel", devices), batch=batch)
    return taken_apart(of, times(of), reducing(devices, SIZE), noise=noise)


def measured(counts: tuple[int, ...] = (1, 2, 4), cores: int = 4, noise: float = 0.0) -> Record:
    results = [result(batch, n, noise) for n in counts for batch in (512, 1024, 2048)]
    return record(*results, cores=cores, parts=True)


def only(found: Record) -> projection.Source:
    (source,) = sources(found)
    return source


def test_a_law_without_noise_is_found_again() -> None:
    found = model_of(only(measured())).whole
    expected = {"work": WORK, "start": START, "latency": LATENCY, "bytes": 1 / BANDWIDTH, "dispatch": DISPATCH}
    for term, value in expected.items():
        assert found.coefficients[term] == pytest.approx(value, rel=1e-6)  # type: ignore[index]
    assert found.residual < 1e-6


@pytest.mark.parametrize("devices", [16, 64, 256])
def test_a_projection_is_what_the_law_says(devices: int) -> None:
    of = dataclasses.replace(case("data_parallel", devices), batch=2048)
    found = projected(model_of(only(measured())), Spread(devices), Job(2048), "fused")
    assert found.step_s.value == pytest.approx(times(of)["fused"], rel=1e-6)
    assert found.samples_per_s.value == pytest.approx(2048 / times(of)["fused"], rel=1e-6)
    alone = START + WORK * 2048
    assert found.strong.value == pytest.approx(alone / (devices * times(of)["fused"]), rel=1e-6)
    assert found.weak.value == pytest.approx((START + WORK * 2048 / devices) / times(of)["fused"], rel=1e-6)


def test_the_interval_has_what_restarts_scatter() -> None:
    sure, unsure = (
        projected(model_of(only(measured(noise=n))), Spread(16), Job(2048), "fused").step_s for n in (0.0, 0.1)
    )
    assert (sure.spread or 0) < 1e-6
    assert 0.05 < (unsure.spread or 0) < 0.3


def test_the_interval_has_what_the_model_misses() -> None:
    bent = measured()
    last = bent.cases[-1]
    longer = tuple(
        type(s)(s.restart, s.round, s.kind, dataclasses.replace(s.block, seconds=1.3 * s.block.seconds))
        for s in last.samples
    )
    cases = (*bent.cases[:-1], type(last)(last.case, "measured", cost=last.cost, parts=last.parts, samples=longer))
    found = model_of(only(type(bent)(**{**{f: getattr(bent, f) for f in bent.__struct_fields__}, "cases": cases})))
    assert found.whole.residual > 0.02
    assert (projected(found, Spread(16), Job(2048), "fused").step_s.spread or 0) > 0.04


def test_a_term_that_the_data_do_not_need_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "start" in model_of(only(measured(noise=0.01))).whole.coefficients
    monkeypatch.setattr("test_cost_model.START", 0.0)
    assert "start" not in model_of(only(measured(noise=0.01))).whole.coefficients


def test_what_a_restart_left_out_does_not_cost_the_others_theirs() -> None:
    found = measured(noise=0.05)
    first = found.cases[0]
    rare = type(first)(
        first.case,
        "measured",
        cost=first.cost,
        starts=first.starts,
        samples=tuple(sample for sample in first.samples if sample.restart == 0),
    )
    fit = model_of(only(record(rare, *found.cases[1:], cores=4)))
    assert len(fit.restarts) == 4


def test_each_family_of_modes_has_a_base_of_its_own() -> None:
    def ensemble(members: int, shards: int) -> CaseResult:
        of = case("ensemble" if shards == 1 else "ensemble_data", (shards, 1), members=members)
        return taken_apart(of, {"latency": 1e-3 * members / shards, "fused": 9e-4 * members / shards}, reducing(1, 0))

    results = [ensemble(8, 1), ensemble(16, 1), ensemble(8, 2), result(512, 1), result(1024, 1), result(512, 2)]
    found = {(source.base.case.mode, source.mode) for source in sources(record(*results))}
    assert found == {("ensemble", "ensemble_data"), ("single", "data_parallel")}


def test_members_are_divided_whole() -> None:
    job = Job(batch=32, members=8, by_members=True)
    assert [job.share(devices) for devices in (1, 2, 3, 8)] == [256, 128, 96, 32]
    assert job.divisible == 8
    assert Job(batch=100).share(64) == 2


def test_efficiency_halves_where_the_law_says() -> None:
    found = model_of(only(measured()))
    low, middle, high = reach(found, Spread, Job(2048), "fused")

    def efficiency(n: int) -> float:
        of = dataclasses.replace(case("data_parallel", n), batch=2048)
        return (START + WORK * 2048) / (n * times(of)["fused"])

    assert efficiency(middle) >= 0.5 > efficiency(middle + 1)
    assert low <= middle <= high


def test_no_device_is_left_without_an_example() -> None:
    free = cost_model.Model((), cost_model.Fit({"work": 1e-3}, 0.0), (cost_model.Fit({"work": 1e-3}, 0.0),) * 2, ())
    assert reach(free, Spread, Job(32), "fused") == (32, 32, 32)


def test_another_link_replaces_the_measured_one() -> None:
    link = {"latency": 1e-6, "bytes": 1e-11}
    found = projected(model_of(only(measured()), link), Spread(16), Job(2048), "fused")  # type: ignore[arg-type]
    expected = START + WORK * 2048 / 16 + 2 * math.log2(16) * 1e-6 + 2 * 15 / 16 * SIZE * 1e-11
    assert found.step_s.value == pytest.approx(expected, rel=1e-6)


def test_the_largest_count_is_foretold_from_fewer() -> None:
    found = held_out(only(measured()))
    assert {one.result.case.devices for one in found} == {4}
    assert {one.kind for one in found} == {"fused", "latency"}
    assert all(abs(one.error) < 1e-6 for one in found)


def test_two_devices_are_foretold_from_one_and_from_the_link_alone() -> None:
    found = held_out(only(measured((1, 2))))
    assert {one.kind for one in found} == {"fused"}
    assert all(abs(one.error) < 1e-6 for one in found)


def test_a_wrong_model_would_be_seen_where_it_is_held_out() -> None:
    with_rest = measured()
    slower = [
        type(r)(
            r.case,
            "measured",
            cost=r.cost,
            parts=r.parts,
            samples=tuple(
                type(s)(s.restart, s.round, s.kind, dataclasses.replace(s.block, seconds=2 * s.block.seconds))
                for s in r.samples
            ),
        )
        if r.case.devices == 4
        else r
        for r in with_rest.cases
    ]
    found = held_out(only(record(*slower, cores=4)))
    assert all(one.error < -0.3 for one in found)


def test_oversubscribed_times_are_not_used() -> None:
    source = only(measured((1, 2, 8), cores=2))
    assert {r.case.devices for r in source.several} == {2}
    assert {r.case.devices for r in source.left_out} == {8}
    assert {row.over.devices for row in model_of(source).rows} == {1, 2}


def test_nothing_is_foretold_from_oversubscribed_points_only() -> None:
    with pytest.raises(UsageError, match="--link-latency"):
        model_of(only(measured((1, 8), cores=2)))


def test_a_link_given_by_hand_makes_up_for_them() -> None:
    found = model_of(only(measured((1, 8), cores=2)), {"latency": 1e-6, "bytes": 1e-11})
    assert found.whole.coefficients["work"] == pytest.approx(WORK, rel=1e-6)


def test_one_point_is_no_line() -> None:
    one = [result(512, 1)]
    weak = [result(1024, 2)]
    with pytest.raises(UsageError, match="two points"):
        model_of(only(record(*one, *weak)))


def test_broken_cases_are_no_source() -> None:
    one, two = result(512, 1), result(512, 2)
    assert sources(record(one, CaseResult(two.case, "broken", why="it crashed"))) == []


def test_hops_grow_with_the_logarithm_of_devices() -> None:
    assert links.hops("all-reduce", 8) == 6
    assert links.hops("all-gather", 8) == 3


def test_terms_of_a_gather_and_a_scatter_are_half_of_an_all_reduce() -> None:
    gather, scatter = Collective("all-gather", 1, 8000, 2), Collective("reduce-scatter", 1, 4000, 2)
    reduce = Collective("all-reduce", 1, 8000, 2)
    assert cost_model.terms("fused", Spread(2), 1.0, (gather, scatter)) == cost_model.terms(
        "fused", Spread(2), 1.0, (reduce,)
    )


def test_the_collectives_are_those_that_were_timed() -> None:
    strange = taken_apart(
        dataclasses.replace(case("data_parallel", 8), batch=512), times(case("data_parallel", 8)), reducing(8, 12)
    )
    found = model_of(only(record(*measured((1, 2), cores=2).cases, strange, cores=2)))
    assert found.collectives == reducing(2, SIZE).collectives


def test_collectives_that_cannot_be_told_from_the_rest_are_not_projected() -> None:
    whole = [
        type(r)(r.case, "measured", cost=r.cost, samples=tuple(s for s in r.samples if s.kind == "latency"))
        for r in (result(512, 1), result(1024, 1), result(512, 2))
    ]
    with pytest.raises(UsageError, match="can't be told from the rest"):
        model_of(only(record(*whole)))


def test_what_was_measured_stands_beside_what_is_projected() -> None:
    wanted = projections.Wanted((2, 16), (2048,), (), (), {}, waited=False)
    (table,) = projections.build(measured(), wanted).tables
    # By the law: 0.2 ms + 10.24 ms + 0.1 ms + 4 ms.
    assert table.rows[0][-1].startswith("measured: 14.54 ms")
    assert table.rows[1][-1] == "projected"
