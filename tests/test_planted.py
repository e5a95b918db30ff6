"""A case that goes wrong costs itself only: the run goes on, says what happened, and exits with 4."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from bench import cli
from bench.live import LiveWorker, Pipe, timeval
from bench.record import Record, read

TESTS = Path(__file__).parent
pytestmark = pytest.mark.usefixtures("compiled_before")


def run(out: Path, workloads: str, *flags: str) -> tuple[int, Record]:
    names = ",".join(f"planted:{name}" for name in workloads.split(","))
    short = ["--restarts", "1", "--rounds", "1", "--budget", "600", "--quiet", "--no-lint", "--out", str(out)]
    return cli.main(["run", "--workloads", names, *short, *flags]), read(out)


@pytest.fixture(autouse=True)
def _planted_workloads_are_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))


@pytest.fixture
def _soon_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The step that hangs is waited for 6 s, the others for as long as is asked: a machine may be busy."""
    ask = LiveWorker.ask

    def hurried(worker: LiveWorker[Pipe], request: dict[str, Any]) -> None:
        if request["ask"] == "prepare" and "planted:hangs" in str(request):
            assert worker._limit_s == 300
            worker._limit_s = 6.0
            worker.channel.pipe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval(6.0))
        ask(worker, request)

    monkeypatch.setattr(LiveWorker, "ask", hurried)


@pytest.mark.usefixtures("_soon_given_up")
def test_cases_that_raise_die_or_hang_are_broken_and_the_others_measured(tmp_path: Path) -> None:
    workloads = "raises,killed,hangs,restless,right"
    flags = ["--modes", "single", "--devices", "1", "--batch", "16", "--time-limit", "300", "--restarts", "2"]
    status, record = run(tmp_path / "r.json", workloads, *flags)
    found = {result.case.workload.partition(":")[2]: result for result in record.cases}
    assert status == 4
    assert record.complete
    assert found["right"].status == "measured"
    assert {sample.restart for sample in found["right"].samples} == {0, 1}
    assert "planted: the step raises" in (found["raises"].why or "")
    assert "SIGKILL" in (found["killed"].why or "")
    assert "no answer within 6 s" in (found["hangs"].why or "")
    assert "before the restart" in (found["restless"].why or "")
    assert all(found[name].status == "broken" for name in ("raises", "killed", "hangs", "restless"))
    assert "BROKEN" in (tmp_path / "r.md").read_text()


def test_a_case_that_xla_aborts_is_broken_and_the_others_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {"warn_stuck": 1, "terminate": 2}
    flags = [f"--xla_cpu_collective_call_{name}_timeout_seconds={n}" for name, n in seconds.items()]
    monkeypatch.setenv("XLA_FLAGS", " ".join(flags))
    modes = ("--modes", "data_parallel", "--devices", "2")
    status, record = run(tmp_path / "r.json", "deadlocks,right", *modes)
    found = {result.case.workload.partition(":")[2]: result for result in record.cases}
    assert status == 4
    assert "SIGABRT" in (found["deadlocks"].why or "")
    assert found["right"].status == "measured"


def test_a_mode_that_computes_something_else_is_broken_and_never_timed(tmp_path: Path) -> None:
    modes = ("--modes", "single,data_parallel", "--devices", "1,2")
    status, record = run(tmp_path / "r.json", "times_n", *modes)
    found = {(result.case.mode, result.case.devices): result for result in record.cases}
    wrong = found["data_parallel", 2]
    assert status == 4
    assert wrong.status == "broken"
    assert wrong.samples == ()
    assert "wrong results: raw gradients" in (wrong.why or "")
    assert found["single", 1].status == found["data_parallel", 1].status == "measured"


def test_right_cases_exit_with_0(tmp_path: Path) -> None:
    status, record = run(tmp_path / "r.json", "right", "--modes", "single,ensemble", "--members", "3", "--devices", "1")
    assert status == 0
    assert [result.status for result in record.cases] == ["measured", "measured"]
