"""Real workers: what each of them does when it goes wrong, and that none of them outlives its conductor."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bench import wire
from bench.cases import Case
from bench.live import PRELOAD, LiveWorker, Nursery, Pipe, nursery, timeval
from bench.measured import KINDS, REFERENCE, Compiled
from bench.workers import WorkerFailed
from toynet.errors import UsageError

LIMIT_S = 300.0
TESTS = Path(__file__).parent
# From that batch on planted steps go wrong.
BEYOND = 16


@pytest.fixture(autouse=True, scope="module")
def _planted_workloads_are_on_the_path() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(TESTS))
        yield


@pytest.fixture(scope="module")
def start(_planted_workloads_are_on_the_path: None) -> Iterator[Callable[[], LiveWorker[Pipe]]]:
    """A nursery's, which the workers of most tests come from."""
    with nursery(LIMIT_S, None, PRELOAD) as start:
        yield start


@pytest.fixture
def worker(start: Callable[[], LiveWorker[Pipe]]) -> Iterator[LiveWorker]:
    with closing(start()) as alive:
        yield alive


def prepare(worker: LiveWorker[Pipe], name: str, data_shards: int = 1, batch: int = 8) -> None:
    mode = "data_parallel" if data_shards > 1 else "single"
    worker.begin_prepare(Case(workload=f"planted:{name}", mode=mode, batch=batch, data_shards=data_shards), [0])
    worker.end_prepare()


def compiled(worker: LiveWorker[Pipe]) -> Compiled:
    worker.begin_compile()
    return worker.end_compile()


def test_a_worker_prepares_compiles_checks_and_runs_blocks(worker: LiveWorker[Pipe]) -> None:
    prepare(worker, "right", data_shards=2)
    step = compiled(worker)
    assert step.first_loss is not None
    assert [c.kind for c in step.cost.collectives] == ["all-reduce"]
    assert step.cost.product_flops == 2 * (2 * 4 * 3)  # 3 weights and their gradients, 4 examples a device
    worker.begin_check()
    assert worker.end_check().failures == ""
    assert set(worker.rough()) == {"latency", "throughput", "fused"}
    assert worker.block("latency", 3).steps == 3
    assert worker.block("fused", 8).steps == 8


def test_what_is_printed_does_not_disturb_the_answers(worker: LiveWorker[Pipe]) -> None:
    prepare(worker, "chatty")
    assert compiled(worker).first_loss is not None


def test_a_step_that_raises_is_told_with_its_line(worker: LiveWorker[Pipe]) -> None:
    prepare(worker, "raises", batch=BEYOND)
    with pytest.raises(WorkerFailed, match=r"^ValueError in tests/planted.py, line \d+: planted: the step raises$"):
        compiled(worker)


def test_a_worker_that_is_killed_is_told_by_its_signal(worker: LiveWorker[Pipe]) -> None:
    prepare(worker, "killed", batch=BEYOND)
    with pytest.raises(WorkerFailed, match="ended by SIGKILL"):
        compiled(worker)


def test_a_worker_that_xla_aborts_is_told_with_what_xla_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = (
        "--xla_cpu_collective_call_warn_stuck_timeout_seconds=1 --xla_cpu_collective_call_terminate_timeout_seconds=2"
    )
    monkeypatch.setenv("XLA_FLAGS", flags)
    with nursery(LIMIT_S, None, PRELOAD) as start, closing(start()) as worker:
        prepare(worker, "deadlocks", data_shards=2)
        with pytest.raises(WorkerFailed, match=r"ended by SIGABRT; it last printed: .*rendezvous"):
            compiled(worker)


def test_a_worker_that_hangs_is_given_up_and_ended(worker: LiveWorker[Pipe]) -> None:
    prepare(worker, "hangs", batch=BEYOND)
    worker._limit_s = 0.5
    worker.channel.pipe.setsockopt(
        socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval(0.5)
    )  # which was set when it was made
    with pytest.raises(WorkerFailed, match=r"no answer within 0\.5 s"):
        compiled(worker)
    worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(worker.channel.pid, 0)


def test_workers_of_one_nursery_are_processes_of_their_own(start: Callable[[], LiveWorker[Pipe]]) -> None:
    with closing(start()) as first, closing(start()) as second:
        prepare(first, "killed", batch=BEYOND)
        prepare(second, "right", data_shards=2)
        with pytest.raises(WorkerFailed, match="SIGKILL"):
            compiled(first)
        assert compiled(second).first_loss is not None


def test_a_nursery_that_loses_its_conductor_ends_even_a_worker_that_hangs() -> None:
    nursery = Nursery(LIMIT_S)
    worker = nursery.worker()
    prepare(worker, "hangs", batch=BEYOND)
    worker.ask({"ask": "compile"})
    nursery.close()
    worker.channel.pipe.settimeout(LIMIT_S)
    with closing(worker), pytest.raises((EOFError, ConnectionResetError)):  # the latter if it hadn't read its request
        wire.receive(worker.channel.pipe)


def test_a_nursery_that_cannot_import_says_so() -> None:
    dead = Nursery(LIMIT_S, None, ("no_such_module",))
    with pytest.raises(WorkerFailed, match=r"ended with status 1.*No module named 'no_such_module'"):
        dead.worker()
    dead.close()


@pytest.mark.parametrize(
    ("name", "said"),
    [("rigth", "did you mean 'right'"), ("not_a_workload", "is of type int, and a Workload was expected")],
)
def test_a_workload_that_is_not_there_is_the_users_error(worker: LiveWorker[Pipe], name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        prepare(worker, name)


def test_a_worker_on_which_the_reference_workload_is_another_says_so_and_goes_on_with_its_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wrong.py").write_text(
        "import bench.yardstick\nfrom planted import right\nbench.yardstick.VALUE = 139.2\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{TESTS}")
    with nursery(LIMIT_S, None, PRELOAD) as start, closing(start()) as worker:
        worker.begin_prepare(Case(workload="wrong:right", mode="single", batch=8), [0])
        worker.end_prepare()
        compiled(worker)
        with pytest.raises(UsageError, match=r"gives 139\.125 on .*, where 139\.2 is right"):
            worker.rough((REFERENCE,))
        assert set(worker.rough()) == set(KINDS)
        assert worker.block("latency", 3).steps == 3


def test_the_backend_is_told_by_the_worker(worker: LiveWorker[Pipe]) -> None:
    backend = worker.backend()
    assert (backend.platform, backend.device_count, backend.simulated) == ("cpu", 1, True)
    assert {"jax", "jaxlib"} <= set(backend.packages)
