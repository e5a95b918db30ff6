"""Live workers as the conductor sees them: processes started, asked with a time limit, ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import wire
from bench.asking import LOOK_S, LiveWorker
from bench.workers import WorkerFailed
from toynet.errors import UsageError
from toynet.printed import Printed, how_it_ended, stopped

# A GPU's memory is shared by the workers that are alive at once, so none may take all of it at start.
# What is compiled within a run is kept for its restarts, however quickly it was compiled.
ENVIRONMENT = {
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
ENDING_S = 5.0
PRELOAD = ("bench.holder",)
BENCH = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Launch:
    """What workers run with: the interpreter, the tree from which their workload is imported, the environment."""

    python: str = sys.executable
    tree: Path = Path()
    environment: Mapping[str, str] = field(default_factory=dict)
    """Over that of this process."""

    def command(self, control: int, preload: Sequence[str]) -> list[str]:
        """What starts a nursery that answers on that descriptor."""
        own = self.tree.absolute() / "toynet"
        toynet = own if (own / "__init__.py").exists() else BENCH.parent / "toynet"
        return [
            self.python,
            str(BENCH / "bootstrap.py"),
            str(control),
            str(self.tree.absolute()),
            str(toynet),
            *preload,
        ]


class Nursery:
    """A process from which workers are forked; each answer of theirs has to come within `limit_s` seconds."""

    def __init__(
        self,
        limit_s: float,
        shared: Path | None = None,
        preload: Sequence[str] = PRELOAD,
        launch: Launch = Launch(),
        tolerance: float | None = None,
        look: Callable[[], None] = lambda: None,
    ) -> None:
        """Starts the process, which imports `preload`; workers keep in the folder `shared` what others can use, and
        check by that tolerance (None: as is usual where their cases compute). `look` is called now and then while one
        is awaited, and may raise what ends the waiting.

        Raises UsageError if there is no such interpreter.
        """
        self._tolerance = tolerance
        self._look = look
        self._limit_s = limit_s
        self._shared = shared
        self._printed = Printed()
        self._control, theirs = socket.socketpair()
        self._control.settimeout(min(LOOK_S, limit_s))
        self._asking = threading.Lock()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    launch.command(theirs.fileno(), preload),
                    cwd=launch.tree,
                    stdin=subprocess.DEVNULL,
                    stdout=self._printed.file,
                    stderr=subprocess.STDOUT,
                    pass_fds=[theirs.fileno()],
                    env={**ENVIRONMENT, **os.environ, **launch.environment},
                    start_new_session=True,
                )
            except OSError as error:
                self._control.close()
                self._printed.file.close()
                raise UsageError(f"{launch.python!r} can't be started: {error.strerror}.") from None

    def worker(self) -> LiveWorker[Pipe]:
        """A new worker; raises WorkerFailed if the nursery has died."""
        shared = None if self._shared is None else str(self._shared)
        return LiveWorker(self.pipe(), self._limit_s, shared, self._tolerance, self._look)

    def pipe(self) -> Pipe:
        """The channel to a new worker; raises WorkerFailed if the nursery has died."""
        with contextlib.ExitStack() as undone:
            printed = Printed()
            undone.callback(printed.file.close)
            ours, theirs = socket.socketpair()
            undone.callback(ours.close)
            with theirs:
                pid = self._ask("spawn", theirs.fileno(), printed.file.fileno(), look=self._look)
            assert pid is not None
            undone.pop_all()
        return Pipe(self, pid, ours, printed, self._limit_s)

    def status(self, pid: int) -> int | None:
        """The exit code of a worker that has ended (below 0: the signal that ended it); None if it hasn't."""
        return self._ask(f"status {pid}")

    def _ask(self, request: str, *descriptors: int, look: Callable[[], None] = lambda: None) -> int | None:
        with self._asking:
            if self._printed.file.closed:
                raise WorkerFailed("its nursery has ended")
            try:
                answer = self._asked(request, descriptors, look)
            except BaseException:
                self._process.kill()  # a late answer would be taken for that of the next request
                raise
        if not answer:
            raise WorkerFailed(self._printed.after(self._ending()))
        return json.loads(answer)

    def _asked(self, request: str, descriptors: Sequence[int], look: Callable[[], None]) -> bytes:
        """The answer; empty if the nursery has ended."""
        until = time.monotonic() + self._limit_s
        try:
            socket.send_fds(self._control, [request.encode()], list(descriptors))
            while True:
                try:
                    return self._control.recv(4096)
                except TimeoutError:
                    look()
                    if time.monotonic() > until:
                        raise WorkerFailed(self._printed.after(f"no worker within {self._limit_s:g} s")) from None
        except OSError:  # the socket is closed, at its end or at ours
            return b""

    def _ending(self) -> str:
        try:
            return how_it_ended(self._process.wait(ENDING_S))
        except subprocess.TimeoutExpired:
            self._process.kill()
            return "it closed its socket and didn't end"

    def close(self) -> None:
        """Ends the process, which ends the workers that are left when its control socket closes."""
        self._control.close()
        try:
            self._process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._printed.file.close()


class Pipe:
    """The channel to one worker process that was forked here."""

    def __init__(self, nursery: Nursery, pid: int, pipe: socket.socket, printed: Printed, limit_s: float) -> None:
        self.pid = pid
        self.pipe = pipe
        self._nursery = nursery
        # The system's own time limit, for Python's would ask in a call of its own whether there is something to read.
        pipe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval(min(LOOK_S, limit_s)))
        self._printed = printed
        self._limit_s = limit_s
        self._status: int | None = None

    def tell(self, message: bytes) -> None:
        """Sends it; a worker that died says so when its answer is awaited."""
        try:  # noqa: SIM105, a context manager costs more
            wire.send(self.pipe, message)
        except BrokenPipeError:
            pass

    def heard(self, *, wait: bool = True) -> bytes | None:
        """An answer; None if none has come before what was printed is to be looked at, or at once without `wait`.

        Raises WorkerFailed if none will come.
        """
        try:
            if not wait and not select.select([self.pipe], [], [], 0)[0]:
                return None
            return wire.receive(self.pipe)
        except BlockingIOError:
            return None
        except (EOFError, OSError):  # the latter where it died in the middle of an answer
            raise WorkerFailed(self._printed.after(self._ending()), "ended") from None
        finally:
            self._printed.bound()

    def silent(self, limit_s: float) -> WorkerFailed:
        """What is said of it where no answer came within that time."""
        if stopped(self.pid):
            return WorkerFailed(self._printed.after(f"no answer within {limit_s:g} s, for it is stopped"), "stopped")
        return WorkerFailed(self._printed.after(f"no answer within {limit_s:g} s (--time-limit allows more)"), "silent")

    def kill(self) -> None:
        """Ends the process and all that it started."""
        if self._status is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # the latter for a zombie on macOS
                os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Ends the process and all that it started, and waits until it is gone; may be called again."""
        self.pipe.close()
        self.kill()
        with contextlib.suppress(WorkerFailed, OSError):  # a nursery that has died too has nothing to tell
            self._wait()
        self._printed.file.close()

    def _ending(self) -> str:
        """How the process ended; it has closed its pipe, so it is ending if it hasn't yet."""
        status = self._wait()
        return "it closed its pipe and didn't end" if status is None else how_it_ended(status)

    def _wait(self) -> int | None:
        deadline = time.monotonic() + self._limit_s
        while self._status is None and time.monotonic() < deadline:
            self._status = self._nursery.status(self.pid)
            time.sleep(0.002 if self._status is None else 0.0)
        return self._status


def timeval(seconds: float) -> bytes:
    """Of a length of time, what the system takes for a socket."""
    whole, part = divmod(round(seconds * 1e6), 10**6)
    return struct.pack("@ll", whole, part)


@contextlib.contextmanager
def nursery(
    limit_s: float,
    shared: Path | None,
    preload: Sequence[str],
    launch: Launch = Launch(),
    tolerance: float | None = None,
    look: Callable[[], None] = lambda: None,
) -> Iterator[Callable[[], LiveWorker[Pipe]]]:
    """What starts workers, until the block ends; arguments as a nursery has them."""
    made = Nursery(limit_s, shared, preload, launch, tolerance, look)
    try:
        yield made.worker
    finally:
        made.close()
