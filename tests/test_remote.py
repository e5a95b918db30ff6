"""Workers of another process: what is asked of them and what they answer, over a link, through a real agent.

The workers themselves are threads here that answer as a test says.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import msgspec
import pytest

from bench import agent, asking
from bench.asking import LiveWorker
from bench.remote import Agent, RemoteChannel
from bench.workers import WorkerFailed
from toynet.cluster import Place
from toynet.errors import ProcessLost, UsageError
from toynet.link import Link
from toynet.rendezvous import Circle

LIMIT_S = 60.0
EVERYONE = [{"host": "a"}, {"host": "b"}]


class Echo:
    """A worker that answers with what it is asked, unless that says something else."""

    def __init__(self) -> None:
        self.closed = 0
        self.ended = threading.Event()
        self._answers: SimpleQueue[bytes] = SimpleQueue()

    def tell(self, message: bytes) -> None:
        if message != b"say nothing":
            self._answers.put(message)

    def heard(self, *, wait: bool = True) -> bytes | None:
        if self.ended.is_set():
            raise WorkerFailed("ended by SIGKILL", "ended")
        try:
            answer = self._answers.get(timeout=0.02 if wait else 0.0)
        except Empty:
            return None
        if answer == b"end":
            raise WorkerFailed("ended with status 3; it last printed: \N{SNOWMAN}", "ended")
        return answer

    def silent(self, limit_s: float) -> WorkerFailed:
        return WorkerFailed(f"no answer within {limit_s:g} s, for it is stopped", "stopped")

    def kill(self) -> None:
        self.ended.set()

    def close(self) -> None:
        self.closed += 1


class Nurseries:
    """Stands for `bench.live.Nursery`."""

    def __init__(self) -> None:
        self.preloads: list[Sequence[str]] = []
        self.closed = 0
        self.workers: list[Echo] = []
        self.failing = False

    def __call__(self, limit_s: float, shared: Path, preload: Sequence[str], launch: Any, **_: Any) -> Nurseries:
        self.preloads.append(tuple(preload))
        return self

    def pipe(self) -> Echo:
        if self.failing:
            raise WorkerFailed("its nursery has ended")
        self.workers.append(Echo())
        return self.workers[-1]

    def worker(self) -> LiveWorker[Any]:
        raise WorkerFailed("no worker within 60 s; it last printed: no such device")

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def nurseries(monkeypatch: pytest.MonkeyPatch) -> Nurseries:
    made = Nurseries()
    monkeypatch.setattr(agent, "Nursery", made)
    monkeypatch.setattr(asking, "LOOK_S", 0.02)
    return made


@pytest.fixture
def limit_s() -> float:
    return LIMIT_S


@pytest.fixture
def remote(nurseries: Nurseries, limit_s: float) -> Iterator[Agent]:
    """Rank 0's view of rank 1, whose agent serves in a thread, with a nursery that was started there."""
    ours, theirs = socket.socketpair()
    first = Circle(Place("a", 80, 2, 0), EVERYONE, {1: Link(ours, "rank 1 on b", LIMIT_S)})
    second = Circle(Place("a", 80, 2, 1), EVERYONE, {0: Link(theirs, "rank 0 on a", LIMIT_S)})
    status: list[int | str] = []

    def serve() -> None:
        try:
            status.append(agent.serve(second, limit_s))
        except ProcessLost as lost:
            status.append(str(lost))

    serving = threading.Thread(target=serve)
    serving.start()
    found = Agent(first, 1)
    first.start()
    found.nursery(("bench.holder",))
    yield found
    first.end(4)
    serving.join()
    first.close()
    second.close()
    assert status in ([4], ["rank 0 on a has ended"])


def heard(channel: RemoteChannel) -> bytes:
    return asking.awaited(channel, LIMIT_S)


@pytest.mark.parametrize("message", [b"", b" ", b"\n\0= !", bytes(range(256)), b"close 0 ", b"x" * 2**22])
def test_messages_of_any_bytes_and_length_go_there_and_come_back(remote: Agent, message: bytes) -> None:
    channel = remote.worker()
    channel.tell(message)
    assert heard(channel) == message


def test_answers_of_several_workers_at_once_are_not_mixed(remote: Agent) -> None:
    channels = [remote.worker() for _ in range(4)]
    for turn in range(10):
        for number, channel in enumerate(channels):
            channel.tell(b"%d of %d" % (turn, number) + b"x" * (number * 2**16))
        for number, channel in reversed(list(enumerate(channels))):
            assert heard(channel) == b"%d of %d" % (turn, number) + b"x" * (number * 2**16)


def test_without_waiting_there_is_an_answer_or_none(remote: Agent) -> None:
    channel = remote.worker()
    assert channel.heard(wait=False) is None
    channel.tell(b"something")
    while (found := channel.heard(wait=False)) is None:
        time.sleep(0.001)
    assert found == b"something"


def test_a_worker_that_ends_is_told_as_it_is_there_and_the_others_go_on(remote: Agent) -> None:
    one, other = remote.worker(), remote.worker()
    one.tell(b"end")
    with pytest.raises(WorkerFailed) as raised:
        heard(one)
    assert (str(raised.value), raised.value.how) == ("ended with status 3; it last printed: \N{SNOWMAN}", "ended")
    other.tell(b"here")
    assert heard(other) == b"here"


@pytest.mark.parametrize("limit_s", [0.05])
def test_a_worker_that_is_silent_is_told_by_its_agent(remote: Agent) -> None:
    channel = remote.worker()
    channel.tell(b"say nothing")
    with pytest.raises(WorkerFailed, match=r"no answer within 0\.05 s, for it is stopped") as raised:
        heard(channel)
    assert raised.value.how == "stopped"


def test_a_worker_that_cannot_be_started_says_so_when_it_is_asked(remote: Agent, nurseries: Nurseries) -> None:
    nurseries.failing = True
    channel = remote.worker()
    channel.tell(b"anything")
    with pytest.raises(WorkerFailed, match="its nursery has ended"):
        heard(channel)
    channel.close()


def test_a_worker_that_is_closed_while_its_answer_is_under_way_disturbs_nobody(
    remote: Agent, nurseries: Nurseries
) -> None:
    silent, answering, other = remote.worker(), remote.worker(), remote.worker()
    silent.tell(b"say nothing")
    answering.tell(b"x" * 2**20)
    other.tell(b"first")
    silent.close()
    answering.close()
    answering.close()  # as often as one likes
    assert heard(other) == b"first"
    other.tell(b"second")
    assert heard(other) == b"second"
    assert [worker.closed for worker in nurseries.workers] == [1, 1, 0]


def test_a_rest_ends_all_workers_and_their_nursery(remote: Agent, nurseries: Nurseries) -> None:
    channels = [remote.worker() for _ in range(2)]
    remote.rest()
    for channel in channels:
        channel.close()  # which are gone
    remote.nursery(())
    channel = remote.worker()
    channel.tell(b"anew")
    assert heard(channel) == b"anew"
    assert [worker.closed for worker in nurseries.workers] == [1, 1, 0]
    assert nurseries.closed == 1
    assert nurseries.preloads == [("bench.holder",), ()]


def test_a_process_on_which_jax_does_not_start_is_named(remote: Agent) -> None:
    channel = remote.begin_describe()
    with pytest.raises(UsageError, match=r"rank 1 on b: no worker within 60 s; it last printed: no such device\."):
        remote.end_describe(channel, LIMIT_S)


def test_a_process_that_is_lost_is_raised_where_an_answer_is_awaited(remote: Agent) -> None:
    channel = remote.worker()
    channel.tell(b"say nothing")
    remote._circle.links[1]._connection.shutdown(socket.SHUT_RDWR)
    with pytest.raises(ProcessLost, match="rank 1 on b has ended"):
        heard(channel)


def test_a_live_worker_is_asked_through_it_as_through_a_pipe(remote: Agent) -> None:
    with contextlib.closing(LiveWorker(remote.worker(), LIMIT_S)) as worker:
        worker.ask({"ask": "traces", "answer": 3})  # comes back, and has an answer in it
        assert worker.answer() == 3
        worker.channel.tell(msgspec.json.encode({"unusable": "its batch."}))
        with pytest.raises(UsageError, match=r"its batch\."):
            worker.answer()
        worker.channel.tell(json.dumps({"failed": "ValueError in a.py"}).encode())
        with pytest.raises(WorkerFailed, match=r"ValueError in a\.py") as raised:
            worker.answer()
        assert raised.value.how == "raised"
