"""Training in several processes: what each makes of its child and of the others, with fakes, and twice in reality."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from leftovers import marked

from toynet import child as childs
from toynet import cluster, several, training
from toynet.__main__ import main
from toynet.cluster import Joined, Place
from toynet.errors import ProcessLost, UsageError
from toynet.link import Ended, Link
from toynet.options import Room, Train, asked
from toynet.rendezvous import Circle
from toynet.several import Report, watched

LIMIT_S = 60.0
MARK = "TOYNET_TEST_SEVERAL"
COMMAND = [sys.executable, "-m", "toynet", "train"]


class Child:
    """One that goes on for so many looks, and then reports."""

    def __init__(self, *reports: Report | None, stopped: bool = False) -> None:
        self.reports = list(reports)
        self.stopped = stopped

    def heard(self, within_s: float) -> Report | None:
        return self.reports.pop(0) if self.reports else None


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Circle]]:
    """Ranks 0 and 1, who wait for no reason for longer than it takes to hear it."""
    monkeypatch.setattr(several, "LOOK_S", 0.001)
    monkeypatch.setattr(several, "GRACE_S", dict.fromkeys(several.GRACE_S, 0.0) | {"aborted": 0.02, "failed": 0.04})
    facts = {"kernel": "", "network": ""}
    everyone = [{"host": "a", "address": "10.0.0.1", **facts}, {"host": "b", "address": "127.0.1.1", **facts}]
    ends = socket.socketpair()
    circles = [
        Circle(Place("a", 80, 2, rank), everyone, {1 - rank: Link(end, f"rank {1 - rank}", LIMIT_S)})
        for rank, end in enumerate(ends)
    ]
    for circle in circles:
        circle.start()
    yield circles
    for circle in circles:
        circle.close()


def over(child: Child, circle: Circle, limit_s: float = LIMIT_S) -> int:
    return watched(child, circle, limit_s)  # type: ignore[arg-type]


def test_rank_0_is_done_when_its_child_is_and_the_others_when_rank_0_is(two: list[Circle]) -> None:
    assert over(Child(None, Report("done", "130")), two[0]) == 130
    two[0].end(130)
    with pytest.raises(Ended) as ended:
        over(Child(Report("done", "0")), two[1])
    assert ended.value.args == (130,)


@pytest.mark.parametrize("how", ["killed", "aborted", "failed"])
def test_a_child_that_is_over_loses_the_process_by_rank_and_host(two: list[Circle], how: str) -> None:
    with pytest.raises(ProcessLost, match=r"^rank 1 on b was ended by SIGSEGV$"):
        over(Child(None, Report(how, "was ended by SIGSEGV")), two[1])  # type: ignore[arg-type]


def test_what_another_was_lost_by_is_said_rather_than_what_it_leads_to_here(two: list[Circle]) -> None:
    two[1].fail(ProcessLost("rank 1 on b was ended by SIGKILL"))
    with pytest.raises(ProcessLost, match=r"^rank 1 on b was ended by SIGKILL$"):
        over(Child(Report("failed", "failed: JaxRuntimeError: Gloo: connection closed by peer")), two[0], 600)


def test_a_child_that_is_stopped_for_half_of_the_limit_is_lost(two: list[Circle]) -> None:
    with pytest.raises(ProcessLost, match=r"^rank 0 on a has been stopped for 0\.01 s$"):
        over(Child(stopped=True), two[0], 0.02)


def test_what_is_unusable_is_said_by_rank_0_or_by_whom_it_concerns_alone(two: list[Circle]) -> None:
    for circle in two:
        with pytest.raises(UsageError, match=r"^not enough memory$"):
            over(Child(Report("unusable", "not enough memory")), circle)


def test_a_host_that_the_others_cannot_reach_is_told_to_all_and_is_a_matter_of_a_cpu(
    two: list[Circle], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (several._met(circle, LIMIT_S) for circle in two)
    assert [first.process_id, second.process_id] == [0, 1]
    assert first.unreachable == second.unreachable
    monkeypatch.setattr(cluster, "join", lambda joined: None)
    with pytest.raises(UsageError, match=r"^rank 1 on b has 127\.0\.1\.1 for the address of b, where no other host"):
        training.run(Train(), Room(processes=2, devices=2), second)


@pytest.mark.parametrize(
    ("raised", "report"),
    [
        (None, ("done", "0")),
        (BrokenPipeError(), ("done", "130")),
        (UsageError("not so."), ("unusable", "not so.")),
        (OSError("no\nspace."), ("failed", "failed: OSError: no space")),
    ],
)
def test_a_child_reports_how_its_training_went(
    monkeypatch: pytest.MonkeyPatch, raised: Exception | None, report: tuple[str, str]
) -> None:
    def run(options: Train, room: Room, joined: Joined) -> None:
        assert (options.seeds, room, joined.count) == (4, Room(processes=2, devices=2), 2)
        if raised is not None:
            raise raised

    monkeypatch.setattr(training, "run", run)
    assert childs._report(["train", "--seeds", "4"], Joined("a:80", 2, 0, LIMIT_S)) == report


@pytest.mark.parametrize(
    ("options", "devices", "expected"),
    [
        (Train(), 2, ("data_parallel", 1, 2)),
        (Train(), 8, ("data_parallel", 1, 8)),
        (Train(devices=4), 8, ("data_parallel", 1, 4)),
        (Train(seeds=16), 2, ("ensemble_data", 2, 1)),
        (Train(mode="ensemble_data"), 4, ("ensemble_data", 2, 2)),
        (Train(seeds=4, mesh="1x4"), 2, ("ensemble_data", 1, 4)),
        (Train(mode="fsdp"), 2, ("fsdp", 1, 2)),
    ],
)
def test_several_processes_divide_what_there_is_over_all_devices(
    options: Train, devices: int, expected: tuple[str, int, int]
) -> None:
    _, mode, layout = asked(options, Room(processes=2, devices=devices))
    assert (mode.name, layout.member_shards, layout.data_shards) == expected
    assert layout.processes == 2


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--mode", "single"], "mode 'single' runs in 1 process, and there are 2; 'data_parallel' takes several."),
        (["--mode", "ensemble"], "mode 'ensemble' runs in 1 process, and there are 2; 'ensemble_data' takes several."),
        (["--devices", "3"], "3 devices can't be shared equally by 2 processes"),
        (["--time-limit", "0"], "--time-limit must be above 0 and finite, got 0"),
        (["--time-limit", "nan"], "--time-limit must be above 0 and finite, got nan"),
    ],
)
def test_what_several_processes_cannot_do_is_said_before_they_are_started(
    capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    assert main(["train", "--local-processes", "2", *argv]) == 2
    printed, complaint = capsys.readouterr()
    assert printed == ""
    assert message in complaint


@pytest.mark.usefixtures("compiled_before", "compiled_once")
def test_rank_0_alone_prints_what_one_process_does_and_draws(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(MARK, "1")
    flags = ["train", "--seeds", "3", "--mesh", "2x1", "--epochs", "2", "--batch", "100"]
    assert main([*flags, "--local-processes", "2", "--plot", str(tmp_path)]) == 0
    together, complaints = capfd.readouterr()
    assert complaints == ""
    assert not marked(MARK)
    assert {path.name for path in tmp_path.iterdir()} == {"data.png", "split.png", "decision.png", "disagreement.png"}
    assert main(flags) == 0
    assert together == capfd.readouterr().out


@pytest.mark.usefixtures("compiled_before")
def test_a_rank_that_is_killed_ends_the_other_which_names_it_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(MARK, "1")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    joined = ["--coordinator", address, "--processes", "2", "--time-limit", "600", "--epochs", "2000000000"]
    first, second = (
        subprocess.Popen(
            [*COMMAND, *joined, "--process-id", rank], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for rank in "01"
    )
    with first, second:
        assert first.stdout
        assert first.stderr
        assert first.stdout.readline().startswith("step: 000")
        second.send_signal(signal.SIGKILL)
        assert first.wait(timeout=60) == 4
        assert re.fullmatch(rf"error: rank 1 on {socket.gethostname()} has ended\.\n", first.stderr.read())
    until = time.monotonic() + 60
    while marked(MARK) and time.monotonic() < until:  # what was killed can't wait for its child
        time.sleep(0.05)
    assert not marked(MARK)


def test_a_child_whose_parent_has_ended_before_it_spoke_ends_as_well() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        done = subprocess.run(
            [sys.executable, "-m", "toynet.child", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
