"""An agent with real workers: what it says of its process, a case, one that dies, and that nothing of it is left."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from leftovers import marked

from bench import agent, environment
from bench.asking import LiveWorker
from bench.cases import Case
from bench.live import PRELOAD
from bench.remote import Agent
from bench.workers import WorkerFailed
from toynet.cluster import Place
from toynet.link import Link
from toynet.rendezvous import Circle

LIMIT_S = 300.0
TESTS = Path(__file__).parent
MARK = "TOYNET_TEST_AGENT"
EVERYONE = [{"host": "a"}, {"host": "b"}]


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("agent")


@pytest.fixture(scope="module")
def remote(temporary: Path, compiled: Path) -> Iterator[Agent]:
    """Rank 0's view of rank 1, whose agent serves in a thread, and has a nursery."""
    ours, theirs = socket.socketpair()
    first = Circle(Place("a", 80, 2, 0), EVERYONE, {1: Link(ours, "rank 1 on b", LIMIT_S)})
    second = Circle(Place("a", 80, 2, 1), EVERYONE, {0: Link(theirs, "rank 0 on a", LIMIT_S)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(TESTS))
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(compiled))
        patch.setenv(MARK, "1")
        patch.setattr("tempfile.tempdir", str(temporary))
        serving = threading.Thread(target=agent.serve, args=(second, LIMIT_S))
        serving.start()
        found = Agent(first, 1)
        first.start()
        found.nursery(PRELOAD)
        yield found
        first.end(0)
        serving.join()
    first.close()
    second.close()
    assert list(temporary.iterdir()) == []


def prepared(remote: Agent, name: str) -> LiveWorker:
    worker = LiveWorker(remote.worker(), LIMIT_S)
    worker.begin_prepare(Case(workload=f"planted:{name}", mode="single", batch=32), [0])
    worker.end_prepare()
    return worker


def test_a_case_is_measured_there_as_here(remote: Agent) -> None:
    with closing(prepared(remote, "right")) as worker:
        worker.begin_compile()
        assert worker.end_compile().first_loss is not None
        worker.begin_check()
        assert worker.end_check().failures == ""
        assert worker.block("latency", 3).steps == 3


def test_a_worker_that_is_killed_there_is_told_by_its_signal_and_another_starts(remote: Agent) -> None:
    with closing(prepared(remote, "killed")) as worker:
        worker.begin_compile()
        with pytest.raises(WorkerFailed, match="ended by SIGKILL") as raised:
            worker.end_compile()
        assert raised.value.how == "ended"
    prepared(remote, "right").close()


def test_it_says_what_its_process_has(remote: Agent, temporary: Path) -> None:
    told = remote.end_describe(remote.begin_describe(), LIMIT_S)
    assert told.host.usable_cores == environment.usable_cores()
    assert (told.backend.platform, told.backend.simulated) == ("cpu", True)
    assert Path(told.shared).parent == temporary
    prepared(remote, "right").close()  # the nursery is still there


def test_a_worker_that_hangs_there_ends_when_it_is_closed(remote: Agent) -> None:
    worker = prepared(remote, "hangs")  # by then all that was closed before has ended
    there = marked(MARK)
    worker.begin_compile()
    worker.close()
    with closing(prepared(remote, "right")):
        assert len(there.keys() - marked(MARK).keys()) == 1
