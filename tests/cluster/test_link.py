"""Two hosts with a link between them that is known, and what the record's model makes of it."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from link import HERE, NAMESPACES, PAYLOAD_OF_FRAME, PREFIX, Link, linked
from processes import marked
from tools import needed, without

from bench.cost_model import fitted, rows
from bench.links import spread
from bench.record import read

LATENCY_S = 1e-3
BITS_PER_S = 100e6
OVER_BOTH = ("--modes=data_parallel", "--paths=plain", "--devices=2", "--across=2")
# By the real-time scheduler, where a container may use it.
AHEAD = ("chrt", "--rr", "1")
LIMIT_S = 12.0
LIMIT = f"--time-limit={LIMIT_S:g}"


@pytest.fixture(autouse=True, scope="module")
def _possible() -> None:
    needed("iproute2", "ip", "tc", root=True)
    if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode != 0:
        without("network namespaces aren't allowed here")


@pytest.fixture(scope="module")
def link() -> Iterator[Link]:
    with linked(LATENCY_S, BITS_PER_S) as made:
        yield made


def test_the_link_is_what_was_set(link: Link, capsys: pytest.CaptureFixture[str]) -> None:
    latency_s, payload_bits_per_s = link.measured()
    bits_per_s = payload_bits_per_s / PAYLOAD_OF_FRAME
    with capsys.disabled():
        print(f"\nlink by {link.how}: {latency_s * 1e3:.2f} ms one way, {bits_per_s / 1e6:.1f} Mbit/s")
    assert latency_s == pytest.approx(LATENCY_S, rel=0.1)
    assert bits_per_s == pytest.approx(BITS_PER_S, rel=0.03)


def test_each_host_has_its_own_name_and_both_are_known_by_it(link: Link) -> None:
    asked = "import socket, sys; print(socket.gethostname(), *map(socket.gethostbyname, sys.argv[1:]))"
    names = [host.name for host in link.hosts]
    for host in link.hosts:
        done = subprocess.run(host.command(sys.executable, "-c", asked, *names), capture_output=True, text=True)
        assert done.stdout.split() == [host.name, *(each.address for each in link.hosts)]


def test_nothing_of_a_link_stays_behind_where_its_process_is_killed() -> None:
    script = (
        "import subprocess, time; from link import linked\n"
        "with linked(1e-3, 1e8) as link:\n"
        "    subprocess.Popen(link.hosts[0].command('sleep', '1000'))\n"
        "    print('made', flush=True); time.sleep(1000)"
    )
    name, value = "TOYNET_TEST_OF_A_LINK", str(os.getpid())
    made = subprocess.Popen(
        [sys.executable, "-c", script], cwd=HERE, env={**os.environ, name: value}, stdout=subprocess.PIPE, text=True
    )
    with made:
        assert made.stdout is not None
        assert made.stdout.readline() == "made\n"
        assert _namespaces_of(made.pid)
        made.kill()
    until = time.monotonic() + 10
    while marked(name, value) and time.monotonic() < until:
        time.sleep(0.05)
    assert not marked(name, value)
    assert not _namespaces_of(made.pid)


def _namespaces_of(pid: int) -> list[str]:
    return [path.name for path in NAMESPACES.iterdir() if f"-{pid}-" in path.name]


def test_a_link_that_goes_dead_ends_the_run_on_both_hosts_and_the_record_stays(
    tmp_path: Path, compiled_before: None
) -> None:
    with (
        linked(LATENCY_S, BITS_PER_S) as link,
        started(link, tmp_path, "--workloads=tutorial", *OVER_BOTH, LIMIT, "--budget=600") as run,
    ):
        run.wait_until(run.record.exists)  # the first round is written
        link.cut()
        ended = run.ended(within_s=LIMIT_S)
        assert [status for status, _ in ended] == [4, 4]
        for (_, complaint), rank in zip(ended, (1, 0), strict=True):
            lost = f"error: rank {rank} on {link.hosts[rank].name} gave no sign of life for {LIMIT_S / 2:g} s"
            assert complaint.startswith(lost)
        assert "--resume record.json" in ended[0][1]
        assert [host.processes() for host in link.hosts] == [[], []]
    assert read(run.record).cases[0].samples


def test_a_link_that_becomes_far_too_slow_ends_the_run_on_both_hosts(tmp_path: Path) -> None:
    """So slow that it hasn't room for the pulses of the processes, which have found each other before."""
    with (
        linked(LATENCY_S, BITS_PER_S) as link,
        started(link, tmp_path, "--workloads=tutorial", *OVER_BOTH, LIMIT) as run,
    ):
        run.wait_until(lambda: len(link.hosts[1].processes()) > 1)
        link.shape(400)
        ended = run.ended(within_s=2 * LIMIT_S)
        assert [status for status, _ in ended] == [4, 4]
        for _, complaint in ended:
            assert re.search(rf"rank [01] on {PREFIX}-\S+-[ab] gave no sign of life", complaint)
        assert [host.processes() for host in link.hosts] == [[], []]


def test_the_model_of_a_run_finds_the_latency_and_the_bandwidth_of_the_link(
    link: Link, tmp_path: Path, compiled_before: None
) -> None:
    """Gradients of 154 kB, so that their bytes take three times as long as the latencies of their sum."""
    arguments = ("--workloads=small", "--hidden-dim=512", *OVER_BOTH, "--parts", "--restarts=1", "--rounds=5")
    with started(link, tmp_path, *arguments, "--budget=10") as run:
        assert run.ended(within_s=100) == [(0, ""), (0, "")]
    record = read(run.record)
    (result,) = record.cases
    over = spread(record, result.case)
    assert over
    assert over.hosts == 2
    assert result.cost
    found = fitted(rows([result], {result.case: over}), result.cost.collectives, {}).whole.coefficients
    assert found["host latency"] == pytest.approx(LATENCY_S, rel=0.2)
    assert 8 / found["host bytes"] == pytest.approx(BITS_PER_S, rel=0.2)


@dataclass(frozen=True)
class Run:
    """One command on both hosts of a link, a process each; rank 0 is on the first."""

    processes: tuple[subprocess.Popen[str], ...]
    record: Path

    def wait_until(self, happened: Callable[[], bool], within_s: float = 60.0) -> None:
        """Fails if it doesn't, or if a process ends before."""
        until = time.monotonic() + within_s
        while not happened():
            assert time.monotonic() < until
            assert all(process.poll() is None for process in self.processes), self.ended(1)
            time.sleep(0.05)

    def ended(self, within_s: float) -> list[tuple[int, str]]:
        """Exit status and complaints of each."""
        until = time.monotonic() + within_s
        said = [process.communicate(timeout=max(until - time.monotonic(), 0.1))[1] for process in self.processes]
        return [(process.returncode, each) for process, each in zip(self.processes, said, strict=True)]


@contextlib.contextmanager
def started(link: Link, folder: Path, *arguments: str) -> Iterator[Run]:
    """`bench run` with those arguments on both hosts; ahead of all else on the machine, as on hosts of their own."""
    before = AHEAD if subprocess.run([*AHEAD, "true"], capture_output=True).returncode == 0 else ()
    coordinator = f"{link.hosts[0].name}:8476"
    with contextlib.ExitStack() as stack:
        processes = []
        for rank, host in enumerate(link.hosts):
            own = folder / host.name
            own.mkdir()
            joining = ("--coordinator", coordinator, "--processes", "2", "--process-id", str(rank))
            command = host.command(
                *before, sys.executable, "-m", "bench", "run", *joining, *arguments, "--out", "record.json"
            )
            process = subprocess.Popen(command, cwd=own, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            processes.append(process)
        yield Run(tuple(processes), folder / link.hosts[0].name / "record.json")
