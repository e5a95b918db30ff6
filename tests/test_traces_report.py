"""That a report links the traces of its cases, wherever a link is shown."""

import dataclasses
import json
from pathlib import Path

import msgspec
import pytest
from records import case, measured, record

from bench.cli import main
from bench.record import CaseResult, write
from bench.report import markdown, structured, table, terminal
from bench.report.document import Report

SINGLE = measured(case("single"), [[1e-3]])
TRACE = 'traces/my.module:step."single" (1)/<trace>.gz'


def report(**of_case: str) -> Report:
    return table.build(record(msgspec.structs.replace(SINGLE, **of_case), CaseResult(case("ensemble", members=8))))


def test_a_trace_is_linked_by_a_url_in_which_nothing_is_markup() -> None:
    url = "traces/my.module%3Astep.%22single%22%20%281%29/%3Ctrace%3E.gz"
    traced = report(trace=TRACE)
    assert f"\n- [trace of tutorial/single-1/m1/b32]({url})\n" in markdown.render(traced)
    assert json.loads(structured.render([traced]))["reports"][0]["links"] == [
        {"text": "trace of tutorial/single-1/m1/b32", "target": url}
    ]


def test_a_terminal_shows_where_a_trace_lies(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.show(report(trace="traces/single/trace.gz"), terminal.console())
    assert "trace of tutorial/single-1/m1/b32: traces/single/trace.gz\n" in capsys.readouterr().out


def test_what_a_trace_shows_is_said_and_why_there_is_none() -> None:
    (said,) = [one for one in report(trace=TRACE).sentences if "trace" in one and "checked before" not in one]
    assert said.startswith("1 case has a trace of a few steps")
    assert "tutorial/single-1/m1/b32 has no trace: the disk is full." in report(untraced="the disk is full").sentences


def test_where_the_traces_of_other_processes_lie_is_said() -> None:
    over = msgspec.structs.replace(SINGLE, case=dataclasses.replace(case("data_parallel", 2), processes=2))
    said = table.build(record(SINGLE, msgspec.structs.replace(over, trace=TRACE))).sentences
    assert any("that of rank 0; each other rank has put its own beside it, on its host" in one for one in said)
    assert not any("each other rank" in one for one in report(trace=TRACE).sentences)


def test_without_traces_nothing_is_said_of_them() -> None:
    assert report().links == ()
    assert not any("has a trace" in one or "no trace" in one for one in report().sentences)
    assert report() == dataclasses.replace(report(), links=())


def test_a_report_that_is_read_elsewhere_links_from_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(record(msgspec.structs.replace(SINGLE, trace=TRACE)), tmp_path / "runs" / "run.json")
    for form, begins in (("html", 'href="'), ("markdown", "](")):
        out = tmp_path / f"report.{form}"
        assert main(["report", str(tmp_path / "runs" / "run.json"), "--format", form, "-o", str(out)]) == 0
        assert f"{begins}runs/traces/my.module%3Astep." in out.read_text(encoding="utf-8")
    capsys.readouterr()
