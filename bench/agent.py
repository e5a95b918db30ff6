"""What a process other than rank 0 does in a run: it starts workers as rank 0 asks, and carries messages to them."""

from __future__ import annotations

import contextlib
import json
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue

import msgspec

from bench import environment, nvml
from bench.asking import awaited
from bench.live import Launch, Nursery, Pipe
from bench.workers import WorkerFailed
from toynet.errors import UsageError
from toynet.link import Ended
from toynet.rendezvous import Circle

# What an answer begins with.
ANSWERED, FAILED = b"=", b"!"


def serve(circle: Circle, limit_s: float) -> int:
    """Does what rank 0 asks until that is done; gives its exit status. Raises ProcessLost if it is lost."""
    link = circle.links[0]
    circle.start()
    with tempfile.TemporaryDirectory(prefix="bench-") as shared:
        agent = _Agent(circle, Path(shared), limit_s)
        try:
            with circle.telling():  # before its workers are ended, which would look as if they had failed
                while True:
                    agent.do(link.receive())
        except Ended as ended:
            return ended.args[0]
        finally:
            agent.close()


class _Agent:
    """The nursery of a restart and its workers, each with a thread that awaits its answers."""

    def __init__(self, circle: Circle, shared: Path, limit_s: float) -> None:
        self._circle = circle
        self._link = circle.links[0]
        self._shared = shared
        self._limit_s = limit_s
        self._nursery: Nursery | None = None
        self._relays: dict[int, _Relay] = {}

    def do(self, message: bytes) -> None:
        """What rank 0 asks in one message: `verb number rest`."""
        verb, number, rest = message.split(b" ", 2)
        match verb:
            case b"describe":
                self._answer(int(number), ANSWERED + self._described())
            case b"nursery":
                self.close()
                self._nursery = self._started(json.loads(rest))
            case b"worker":
                self._relays[int(number)] = _Relay(int(number), self._nursery, self._limit_s, self._answer)
            case b"tell":
                self._relays[int(number)].asked.put(rest)
            case b"close":
                if relay := self._relays.pop(int(number), None):
                    relay.close()
            case b"rest":
                self.close()

    def _answer(self, number: int, message: bytes) -> None:
        self._link.send(b"%d %b" % (number, message))

    def _described(self) -> bytes:
        """This process's machine, and what JAX runs on here; or why it doesn't."""
        try:
            with contextlib.closing(self._started(())) as nursery, contextlib.closing(nursery.worker()) as worker:
                backend = worker.backend()
        except (UsageError, WorkerFailed) as error:
            return msgspec.json.encode({"unusable": str(error)})
        told = {
            "host": environment.host(Path()),
            "backend": backend,
            "shared": str(self._shared),
            "free_bytes": environment.free_bytes(),
            "device_free_bytes": nvml.free_bytes(nvml.library(), backend.gpus) if backend.gpus else None,
        }
        return msgspec.json.encode({"answer": told})

    def _started(self, preload: Sequence[str]) -> Nursery:
        launch = Launch(environment=self._circle.place.environment)
        return Nursery(self._limit_s, self._shared, preload, launch, look=self._circle.check)

    def close(self) -> None:
        """Ends all workers and their nursery."""
        for relay in self._relays.values():
            relay.close()
        self._relays.clear()
        if self._nursery is not None:
            self._nursery.close()
            self._nursery = None


class _Relay:
    """One worker: what is asked of it, one request after another, and its answers, or how it failed."""

    def __init__(
        self, number: int, nursery: Nursery | None, limit_s: float, answer: Callable[[int, bytes], None]
    ) -> None:
        self.asked: SimpleQueue[bytes | None] = SimpleQueue()
        self._number = number
        self._limit_s = limit_s
        self._answer = answer
        self._pipe: Pipe | None = None
        self._failed = WorkerFailed("it wasn't started")
        try:
            assert nursery is not None
            self._pipe = nursery.pipe()
        except WorkerFailed as error:
            self._failed = error
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def _carry(self) -> None:
        while (request := self.asked.get()) is not None:
            try:
                self._answer(self._number, ANSWERED + self._answered(request))
            except WorkerFailed as error:
                self._answer(self._number, FAILED + json.dumps([str(error), error.how]).encode())

    def _answered(self, request: bytes) -> bytes:
        if self._pipe is None:
            raise self._failed
        self._pipe.tell(request)
        return awaited(self._pipe, self._limit_s)

    def close(self) -> None:
        """Ends the worker; a request that is under way fails."""
        self.asked.put(None)
        if self._pipe is not None:
            self._pipe.kill()
        self._thread.join()
        if self._pipe is not None:
            self._pipe.close()
