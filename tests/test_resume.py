"""A run that was ended goes on: with what it lacks, where it began, and nowhere else."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest
from records import case, elsewhere, measured, record
from test_conductor import CASES, SINGLE, WIDE, World, referred, rounds, sampled

from bench import resuming
from bench.cases import Selection
from bench.cli import main
from bench.conductor import Conductor
from bench.events import Before, Event, RoundEnded, Schedule, Started
from bench.record import CaseResult, Process, Record, Resumed, read, write
from bench.run import Plan, groups, measure
from toynet.errors import UsageError

STEP_S = 0.001
OWN, ENSEMBLE = case("single"), case("ensemble", members=8)
OTHER = case("single", workload="wide")


def with_rounds(of: Any, *counts: int) -> CaseResult:
    """A case of so many rounds in each restart."""
    return measured(of, [[STEP_S] * count for count in counts])


def ended(*results: CaseResult, **more: Any) -> Record:
    """A record of a run that was ended; three restarts of three rounds were asked for."""
    return elsewhere(record(*results, complete=False), **more)


def left(of: Record) -> dict[str, list[int]]:
    """Of each workload that lacks restarts, which; all of its cases but the broken ones are in them."""
    cases, numbers = resuming.left(of, groups([result.case for result in of.cases]))
    whole = {result.case for result in of.cases if result.status != "broken"}
    assert all(set(some) == {case for case in whole if case.workload == some[0].workload} for some in cases)
    return {some[0].workload: list(those) for some, those in zip(cases, numbers, strict=True)}


def test_restarts_that_are_asked_for_are_numbered_so_and_the_first_has_a_round_whatever_it_takes() -> None:
    world = World(compile_s=dict.fromkeys(CASES, 5.0))
    conductor = world.conductor(restarts=9, rounds=2, budget_s=0.0)
    events = list(conductor.run([CASES, WIDE], [range(4, 6), range(1, 3)]))
    assert rounds(events) == [(4, 0), (1, 0)]
    started = Counter((event.case.workload, event.restart) for event in events if isinstance(event, Started))
    assert started == {("tutorial", 4): len(CASES), ("wide", 1): len(WIDE)}


def test_with_time_there_are_all_restarts_that_are_asked_for() -> None:
    events = list(World().conductor(restarts=9, rounds=1).run([CASES], [range(4, 7)]))
    assert rounds(events) == [(4, 0), (5, 0), (6, 0)]


def test_what_was_done_before_is_not_done_again_and_the_orders_are_others() -> None:
    def conducted(before: Before) -> tuple[World, list[Event]]:
        world = World()
        conductor = Conductor(lambda: nullcontext(world.start), lambda: world.now, Schedule(), (0, 1), before=before)
        return world, list(conductor.run([CASES]))

    world, events = conducted(Before(known=frozenset(CASES[1:]), refers=False, parts=1))
    assert {of for phase, of in world.asked if phase == "check"} == {SINGLE}
    assert not referred(events)
    assert [event.case for event in sampled(events)] != [event.case for event in sampled(conducted(Before())[1])]


def test_a_run_that_was_ended_lacks_the_restarts_it_has_not_begun() -> None:
    assert left(ended(CaseResult(OWN), CaseResult(OTHER))) == {"tutorial": [0, 1, 2], "wide": [0, 1, 2]}
    assert left(ended(with_rounds(OWN, 3, 3), CaseResult(OTHER))) == {"tutorial": [2], "wide": [0, 1, 2]}


def test_fewer_rounds_in_an_earlier_restart_and_in_one_that_had_its_time_are_whole() -> None:
    assert left(ended(with_rounds(OWN, 2, 1, 3), CaseResult(OTHER))) == {"wide": [0, 1, 2]}
    assert left(ended(with_rounds(OWN, 3, 1), with_rounds(OTHER, 3))) == {"wide": [1, 2]}


def test_a_broken_case_stays_broken_and_is_not_waited_for() -> None:
    broken = CaseResult(ENSEMBLE, "broken", "it died")
    assert left(ended(with_rounds(OWN, 3), broken)) == {"tutorial": [1, 2]}
    assert left(ended(broken)) == {}


def test_a_restart_that_was_broken_off_is_made_up_for_each_time() -> None:
    once = ended(with_rounds(OWN, 3, 1), CaseResult(OTHER))
    again = resuming.resumed(Path("run.json"), once, ended(with_rounds(OWN), CaseResult(OTHER)))
    assert again.resumed[0].again == ("tutorial",)
    assert left(again) == {"tutorial": [2, 3], "wide": [0, 1, 2]}
    more = msgspec.structs.replace(again, cases=(with_rounds(OWN, 3, 1, 2), CaseResult(OTHER)))
    twice = resuming.resumed(Path("run.json"), more, ended(CaseResult(OWN), CaseResult(OTHER)))
    assert [part.again for part in twice.resumed] == [("tutorial",)] * 2
    assert left(twice) == {"tutorial": [3, 4], "wide": [0, 1, 2]}


def test_a_workload_with_few_rounds_that_had_its_time_was_not_broken_off() -> None:
    once = ended(with_rounds(OWN, 3, 1), with_rounds(OTHER, 3, 2))
    found = resuming.resumed(Path("run.json"), once, ended(CaseResult(OWN), CaseResult(OTHER)))
    assert found.resumed[0].again == ("wide",)
    assert left(found) == {"wide": [2, 3]}


def test_a_part_of_a_run_says_when_it_began_after_how_many_seconds_and_how() -> None:
    now = ended(CaseResult(OWN), created="2026-11-26T09:00:00Z", command=("bench", "run", "--resume"), seconds=0.0)
    found = resuming.resumed(Path("run.json"), ended(with_rounds(OWN, 3)), now)
    assert found.resumed == (Resumed("2026-11-26T09:00:00Z", ("bench", "run", "--resume"), 12.5, 0.25),)
    assert (found.created, found.seconds) == ("2026-11-25T08:00:00Z", 12.5)


def process(rank: int, machine: int, **host: Any) -> Process:
    of = record(CaseResult(OWN))
    return Process(rank, f"node{machine}", machine, dataclasses.replace(of.host, **host), of.backend)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"host": {"cpu_model": "another"}}, "its CPU is a cpu, and here it is another"),
        ({"host": {"usable_cores": (0,)}}, "its usable cores is 2, and here it is 1"),
        (
            {"host": {"commit": "abc", "dirty": False}},
            "its commit is 0123456789abcdef with changes, and here it is abc",
        ),
        ({"host": {"environment": {"XLA_FLAGS": "--x"}}}, "its XLA_FLAGS is none, and here it is --x"),
        ({"backend": {"packages": {"jax": "0.12.0"}}}, "its jax is 0.10.2, and here it is 0.12.0"),
        ({"backend": {"device_kind": "a card"}}, "its device is a device, and here it is a card"),
        ({"processes": (process(0, 0), process(1, 1))}, "its number of processes is 1, and here it is 2"),
        ({"pinned": False}, "its workers kept on cores is yes, and here it is no"),
    ],
)
def test_a_run_is_gone_on_with_only_where_it_began(now: Mapping[str, Any], said: str) -> None:
    before = ended(with_rounds(OWN, 3))
    with pytest.raises(UsageError, match=f"run.json can't be gone on with here: {said}; go on where"):
        resuming.resumed(Path("run.json"), before, elsewhere(before, **now))


def test_each_process_has_to_be_on_a_host_of_the_same_kind_and_where_processes_are_may_change() -> None:
    places = {"environment": {"JAX_COORDINATOR_PORT": "1"}}
    two = ended(with_rounds(OWN, 3), processes=(process(0, 0), process(1, 1)))
    moved = elsewhere(two, host=places, processes=(process(0, 0, **places), process(1, 1, usable_cores=(2, 3))))
    assert resuming.unlike(two, moved) is None
    shared = elsewhere(two, processes=(process(0, 0), process(1, 0)))
    assert resuming.unlike(two, shared) == resuming.Unlike("rank 1's host", "the 2.", "the 1.")
    smaller = elsewhere(two, processes=(process(0, 0), process(1, 1, usable_cores=(0,))))
    assert resuming.unlike(two, smaller) == resuming.Unlike("rank 1's usable cores", "2", "1")


@pytest.mark.usefixtures("compiled_before")
def test_a_run_that_was_interrupted_goes_on_in_its_file_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))

    def interrupt(event: Event, _: object) -> None:
        if isinstance(event, RoundEnded):
            raise KeyboardInterrupt

    out = tmp_path / "run.json"
    selection = Selection(workloads=("planted:right",), modes=("single",), devices=(1,))
    schedule = Schedule(restarts=1, rounds=2, budget_s=600)
    with pytest.raises(KeyboardInterrupt):
        measure(Plan(selection=selection, schedule=schedule, out=out, tolerance=0.01), interrupt)
    was = read(out)
    assert not was.complete
    assert main(["run", "--resume", str(out), "--quiet"]) == 0
    found = read(out)
    assert found.complete
    assert found.seconds > was.seconds == found.resumed[0].after_s
    (result,) = found.cases
    assert result.samples[: len(was.cases[0].samples)] == was.cases[0].samples
    assert {(s.restart, s.round) for s in result.samples} == {(0, 0), (1, 0), (1, 1)}
    assert (found.created, found.schedule, found.tolerance) == (was.created, schedule, 0.01)
    assert out.with_suffix(".md").exists()


def test_a_complete_run_has_nothing_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run.json"
    write(record(with_rounds(OWN, 3)), out)
    before = out.read_bytes()
    assert main(["run", "--resume", str(out)]) == 0
    assert capsys.readouterr().out.endswith(f"\n{out} is complete: there is nothing left to measure.\n")
    assert out.read_bytes() == before


def test_what_selects_or_schedules_does_not_go_with_resuming(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--resume", "run.json", "--budget", "9", "--modes", "single", "--quiet"]) == 2
    said = "error: --resume goes on with the cases and the schedule of run.json; leave out --modes, --budget.\n"
    assert capsys.readouterr().err == said


def test_a_record_that_is_not_there_cannot_be_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--resume", str(tmp_path / "none.json")]) == 2
    assert "none.json: No such file or directory" in capsys.readouterr().err
