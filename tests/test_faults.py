"""What happens to a run over several processes when one of them is lost, or another thing goes wrong."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from records import case, measured, record

from bench import agent, company, run
from bench.cases import Selection
from bench.cli import main
from bench.commands import measuring
from bench.environment import Backend
from bench.keeping import keep
from bench.live import Nursery
from bench.record import Record, read
from bench.run import Plan
from toynet.cluster import Place
from toynet.errors import ProcessInterrupted, ProcessLost, UsageError
from toynet.link import Link
from toynet.rendezvous import Circle

ROOT = Path(__file__).parent.parent
MARK = "TOYNET_TEST_FAULTS"
LIMIT_S = 60.0
LOST = ProcessLost("rank 1 on b has ended")
PARTIAL = msgspec.structs.replace(record(measured(case("single"), [[0.001] * 3])), complete=False)


@pytest.fixture
def circles() -> Iterator[tuple[Circle, Circle]]:
    """Those of ranks 0 and 1, which listen to each other as soon as they are started."""
    everyone = [{"host": host, "network": "", "kernel": ""} for host in "ab"]
    ours, theirs = socket.socketpair()
    first = Circle(Place("a", 80, 2, 0), everyone, {1: Link(ours, "rank 1 on b", LIMIT_S)})
    second = Circle(Place("a", 80, 2, 1), everyone, {0: Link(theirs, "rank 0 on a", LIMIT_S)})
    yield first, second
    first.close()
    second.close()


def losing(written: Record | None, error: BaseException) -> Callable[..., None]:
    """A run that comes to that record, and to its end."""

    def measure(plan: Plan, *_: object) -> None:
        if written is not None:
            keep(written, plan.out)
        raise error

    return measure


def test_a_lost_rank_leaves_the_report_of_what_was_measured_and_the_way_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "measure", losing(PARTIAL, LOST))
    out = tmp_path / "run.json"
    assert main(["run", "--out", str(out)]) == 4
    assert capsys.readouterr().err == (
        f"error: rank 1 on b has ended; {out} has what was measured by then, and `python -m bench run --resume {out}`, "
        "started as this was, goes on with the rest.\n"
    )
    assert not read(out).complete
    assert "The run was ended before its last round" in out.with_suffix(".md").read_text(encoding="utf-8")


def test_a_rank_that_is_lost_before_the_first_round_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "measure", losing(None, LOST))
    assert main(["run", "--out", str(tmp_path / "run.json")]) == 4
    assert capsys.readouterr().err == "error: rank 1 on b has ended; nothing had been written by then.\n"
    assert not list(tmp_path.iterdir())


def test_the_loss_is_said_before_the_report_is_made_which_a_launcher_may_not_leave_the_time_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(_: object) -> None:
        assert "rank 1 on b has ended" in capsys.readouterr().err
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "measure", losing(PARTIAL, LOST))
    monkeypatch.setattr(measuring, "_report_of", stopped)
    assert main(["run", "--out", str(tmp_path / "run.json")]) == 4
    assert capsys.readouterr().err == ""


def test_a_rank_that_is_interrupted_says_so_before_its_workers_end(
    circles: tuple[Circle, Circle], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = circles
    first.start()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    def close(_: object) -> None:
        with pytest.raises(ProcessInterrupted):  # rank 0 knows by now
            first.links[1].receive()

    monkeypatch.setattr(agent._Agent, "do", interrupted)
    monkeypatch.setattr(agent._Agent, "close", close)
    first.links[1].send(b"rest 0 ")
    with pytest.raises(KeyboardInterrupt):
        agent.serve(second, LIMIT_S)
    with pytest.raises(ProcessInterrupted, match="rank 1 on b was interrupted"):
        first.check()


def test_a_loss_ends_the_waiting_for_a_process_that_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "endless.py").write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def look() -> None:
        raise LOST

    with contextlib.closing(Nursery(LIMIT_S, None, ("endless",), look=look)) as nursery:
        with pytest.raises(ProcessLost):
            nursery.worker()
        assert nursery._process.wait(LIMIT_S) == -signal.SIGKILL


def test_a_loss_is_found_while_rank_0_finds_out_what_it_runs_on_itself(circles: tuple[Circle, Circle]) -> None:
    first, second = circles

    def probe() -> Backend:
        second.close()
        with pytest.raises(ProcessLost):
            first.links[1].receive()
        first.check()
        raise AssertionError

    with pytest.raises(ProcessLost, match="rank 1 on b has ended"):
        company.company_of(first, probe, LIMIT_S)


def test_rank_0_that_is_refused_ends_the_others_with_its_sentence(
    circles: tuple[Circle, Circle], tmp_path: Path
) -> None:
    first, second = circles
    second.start()
    plan = Plan(selection=Selection(), schedule=PARTIAL.schedule, out=tmp_path)  # a folder, where no record can be
    with pytest.raises(UsageError), first.telling():
        run.measure(plan, lambda *_: None, first)
    with pytest.raises(UsageError, match=r"rank 0 on a gave up: .* is a folder"):
        second.links[0].receive()


def raised(circle: Circle, error: BaseException) -> None:
    with circle.telling():
        raise error


def test_what_a_rank_says_first_is_what_ends_it_whatever_the_others_answer(circles: tuple[Circle, Circle]) -> None:
    first, second = circles
    first.start()
    second.start()
    wrong = UsageError("no such thing")
    with pytest.raises(UsageError, match="no such thing"):
        raised(first, wrong)
    with pytest.raises(UsageError, match="rank 0 on a gave up: no such thing") as told:
        second.links[0].receive()
    with pytest.raises(UsageError):
        raised(second, told.value)
    with pytest.raises(UsageError):  # what it was told comes back
        first.links[1].receive()
    with pytest.raises(UsageError) as found:
        raised(first, wrong)
    assert found.value is wrong


def test_an_interruption_that_follows_a_loss_changes_nothing(circles: tuple[Circle, Circle]) -> None:
    first, second = circles
    first.start()
    second.close()
    with pytest.raises(ProcessLost):
        first.links[1].receive()
    with pytest.raises(ProcessLost):
        first.check()
    with pytest.raises(ProcessLost, match="rank 1 on b has ended"):
        raised(first, KeyboardInterrupt())


# What follows starts the command line as a user does.


class Ranks:
    """The processes of a command, by rank."""

    def __init__(self, folder: Path, flags: list[str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._temporary = folder / "temporary"
        self._temporary.mkdir(exist_ok=True)
        self.all = [self._started(rank, port, flags) for rank in range(2)]

    def _started(self, rank: int, port: int, flags: list[str]) -> subprocess.Popen[str]:
        joined = ["--coordinator", f"127.0.0.1:{port}", "--processes", "2", "--process-id", str(rank)]
        environment = {**os.environ, MARK: str(self._temporary), "TMPDIR": str(self._temporary)}
        return subprocess.Popen(
            [sys.executable, "-m", "bench", "run", *flags, *joined],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ended(self, rank: int) -> tuple[int, str]:
        """Its exit status, once it has ended, and what it said."""
        _, said = self.all[rank].communicate(timeout=300)
        return self.all[rank].returncode, said

    def close(self) -> None:
        for process in self.all:
            process.kill()
            process.communicate()

    def left(self) -> list[str]:
        """The command lines of processes that are still there, a few seconds after the last rank has ended."""
        until = time.monotonic() + 10
        while (found := self._left()) and time.monotonic() < until:
            time.sleep(0.05)
        return found

    def _left(self) -> list[str]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"{MARK}={self._temporary}".encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        return found


def until(happened: Callable[[], Any], ranks: Ranks) -> None:
    """Waits for that, as long as both ranks live."""
    while not happened():
        assert all(process.poll() is None for process in ranks.all)
        time.sleep(0.01)


@pytest.fixture
def planted(compiled_before: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))


@pytest.mark.usefixtures("planted")
def test_a_rank_that_is_killed_ends_the_run_which_goes_on_when_it_is_resumed(tmp_path: Path) -> None:
    out, host = tmp_path / "run.json", socket.gethostname()
    chosen = ["--workloads", "planted:right", "--modes", "data_parallel", "--devices", "2", "--across", "2"]
    schedule = ["--batch", "8", "--restarts", "2", "--rounds", "1", "--budget", "300", "--no-lint"]
    with contextlib.closing(Ranks(tmp_path, [*chosen, *schedule, "--out", str(out)])) as ranks:
        until(out.exists, ranks)
        ranks.all[1].kill()
        status, said = ranks.ended(0)
        assert status == 4
        assert said.startswith(f"error: rank 1 on {host} has ended; {out} has what was measured by then, and ")
        assert ranks.left() == []
    was = read(out)
    assert (was.complete, [start.restart for start in was.cases[0].starts]) == (False, [0])
    with contextlib.closing(Ranks(tmp_path, ["--resume", str(out), "--quiet"])) as ranks:
        assert [ranks.ended(rank) for rank in range(2)] == [(0, "")] * 2
        assert ranks.left() == []
    found = read(out)
    assert (found.complete, [start.restart for start in found.cases[0].starts]) == (True, [0, 1])


@pytest.mark.usefixtures("planted")
def test_a_rank_that_is_stopped_is_lost_and_ends_by_itself_once_it_goes_on(tmp_path: Path) -> None:
    with contextlib.closing(Ranks(tmp_path, ["--out", str(tmp_path / "run.json"), "--time-limit", "10"])) as ranks:
        children = Path(f"/proc/{ranks.all[1].pid}/task/{ranks.all[1].pid}/children")
        until(children.read_text, ranks)  # all have come
        ranks.all[1].send_signal(signal.SIGSTOP)
        said = f"error: rank 1 on {socket.gethostname()} gave no sign of life for 5 s"
        assert ranks.ended(0) == (4, f"{said}; nothing had been written by then.\n")
        ranks.all[1].send_signal(signal.SIGCONT)
        assert ranks.ended(1) == (4, f"{said}.\n")
        assert ranks.left() == []
    assert list((tmp_path / "temporary").iterdir()) == []
