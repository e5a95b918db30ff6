"""Which process is slower than the others, from blocks whose times are chosen."""

from __future__ import annotations

import dataclasses

import pytest
from records import Times, case, in_each, measured, over, record

from bench.record import CaseResult, Record
from bench.report import stragglers as said
from bench.stragglers import paces

ONE = ((1e-3, 1e-3),) * 3
BOTH = dataclasses.replace(case("data_parallel", 2), processes=2)


def times(*restarts: float) -> Times:
    """Two rounds in each restart."""
    return tuple((step_s, 1.1 * step_s) for step_s in restarts)


def run(*results: CaseResult, machines: tuple[int, ...] = (0, 1)) -> Record:
    return over(record(measured(case("single"), ONE), *results), *machines)


def slower(factor: float) -> Record:
    result = in_each(measured(BOTH, ONE), "latency", times(2e-3, 2e-3, 2e-3), times(2.02e-3, 2.02e-3, 2.02e-3))
    both = (times(1e-4, 1.1e-4, 1.2e-4), times(factor * 1e-4, factor * 1.1e-4, factor * 1.21e-4))
    result = in_each(without_whole(result), "reference", *both)
    return run(in_each(result, "compute", *both))


def without_whole(result: CaseResult) -> CaseResult:
    """Only with what each process took."""
    kept = tuple(sample for sample in result.samples if sample.block.processes_s)
    return type(result)(**{**{name: getattr(result, name) for name in result.__struct_fields__}, "samples": kept})


def test_a_slower_process_is_named_with_its_host_and_by_how_much() -> None:
    found = paces(slower(1.5))
    assert found is not None
    assert found.quickest.rank == 0
    assert found.each[1].slower["reference"].value == pytest.approx(1.5, rel=0.01)
    assert found.waited == pytest.approx(1.01)
    (first, second) = said.sentences(slower(1.5))
    assert first.startswith("Slower than rank 0 on node0 is rank 1 on node1: the reference workload 1.50x (1.49 to ")
    assert "Blocks of waited steps take 1.0% longer in one process" in second


def test_what_may_be_chance_is_no_straggler() -> None:
    for factor in (0.98, 1.0, 1.02):
        first, _ = said.sentences(slower(factor))
        assert first.startswith("No process clearly takes over 5% longer than rank ")
    assert said.tables(slower(1.0))[0].rows[0][-1] == ""


def test_the_quickest_need_not_conduct() -> None:
    found = paces(slower(0.5))
    assert found is not None
    assert found.quickest.rank == 1
    (table,) = said.tables(slower(0.5))
    assert [row[-1] for row in table.rows] == ["slower", ""]


def test_processes_that_share_a_core_say_nothing_of_each_other() -> None:
    crowded = over(slower(1.5), 0, 0, cores=(0,))
    assert paces(crowded) is None
    assert said.sentences(crowded) == said.tables(crowded) == []


def test_one_process_is_held_against_nobody() -> None:
    assert paces(record(measured(case("single"), ONE))) is None
