"""Runs of real workers: in turns, and on a CPU that is told to be a card."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from test_nvml import Library

from bench import environment, run
from bench.cases import Case, Selection
from bench.conductor import Conductor
from bench.environment import Backend
from bench.events import Event, RoundEnded, Schedule, Started
from bench.nvml import Gpu
from bench.record import read
from bench.report import markdown, table
from bench.room import Room
from bench.summary import in_turns, summaries
from toynet.errors import UsageError


@pytest.fixture(autouse=True)
def _planted_workloads_are_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def test_on_a_card_for_one_process_workers_alternate_and_the_record_has_power_and_clocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = (Gpu("GPU-c333", "a card", one_process=True), Gpu("GPU-aa00", "a card"))
    card = Backend("gpu", "a card", 2, False, {}, "3", {}, gpus=cards)
    monkeypatch.setattr(run, "probe", lambda *_: card)
    monkeypatch.setitem(sys.modules, "pynvml", Library())
    alive: list[int] = []

    def watch(event: Event, conductor: Conductor) -> None:
        if isinstance(event, RoundEnded):
            alive.append(len(conductor._workers))

    selection = Selection(workloads=("planted:right",), modes=("single", "ensemble"), members=(8,), devices=(1,))
    schedule = Schedule(restarts=1, rounds=1, budget_s=30)
    out = tmp_path / "run.json"
    run.measure(run.Plan(selection=selection, schedule=schedule, out=out), watch)
    record = read(out)
    assert record.complete
    assert record.alternation == "restarts"
    assert [result.status for result in record.cases] == ["measured"] * 2
    assert alive == [1, 1]  # two cases, each by itself
    # 53 degrees are the fourth card's, the only one in use.
    assert [(r.round, r.device, r.temperature_c) for r in record.gpu_readings] == [(0, 0, 53.0)] * 2
    assert "SM clock 1.98 GHz" in markdown.render(table.build(record))


@pytest.mark.usefixtures("compiled_before")
def test_cases_that_cannot_all_be_alive_take_turns_and_each_is_compared_with_single(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "room", lambda *_, **__: Room(2))
    alive: list[int] = []
    cores = environment.usable_cores()

    def watch(event: Event, conductor: Conductor) -> None:
        if isinstance(event, Started):
            assert environment.usable_cores() == cores
            pinned.update(event.cores)
        if isinstance(event, RoundEnded):
            alive.append(len(conductor._workers))
            if environment.CAN_PIN and len(cores) > 1:  # this process isn't where its workers are
                assert not pinned & set(environment.usable_cores())
            pinned.clear()

    pinned: set[int] = set()
    selection = Selection(workloads=("planted:right",), modes=("single", "ensemble"), members=(2, 4), devices=(1,))
    plan = run.Plan(selection=selection, schedule=Schedule(restarts=1, rounds=1, budget_s=30), out=tmp_path / "r.json")
    record = run.measure(plan, watch)
    assert alive == [2, 2]
    assert in_turns(record, "planted:right")
    single, *others = summaries(read(plan.out))
    assert [start.restart for start in single.result.starts] == [0, 0]
    assert {(s.restart, s.round) for s in single.result.samples} == {(0, 0), (0, 1)}
    assert all(set(summary.speedup) == {"latency", "throughput", "fused"} for summary in others)
    assert "took turns" in markdown.render(table.build(record))


def test_a_case_for_which_there_is_no_memory_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.environment.free_bytes", lambda: 10**9)
    selection = Selection(workloads=("wide",), modes=("single", "ensemble"), members=(64,), devices=(1,))
    with pytest.raises(UsageError, match=r"wide/ensemble-1/m64/b512 takes 1\.2 GB at least, .* 1\.0 GB of memory"):
        run.measure(run.Plan(selection=selection, schedule=Schedule(), out=tmp_path / "run.json"), lambda *_: None)
    assert not list(tmp_path.iterdir())


def test_a_record_names_the_commit_of_what_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, preset = (Case(workload=name, mode="single") for name in ("own_step.py", "tutorial"))
    monkeypatch.chdir(tmp_path)
    assert run.tree([own]) == Path()
    assert run.tree([own, preset]) == run.tree([preset]) == run.ROOT
    (tmp_path / "toynet").mkdir()
    (tmp_path / "toynet" / "__init__.py").touch()  # whose presets it then trains
    assert run.tree([preset]) == Path()
