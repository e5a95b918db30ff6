"""That the path chosen is the quicker one: what was measured around each switch, against what would be chosen today."""

import itertools
from pathlib import Path

import msgspec
import pytest

from bench.cli import main as bench
from bench.peers.points import POINTS, REGRET_AT_MOST, contenders, regret
from bench.peers.record import Result, read
from bench.peers.switches import build, main
from bench.report import markdown
from bench.stats import Estimate

RECORD = read(Path(__file__).parent.parent / "results" / "peers" / "switches.json")


def test_the_committed_record_has_every_point_and_the_paths_that_there_are_today() -> None:
    assert [result.row for result in RECORD.results] == [point.row for point in POINTS.values()]
    assert {result.status for result in RECORD.results} == {"measured"}
    assert RECORD.complete


@pytest.mark.parametrize("result", RECORD.results, ids=lambda result: result.row.name)
def test_the_path_chosen_today_was_within_a_tenth_of_the_better_one(result: Result) -> None:
    lost = regret(result)
    assert lost is not None
    assert lost <= REGRET_AT_MOST


@pytest.mark.parametrize("walk", list(dict.fromkeys(point.walk for point in POINTS.values())))
def test_every_walk_goes_through_its_switches(walk: str) -> None:
    chosen = [point.chosen.plain for point in POINTS.values() if point.walk == walk]
    switches = {"batch at width 64": 2, "batch of 64 members": 0, "members in blocks": 0}
    assert sum(a != b for a, b in itertools.pairwise(chosen)) == switches.get(walk, 1)


def test_what_is_lost_is_by_the_path_that_was_chosen() -> None:
    chosen, plain = POINTS["width-10"], POINTS["width-128"]
    assert not chosen.chosen.plain
    assert plain.chosen.plain
    gain = Estimate(2.0, 1.9, 2.1, 3)
    assert regret(Result(chosen.row, "measured", ratio=gain)) == 1.0
    assert regret(Result(plain.row, "measured", ratio=gain)) == 2.0
    assert regret(Result(chosen.row, "measured", ratio=gain.inverse())) == 2.0
    assert regret(Result(plain.row)) is None


def test_every_point_has_both_paths_as_contenders() -> None:
    assert set(contenders()) == {name for point in POINTS.values() for name in (point.row.ours, point.row.theirs)}


def test_the_report_names_the_walks_and_what_the_chosen_path_takes() -> None:
    text = markdown.render(build(RECORD))
    assert "| width of 64 members | 22 | lanes | " in text
    assert "Every choice is within 10% of the better one." in text


def test_bench_report_shows_it_as_it_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(__file__).parent.parent / "results" / "peers" / "switches.json"
    assert bench(["report", str(path), "--format", "markdown"]) == 0
    assert capsys.readouterr().out == path.with_suffix(".md").read_text(encoding="utf-8")


def test_a_run_that_was_ended_early_claims_nothing() -> None:
    waiting = [Result(one.row) for one in RECORD.results[1:]]
    early = msgspec.structs.replace(RECORD, complete=False, results=(RECORD.results[0], *waiting))
    assert build(early).sentences == ("The run was ended early: what stands here is what there was by then.",)


def test_a_wrong_argument_gets_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--restarts", "0"]) == 2
    assert "restarts must be from 1" in capsys.readouterr().err
