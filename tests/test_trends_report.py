"""What `bench history` says, in every format, and its charts."""

import dataclasses
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from histories import ENSEMBLE, SINGLE, a_run, commit_of, kept
from records import case

from bench.cli import main
from bench.history import History, history
from bench.record import Record, write
from bench.report import trends
from bench.report.charts import of_history
from bench.report.charts import trends as charts_of_trends
from bench.report.document import Report
from bench.report.quantity import Number

SLOWER = 1.06
RUNS = 20


@pytest.fixture(autouse=True)
def _signals_as_they_were() -> Iterator[None]:
    """`main` takes SIGTERM as an interrupt."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two cases; the first is slower from run 12 on, and both from run 16 on, with another jaxlib."""

    def made(n: int) -> Record:
        both = SLOWER if n >= 16 else 1
        steps = {SINGLE: 8e-5 * (SLOWER if n >= 12 else 1) * both, ENSEMBLE: 9e-5 * both}
        return a_run(n, steps, jaxlib="0.10.2" if n >= 16 else "0.10.1", machine=1 + 0.1 * (n % 3))

    return kept(tmp_path_factory.mktemp("changed"), RUNS, made)


def of(folder: Path, least: float = 0.01) -> History:
    return history([folder], "latency", least)


def rows(report: Report, table: int = 0) -> list[dict[str, str]]:
    found = report.tables[table]
    headings = [column.heading for column in found.columns]
    return [dict(zip(headings, row, strict=True)) for row in found.rows]


def short(number: int) -> str:
    return commit_of(number)[:7]


def test_each_case_has_a_row_below_that_of_the_reference_workload(changed: Path) -> None:
    reference, single, ensemble = rows(trends.build(of(changed)))
    assert reference["case"] == "(reference workload)"
    assert reference["first"].startswith("100.1 us")
    assert [row["case"] for row in (single, ensemble)] == [SINGLE.name, ENSEMBLE.name]
    assert [row["runs"] for row in (reference, single, ensemble)] == ["20"] * 3
    assert [row["changes"] for row in (reference, single, ensemble)] == ["", "2", "1"]
    for row, first in ((single, 0.8), (ensemble, 0.9)):
        latest = row["latest"]
        assert isinstance(latest, Number)
        assert isinstance(row["first"], Number)
        assert row["first"].value == pytest.approx(first, rel=0.02)
        assert latest.value / row["first"].value == pytest.approx(SLOWER ** int(row["changes"]), rel=0.02)
        assert isinstance(row["against before"], Number)
        assert abs(row["against before"].value) < 0.02  # since the last change, not over all
        assert row["last change"].endswith(" since 2026-01-17 08:00")
    assert isinstance(single["scatter"], Number)
    assert 0.001 <= single["scatter"].value < 0.005  # of the ratio; that of the machine is 10%


def test_each_change_has_a_row_the_newest_first_with_the_commits_it_lies_among(changed: Path) -> None:
    found = rows(trends.build(of(changed)), table=1)
    assert [(row["case"], row["since"]) for row in found] == [
        (SINGLE.name, "2026-01-17 08:00"),
        (ENSEMBLE.name, "2026-01-17 08:00"),
        (SINGLE.name, "2026-01-13 08:00"),
    ]
    assert [row["commits"] for row in found] == [f"{short(15)}..{short(16)}"] * 2 + [f"{short(11)}..{short(12)}"]
    assert [row["also new"] for row in found] == ["jaxlib 0.10.1 -> 0.10.2"] * 2 + [""]
    for row in found:
        step = row["step"]
        assert isinstance(step, Number)
        assert step.low is not None
        assert step.high is not None
        assert step.low < SLOWER - 1 < step.high
        assert step.startswith("+")


def test_sentences_say_what_became_slower_since_when_and_for_what(changed: Path) -> None:
    both, single, *others = trends.build(of(changed)).sentences
    assert both.startswith("2 cases are ")
    assert f"% slower since the run of 2026-01-17 08:00: commits {short(15)}..{short(16)} or jaxlib 0.10.1" in both
    assert both.endswith(f"they are {SINGLE.name}, {ENSEMBLE.name}.")
    assert single.startswith(f"{SINGLE.name} is ")
    assert single.endswith(f"slower since the run of 2026-01-13 08:00: commits {short(11)}..{short(12)}.")
    assert others == ["jaxlib 0.10.1 -> 0.10.2 with the run of 2026-01-17 08:00."]


def test_where_nothing_changed_one_sentence_says_so_and_there_is_no_table_of_changes(tmp_path: Path) -> None:
    report = trends.build(of(kept(tmp_path, 10, lambda n: a_run(n, {SINGLE: 8e-5}))))
    assert report.sentences == ("No case became slower or faster by 1% or more, as far as these runs tell.",)
    assert len(report.tables) == 1


@pytest.mark.parametrize(
    ("dirty", "said"),
    [
        (False, f"commits {short(0)} alone."),
        (True, f"commits {short(0)}..{short(0)} (dirty)."),
    ],
)
def test_a_change_without_another_commit_is_told_as_that(tmp_path: Path, dirty: bool, said: str) -> None:
    def made(n: int) -> Record:
        run = a_run(n, {SINGLE: 8e-5 * (SLOWER if n >= 10 else 1)})
        host = dataclasses.replace(run.host, commit=commit_of(0), dirty=dirty and n >= 10)
        return msgspec.structs.replace(run, host=host)

    (sentence,) = trends.build(of(kept(tmp_path, RUNS, made))).sentences
    assert sentence.endswith(f": {said}")


def test_runs_outside_of_a_checkout_have_no_commits_to_tell(tmp_path: Path) -> None:
    def made(n: int) -> Record:
        run = a_run(n, {SINGLE: 8e-5 * (SLOWER if n >= 10 else 1)})
        return msgspec.structs.replace(run, host=dataclasses.replace(run.host, commit=None))

    (sentence,) = trends.build(of(kept(tmp_path, RUNS, made))).sentences
    assert sentence.endswith(": commits unknown.")


def test_runs_without_such_steps_say_so(tmp_path: Path) -> None:
    found = history([kept(tmp_path, 2, lambda n: a_run(n, {SINGLE: 8e-5}))], "fused", 0.01)
    assert trends.build(found).sentences == ("None of these runs has fused steps.",)


def test_what_does_not_count_is_said(tmp_path: Path) -> None:
    parallel = case("data_parallel", 2)

    def made(n: int) -> Record:
        return a_run(n, {SINGLE: 8e-5, **({ENSEMBLE: 9e-5} if n < 3 else {})}, reference=n > 0)

    kept(tmp_path, 8, made)
    write(a_run(9, {parallel: 2e-4}, reference=False), tmp_path / "parallel.json")
    write(a_run(3, {SINGLE: 8e-5}), tmp_path / "latest.json")
    (tmp_path / "list.json").write_text("[]")
    assert trends.build(of(tmp_path)).sentences == (
        "No case became slower or faster by 1% or more, as far as these runs tell.",
        "1 case has fewer than 6 runs: too few to look for changes.",
        "1 case has no run that timed the reference workload; step times are shown, and no changes sought, since a "
        "slower machine can't be told from a slower commit.",
        "2 runs are of before there was a reference workload, and left out where others have it.",
        "1 file isn't a run's record, and passed over.",
        "1 file is a copy of a run that is in another.",
    )


def test_what_cannot_be_seen_for_the_scatter_is_said(tmp_path: Path) -> None:
    one = trends.build(of(kept(tmp_path / "one", 10, lambda n: a_run(n, {SINGLE: 8e-5}, scatter=0.05))))
    said = rf"These runs can't tell a change of 1%: as runs scatter, .* by 1?\d% or so to be seen in {SINGLE.name}\."
    assert re.fullmatch(said, one.sentences[0])
    assert one.sentences[1].startswith("No case became slower or faster by 1% or more")
    steps = {SINGLE: 8e-5, ENSEMBLE: 9e-5}
    two = trends.build(of(kept(tmp_path / "two", 10, lambda n: a_run(n, steps, scatter=0.05))))
    assert re.search(r"\d% or so to be seen in \S+, and by \d+% in \S+\.$", two.sentences[0])


def test_a_case_without_reference_is_told_in_seconds(tmp_path: Path) -> None:
    (row,) = rows(trends.build(of(kept(tmp_path, 2, lambda n: a_run(n, {SINGLE: 8e-5}, reference=False)))))
    assert isinstance(row["latest"], Number)
    assert row["latest"].unit == "s"
    assert row["latest"].value == pytest.approx(8e-5, rel=0.02)
    assert (row["scatter"], row["changes"], row["last change"]) == ("", "", "")


# charts


def test_a_chart_of_each_case_has_its_runs_its_levels_and_its_changes(changed: Path) -> None:
    single, ensemble = of_history(of(changed))
    assert (single.title, ensemble.title) == (SINGLE.name, ENSEMBLE.name)
    drawn = [row for rows in single.spec["datasets"].values() for row in rows]
    points = [row for row in drawn if "commit" in row]
    assert len(points) == 2 * RUNS
    assert {row["commit"] for row in points} == {short(n) for n in range(RUNS)}
    assert sorted({row["x"] for row in drawn if row.get("change")}) == [11.5, 15.5]
    assert [row["x"] for row in drawn if row.get("change") is False] == [15.5]
    assert sorted({(row["x"], row["end"]) for row in drawn if "end" in row}) == [
        (-0.5, 11.5),
        (11.5, 15.5),
        (15.5, 19.5),
    ]
    assert [row[4] == "" for row in single.drawn.rows] == [True, False, False]


def test_cases_with_changes_are_drawn_first_and_no_more_than_there_is_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charts_of_trends, "CHARTS_AT_MOST", 3)
    cases = [case("ensemble", members=n) for n in range(1, 6)]
    last = cases[-1]

    def made(n: int) -> Record:
        return a_run(n, {of: 8e-5 * (SLOWER if of == last and n >= 6 else 1) for of in cases})

    drawn = of_history(of(kept(tmp_path, 12, made)))
    assert [chart.title for chart in drawn] == [of.name for of in (last, *cases[:2])]
    assert [chart.key for chart in drawn] == ["trend-1", "trend-2", "trend-3"]


def test_a_single_run_has_no_chart(tmp_path: Path) -> None:
    assert of_history(of(kept(tmp_path, 1, lambda n: a_run(n, {SINGLE: 8e-5})))) == []


# the command


def test_every_format_has_the_changes(changed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    among = f"{short(11)}..{short(12)}"
    for form in ("terminal", "markdown", "json", "html"):
        out = tmp_path / f"history.{form}"
        assert main(["history", str(changed), "--format", form, "-o", str(out)]) == 0
        assert among in out.read_text()
        assert capsys.readouterr().out == f"{out}: 1 report\n"
    assert main(["history", str(changed)]) == 0
    assert capsys.readouterr().out == (tmp_path / "history.terminal").read_text()
    (report,) = json.loads((tmp_path / "history.json").read_text())["reports"]
    assert report["tables"][1]["rows"][0]["step"]["value"] == pytest.approx(SLOWER - 1, abs=0.01)
    assert (tmp_path / "history.html").read_text().count("<figure") == 2


def test_broken_files_are_named_and_the_others_shown(
    changed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.json").write_text('{"schema": 4, "cases": [')
    assert main(["history", str(tmp_path), str(changed), str(tmp_path / "none.json")]) == 2
    printed, complaints = capsys.readouterr()
    assert SINGLE.name in printed
    missing, broken = sorted(complaints.splitlines(), key=lambda line: "broken.json" in line)
    assert missing.startswith(f"error: {tmp_path / 'none.json'}: No such file")
    assert broken.startswith(f"error: {tmp_path / 'broken.json'}: not a record")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no record and no folder was named"),
        (["{folder}"], "there is no record of `python -m bench run`"),
        (["{folder}/none.json"], "none.json: No such file or directory"),
        (["{folder}", "--least", "-1%"], "--least is a share from 0% to 100%, got -1%"),
        (["{folder}", "--least", "100%"], "got 100%"),
    ],
)
def test_what_cannot_be_told_is_refused(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", *(argument.format(folder=tmp_path) for argument in arguments)]) == 2
    printed, complaint = capsys.readouterr()
    assert printed == ""
    assert said in complaint
    assert complaint.count("\n") == 1


def test_changes_below_the_least_that_is_asked_for_are_left_out(
    changed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", str(changed), "--least", "20%"]) == 0
    assert "No case became slower or faster by 20% or more" in capsys.readouterr().out
