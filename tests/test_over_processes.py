"""A real run over two processes on loopback: its record, what is broken in it, and what is left of it."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from leftovers import marked

from bench import cli, run
from bench.cases import Case
from bench.record import CaseResult, Record, read

TESTS = Path(__file__).parent
MARK = "TOYNET_TEST_OVER_PROCESSES"


def case(name: str, mode: str, processes: int = 2, members: int = 1) -> Case:
    return Case(
        workload=f"planted:{name}",
        mode=mode,
        data_shards=processes,
        members=members,
        batch=8,
        processes=processes,
    )


SINGLE = case("right", "single", processes=1)
# tests/test_faults.py measures data_parallel.
RIGHT = [
    case("right", "zero1"),
    case("right", "ensemble_data", members=2),
]
FORGETS, ELSEWHERE = case("forgets", "data_parallel"), case("elsewhere", "data_parallel")


@dataclass(frozen=True)
class Done:
    """What a run came to."""

    status: int
    record: Record
    folder: Path
    left: dict[int, str]
    """Of its processes, those that are still there."""
    said: str
    """By rank 0."""
    printed: str
    """By whatever it started."""

    def __getitem__(self, case: Case) -> CaseResult:
        return next(result for result in self.record.cases if result.case == case)


@contextlib.contextmanager
def printed_into(file: Path) -> Iterator[io.StringIO]:
    """What this process says; what those say that it starts goes into the file."""
    kept = [(number, os.dup(number)) for number in (1, 2)]
    try:
        with file.open("wb") as to:
            for number, _ in kept:
                os.dup2(to.fileno(), number)
        with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(said):
            yield said
    finally:
        for number, own in kept:
            os.dup2(own, number)
            os.close(own)


@pytest.fixture(scope="module")
def done(compiled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    folder = tmp_path_factory.mktemp("over_processes")
    (folder / "temporary").mkdir()
    short = ["--restarts", "1", "--rounds", "1", "--budget", "600", "--no-lint", "--time-limit", "300"]
    flags = ["run", "--local-processes", "2", "--across", "1,2", *short, "--out", str(folder / "record" / "r.json")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(TESTS.parent)]))
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(compiled))
        patch.setenv("TMPDIR", str(folder / "temporary"))
        patch.setenv(MARK, "1")
        patch.setattr(sys, "argv", ["bench", *flags])
        patch.setattr(run, "chosen", lambda *_: [SINGLE, *RIGHT, FORGETS, ELSEWHERE])
        patch.setattr("tempfile.tempdir", None)
        with printed_into(folder / "printed") as said:
            status = cli.main(flags)
        yield Done(
            status,
            read(folder / "record" / "r.json"),
            folder,
            marked(MARK),
            said.getvalue(),
            (folder / "printed").read_text(),
        )


def test_a_case_that_is_wrong_over_processes_only_is_broken_and_the_others_are_measured(done: Done) -> None:
    assert done.status == 4
    assert done.record.complete
    assert [done[case].status for case in (SINGLE, *RIGHT)] == ["measured"] * 3
    assert done[FORGETS].status == "broken"
    assert "wrong results: raw gradients: off by" in (done[FORGETS].why or "")
    assert "rank 1" not in (done[FORGETS].why or "")  # it is the same there
    assert done[FORGETS].samples == ()


def test_what_is_wrong_in_the_second_process_only_is_found_and_named(done: Done) -> None:
    why = f"wrong results: loss over an epoch (rank 1 on {socket.gethostname()}): off by 1.0e+00"
    assert done[ELSEWHERE].status == "broken"
    assert (done[ELSEWHERE].why or "").startswith(why)
    assert "; " not in (done[ELSEWHERE].why or "")[len(why) :].partition(", allowed")[0]


def test_every_right_case_is_certified_as_a_lone_process_is(done: Done) -> None:
    for case in RIGHT:
        certificate = done[case].certificate
        assert certificate is not None
        assert {"initial state", "loss over an epoch", "step from the same state"} <= {
            c.name for c in certificate.checks
        }
        assert certificate.failures == ""


def test_each_process_addresses_its_part_of_the_batch_alone(done: Done) -> None:
    for case in RIGHT:
        certificate = done[case].certificate
        assert certificate is not None
        (share,) = [check for check in certificate.checks if check.name == "share of a process"]
        members = " x 2 of 2 members" * (case.mode == "ensemble_data")
        assert share.found == share.allowed == f"4 of 8 examples{members}"


def test_the_record_has_both_processes_which_share_a_host(done: Done) -> None:
    first, second = done.record.processes
    assert (first.rank, second.rank) == (0, 1)
    assert first.name == second.name == socket.gethostname()
    assert first.machine == second.machine == 0
    assert first.host.usable_cores == second.host.usable_cores == done.record.host.usable_cores
    assert second.backend.packages["jaxlib"] == done.record.backend.packages["jaxlib"]


def test_a_block_takes_as_long_as_in_its_slowest_process(done: Done) -> None:
    for case in RIGHT:
        blocks = [sample.block for sample in done[case].samples]
        assert {sample.kind for sample in done[case].samples} >= {"latency"}
        assert all(len(block.processes_s) == 2 and block.seconds == max(block.processes_s) for block in blocks)
    assert all(sample.block.processes_s == () for sample in done[SINGLE].samples)


def test_each_process_has_cores_of_its_own_while_there_are_enough(done: Done) -> None:
    cores = set(done.record.host.usable_cores)
    for start in done[RIGHT[0]].starts:
        (second,) = start.others
        assert len(start.cores) == len(second) == 1
        assert {*start.cores, *second} <= cores
        assert len(cores) == 1 or start.cores != second


def test_only_rank_0_writes_and_prints_and_nothing_is_left(done: Done) -> None:
    assert {path.name for path in (done.folder / "record").iterdir()} <= {"r.json", "r.md", "r.png", "r.scaling.png"}
    assert list((done.folder / "temporary").iterdir()) == []
    assert done.left == {}
    assert done.said.count("Step time by mode and devices") == 1
    assert done.printed == ""
