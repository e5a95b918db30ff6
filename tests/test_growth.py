"""How cost grows, and how far from its limits it is, from records whose times and counts are chosen."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import msgspec
import pytest
from records import COST, case, measured, record, reducing, taken_apart

from bench.cases import Case
from bench.growth import Growth, growths, network
from bench.measured import Cost, Kind
from bench.record import CaseResult, Record
from bench.report import growth
from bench.report.table import build

# What a product and a stream of tests/records.py are of, each of which takes 0.1 s here: 21.5 GFLOP/s, 2.7 GB/s.
PEAKS: dict[Kind, float] = {"product": 0.1, "stream": 0.1}
PRODUCT_FLOPS, STREAM_BYTES = 2.0 * 1024**3, 2.0**28


def sized(of: Case, **sizes: int) -> Case:
    return dataclasses.replace(of, **sizes)


def at(of: Case, times: dict[Kind, float], *, arithmetic_s: float, memory_s: float, noise: float = 0.0) -> CaseResult:
    """A case whose products and bytes would take these seconds at the peaks, and its 50 instructions those times."""
    cost = dataclasses.replace(
        reducing(1, 0),
        product_flops=arithmetic_s / 0.1 * PRODUCT_FLOPS,
        accessed_bytes=memory_s / 0.1 * STREAM_BYTES,
        argument_bytes=1000 * of.members,
        instructions=50,
    )
    return taken_apart(of, {**times, **PEAKS}, cost, noise=noise)


def of_members(members: int, fused_s: float, arithmetic_s: float, memory_s: float) -> CaseResult:
    times: dict[Kind, float] = {"latency": fused_s + 6e-5, "fused": fused_s}
    return at(case("ensemble", members=members), times, arithmetic_s=arithmetic_s, memory_s=memory_s)


def members(*, parts: bool = True) -> Record:
    """Of 1 member, all of it small operations; of 100 bound by memory."""
    return record(
        of_members(100, 5e-4, 1e-5, 4e-4),
        of_members(1, 5e-6, 1e-7, 1e-6),
        of_members(10, 5e-5, 1e-6, 1e-5),
        parts=parts,
    )


def only(of: Record) -> Growth:
    (found,) = growths(of)
    return found


def plain(*cases: Case) -> Record:
    """A record of those cases, each of a millisecond."""
    return record(*(measured(one, [[1e-3], [1e-3]]) for one in cases))


# Series


def test_a_series_is_the_cases_that_differ_in_one_thing_in_rising_order() -> None:
    found = only(members())
    assert (found.quantity, found.mode, found.kind) == ("members", "ensemble", "fused")
    assert [point.value for point in found.points] == [1, 10, 100]
    assert [point.peak_bytes for point in found.points] == [24_000, 33_000, 123_000]  # 23 kB and 1 kB a member


def test_two_values_are_no_series_and_a_broken_case_is_none_of_it() -> None:
    found = members()
    broken = CaseResult(found.cases[2].case, "broken", why="it crashed")
    assert growths(record(*found.cases[:2], broken)) == []


def test_a_grid_has_a_series_along_each_of_its_lines() -> None:
    chosen = [
        sized(case("single"), batch=batch, hidden_layers=2, hidden_dim=dim)
        for batch in (8, 16, 32)
        for dim in (4, 5, 6)
    ]
    found = growths(plain(*chosen))
    assert [one.quantity for one in found] == ["hidden_dim"] * 3 + ["batch"] * 3
    assert [growth.fixed(one) for one in found[:2]] == [("batch 8", "2 hidden layers"), ("batch 16", "2 hidden layers")]
    assert growth.fixed(found[3]) == ("batch 8", "h2x4")[1:]


def test_a_preset_of_its_own_size_stands_among_those_that_were_resized() -> None:
    found = only(plain(*(sized(case("single"), hidden_layers=1, hidden_dim=dim) for dim in (20, 5)), case("single")))
    assert [point.value for point in found.points] == [5, 10, 20]
    assert network(case("single")) == (1, 10)
    assert network(case("single", workload="own:step")) is None


def test_a_network_without_hidden_layers_has_no_place_on_a_logarithmic_axis() -> None:
    chosen = [sized(case("single"), hidden_layers=layers, hidden_dim=10) for layers in (0, 2, 4)]
    assert growths(plain(*chosen)) == []
    assert [point.value for point in only(plain(*chosen, case("single"))).points] == [1, 2, 4]


def test_over_devices_a_mode_begins_with_what_it_divides_on_one() -> None:
    divided = [case("data_parallel", 2), case("data_parallel", 4)]
    assert [point.result.case.mode for point in only(plain(case("single"), *divided)).points] == [
        "single",
        "data_parallel",
        "data_parallel",
    ]
    own = only(plain(case("single"), case("data_parallel", 1), *divided))
    assert {point.result.case.mode for point in own.points} == {"data_parallel"}


def test_of_several_meshes_of_as_many_devices_the_squarest_is_taken() -> None:
    meshes = [(1, 2), (8, 1), (2, 2), (4, 1), (4, 2)]
    found = only(plain(*(case("ensemble_data", mesh, members=8) for mesh in meshes)))
    assert [point.result.case.mesh for point in found.points] == ["1x2", "2x2", "4x2"]


def test_steps_of_one_program_are_taken_only_where_every_case_has_them() -> None:
    found = members()
    waited = at(case("ensemble", members=10), {"latency": 0.7}, arithmetic_s=1e-6, memory_s=1e-5)
    assert only(record(*found.cases[:2], waited)).kind == "latency"


# Limits


def test_the_limit_is_the_largest_and_the_distance_how_many_times_it_the_step_takes() -> None:
    first, _, last = only(members()).points
    assert (first.limit, last.limit) == ("memory", "memory")
    assert first.distance is not None
    assert last.distance is not None
    assert first.distance.value == pytest.approx(5)
    assert last.distance.value == pytest.approx(1.25)
    assert last.limit_s("arithmetic") == pytest.approx(1e-5)
    assert last.limit_s("memory") == pytest.approx(4e-4)
    assert (first.bound, last.bound) == (None, "memory-bound")  # a fifth of a step, and four fifths


def test_in_one_program_no_dispatch_is_a_limit_and_of_a_waited_step_it_is_one() -> None:
    found = members()
    assert only(found).points[0].limit_s("dispatch") is None
    long = at(case("ensemble", members=1000), {"latency": 0.7}, arithmetic_s=0.1, memory_s=0.5)
    waited = only(record(*found.cases, long, parts=True))
    assert [point.limit for point in waited.points] == ["dispatch", "dispatch", "memory", "memory"]
    # 60 us of the 65 that a step of one member takes.
    assert waited.points[0].limit_s("dispatch") == pytest.approx(6e-5)
    assert waited.points[0].bound == "dispatch-bound"
    assert "dispatch" not in waited.points[-1].shares


def test_memory_is_no_limit_of_a_step_that_is_quicker_than_it() -> None:
    quick = [of_members(n, 1e-5 * n, 8e-6 * n, 2e-5 * n) for n in (1, 2, 4)]
    for point in only(record(*quick)).points:
        assert (point.limit, point.bound) == ("arithmetic", "compute-bound")
        assert "memory" not in point.shares


def test_a_fast_paths_limit_is_all_its_flops_for_it_has_no_matrix_products_and_its_bytes_are_in_loops() -> None:
    def fast(members: int, fused_s: float) -> CaseResult:
        result = of_members(members, fused_s, 0.0, 1e-6)
        assert result.cost is not None
        cost = dataclasses.replace(result.cost, flops=0.25 * fused_s / 0.1 * PRODUCT_FLOPS)
        return msgspec.structs.replace(result, case=dataclasses.replace(result.case, path="fast"), cost=cost)

    found = only(record(fast(8, 1e-5), fast(64, 4e-5), fast(512, 3e-4), parts=True))
    last = found.points[-1]
    assert last.limit == "arithmetic"
    assert last.distance is not None
    assert last.distance.value == pytest.approx(4)
    assert last.bound is None
    (said,) = growth.growth_sentences(record(parts=True), [found])
    assert "instructions" not in said


def test_the_distance_has_an_interval_from_restarts() -> None:
    times: dict[Kind, float] = {"latency": 1e-3, "fused": 1e-3}
    chosen = [case("ensemble", members=n) for n in (1, 2, 4)]
    found = only(record(*(at(one, times, arithmetic_s=5e-4, memory_s=1e-5, noise=0.1) for one in chosen)))
    distance = found.points[-1].distance
    assert distance is not None
    # Every block of a restart is longer by as much, so the shares are the same in each.
    assert (distance.low, distance.high) == (pytest.approx(2), pytest.approx(2))


def test_without_peaks_there_is_no_limit_and_nothing_that_bounds() -> None:
    found = only(plain(*(case("ensemble", members=n) for n in (1, 2, 4))))
    assert [(point.limit, point.distance, point.bound) for point in found.points] == [(None, None, None)] * 3


# Words


def row(of: Record) -> dict[str, str]:
    """The only row, without intervals, which are next to nothing here, and not the same on every processor."""
    (table,) = growth.growth_tables(growths(of))
    (cells,) = table.rows
    values = (re.sub(r" ±\S*%$", "", cell) for cell in cells)
    return dict(zip((column.heading for column in table.columns), values, strict=True))


def said(of: Record) -> str:
    return "\n".join(growth.growth_sentences(of, growths(of)))


def test_the_table_has_both_ends_the_exponent_the_limit_and_why() -> None:
    assert row(members()) == {
        "over": "members",
        "mode": "ensemble",
        "with": "batch 32",
        "from": "1",
        "to": "100",
        "step at first": "5.000 us",
        "step at last": "500.0 us",
        "times": "100.0x",
        "exponent": "1.00 ±0.01",
        "memory at first": "24 kB",
        "memory at last": "120 kB",
        "limit": "memory, 400 us",
        "times the limit": "1.250x",
        "bound by": "memory",
    }


def test_a_sentence_says_how_time_grows_how_far_it_is_and_why() -> None:
    assert said(members()) == (
        "tutorial: ensemble (batch 32) from 1 to 100 members: a step of one program takes 100.0x (100.0 to 100.0) as "
        "long, 100x the members (time grows with their power 1.00 ±0.01). With 100 members it takes 1.250x (1.250 to "
        "1.250) as long as the largest limit, memory at the measured bandwidth (400 us), and is bound by memory."
    )


def test_what_no_limit_bounds_is_told_by_its_instructions() -> None:
    # 500 us a member, of which the nearest limit is a tenth; 50 instructions.
    far = record(*(of_members(n, 5e-4 * n, 1e-6 * n, 5e-5 * n) for n in (1, 2, 3)), parts=True)
    assert row(far)["bound by"] == "none of them: 50 instructions of about 30 us each"
    assert said(far).endswith("and is bound by none of them: 50 instructions of about 30 us each.")
    older = [dataclasses.replace(COST, product_flops=1.0, instructions=0)] * 3
    assert row(record(*with_costs(far.cases, older)))["bound by"] == "none of them"


def with_costs(results: Sequence[CaseResult], costs: Sequence[Cost]) -> list[CaseResult]:
    return [
        CaseResult(
            r.case, "measured", cost=cost, certificate=r.certificate, parts=r.parts, starts=r.starts, samples=r.samples
        )
        for r, cost in zip(results, costs, strict=True)
    ]


def test_a_record_without_peaks_says_how_to_get_them() -> None:
    of = plain(*(case("ensemble", members=n) for n in (1, 2, 4)))
    assert "with --parts" in said(of)
    assert (row(of)["limit"], row(of)["times the limit"], row(of)["bound by"]) == ("", "", "")
    assert "with --parts" not in said(members())


def test_growth_over_devices_that_share_cores_is_not_told() -> None:
    of = plain(case("single"), *(case("data_parallel", n) for n in (2, 4, 8)))
    assert growths(of)
    assert growth.growth_tables(growths(of)) == []
    assert said(of) == ""


def test_the_report_of_a_record_has_it() -> None:
    report = build(members())
    assert "tutorial: how cost grows, and how far from the limit" in [table.title for table in report.tables]
    assert any("(time grows with their power" in sentence for sentence in report.sentences)
    assert growth.LEGEND in report.legend
    assert growth.LEGEND not in build(plain(case("single"))).legend
