"""Workers on other hosts as rank 0 sees them: each is reached through the agent of its process (`bench.agent`)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from queue import Empty, SimpleQueue

import msgspec

from bench.agent import ANSWERED
from bench.asking import LOOK_S, awaited, understood
from bench.environment import Backend, Host
from bench.workers import WorkerFailed
from toynet.errors import UsageError
from toynet.rendezvous import Circle


class Described(msgspec.Struct, frozen=True):
    """What an agent says of its process."""

    host: Host
    backend: Backend
    shared: str
    """A folder of its host, in which its workers keep what others can use."""
    free_bytes: int | None = None
    """Memory of its host that may still be taken; None: it doesn't tell."""
    device_free_bytes: int | None = None
    """Of the fullest of its GPUs."""


class Agent:
    """The agent of another process."""

    def __init__(self, circle: Circle, rank: int) -> None:
        """Takes what comes from that process; the circle may not have been started yet."""
        self.who = circle.who(rank)
        self._circle = circle
        self._link = circle.links[rank]
        self._link.listener = self._heard
        self._numbers = itertools.count()
        self._inboxes: dict[int, SimpleQueue[bytes]] = {}

    def _heard(self, message: bytes) -> None:
        number, _, answer = message.partition(b" ")
        if inbox := self._inboxes.get(int(number)):  # a worker that was closed may have had an answer under way
            inbox.put(answer)

    def begin_describe(self) -> RemoteChannel:
        """Lets the agent find out what its process has; its answer comes by the channel."""
        channel = self._channel()
        self.tell("describe", channel.number)
        return channel

    def end_describe(self, channel: RemoteChannel, limit_s: float) -> Described:
        """Waits for what it found; raises UsageError if JAX doesn't start there."""
        try:
            return msgspec.convert(understood(awaited(channel, limit_s)), Described)
        except (UsageError, WorkerFailed) as error:
            raise UsageError(f"JAX doesn't start in {self.who}: {str(error).rstrip('.')}.") from None
        finally:
            self.forget(channel.number)

    def nursery(self, preload: Sequence[str]) -> None:
        """Starts what the next workers are forked from."""
        self.tell("nursery", 0, json.dumps(list(preload)).encode())

    def rest(self) -> None:
        """Ends all workers there."""
        self.tell("rest", 0)

    def worker(self) -> RemoteChannel:
        """The channel to a new worker there."""
        channel = self._channel()
        self.tell("worker", channel.number)
        return channel

    def tell(self, verb: str, number: int, rest: bytes = b"") -> None:
        self._link.send(b"%b %d %b" % (verb.encode(), number, rest))

    def check(self) -> None:
        """Raises ProcessLost if that process, or another, is lost."""
        self._circle.check()

    def forget(self, number: int) -> None:
        self._inboxes.pop(number, None)

    def _channel(self) -> RemoteChannel:
        number = next(self._numbers)
        self._inboxes[number] = SimpleQueue()
        return RemoteChannel(self, number, self._inboxes[number])


class RemoteChannel:
    """The channel to a worker of another process."""

    def __init__(self, agent: Agent, number: int, inbox: SimpleQueue[bytes]) -> None:
        self.number = number
        self._agent = agent
        self._inbox = inbox

    def tell(self, message: bytes) -> None:
        self._agent.tell("tell", self.number, message)

    def heard(self, *, wait: bool = True) -> bytes | None:
        """As a pipe to a worker has it; raises ProcessLost, too."""
        self._agent.check()
        try:
            answer = self._inbox.get(timeout=LOOK_S) if wait else self._inbox.get_nowait()
        except Empty:
            return None
        if answer.startswith(ANSWERED):
            return answer[len(ANSWERED) :]
        why, how = json.loads(answer[1:])
        raise WorkerFailed(why, how)

    def silent(self, limit_s: float) -> WorkerFailed:
        return WorkerFailed(f"no answer within {limit_s:g} s", "silent")

    def close(self) -> None:
        self._agent.forget(self.number)
        self._agent.tell("close", self.number)
