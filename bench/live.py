"""Live workers as the conductor sees them: processes started, asked with a time limit, ended."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bench import wire
from bench.cases import Case, Own
from bench.environment import Backend
from bench.measured import KINDS, Block, Certificate, Compiled, Finding, Kind, Parts
from bench.printed import Printed
from toynet.errors import UsageError

# A GPU's memory is shared by the workers that are alive at once, so none may take all of it at start.
# What is compiled within a run is kept for its restarts, however quickly it was compiled.
ENVIRONMENT = {
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
ENDING_S = 5.0
# What a process prints is looked at that often while its answer is awaited.
LOOK_S = 1.0
# Of the time limit, what a user's module may take to be imported: it is to be ended while it can still be said where.
IMPORT_SHARE = 0.9
PRELOAD = ("bench.holder",)
BENCH = Path(__file__).resolve().parent


class WorkerFailed(Exception):
    """A worker died, was aborted, or didn't answer in time; the message says which, with its last lines."""


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
    ) -> None:
        """Starts the process, which imports `preload`; workers keep in the folder `shared` what others can use, and
        check by that tolerance (None: as is usual where their cases compute).

        Raises UsageError if there is no such interpreter.
        """
        self._tolerance = tolerance
        self._limit_s = limit_s
        self._shared = shared
        self._printed = Printed()
        self._control, theirs = socket.socketpair()
        self._control.settimeout(limit_s)
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

    def worker(self) -> LiveWorker:
        """A new worker; raises WorkerFailed if the nursery has died."""
        with contextlib.ExitStack() as undone:
            printed = Printed()
            undone.callback(printed.file.close)
            ours, theirs = socket.socketpair()
            undone.callback(ours.close)
            with theirs:
                pid = self._ask("spawn", theirs.fileno(), printed.file.fileno())
            assert pid is not None
            undone.pop_all()
        return LiveWorker(self, pid, ours, printed, self._limit_s, self._shared, self._tolerance)

    def status(self, pid: int) -> int | None:
        """The exit code of a worker that has ended (below 0: the signal that ended it); None if it hasn't."""
        return self._ask(f"status {pid}")

    def _ask(self, request: str, *descriptors: int) -> int | None:
        if self._printed.file.closed:
            raise WorkerFailed("its nursery has ended")
        try:
            socket.send_fds(self._control, [request.encode()], list(descriptors))
            answer = self._control.recv(4096)
        except TimeoutError:
            self._process.kill()  # a late answer would be taken for that of the next request
            raise WorkerFailed(self._printed.after(f"no worker within {self._limit_s:g} s")) from None
        except OSError:  # the socket is closed, at its end or at ours
            answer = b""
        if not answer:
            raise WorkerFailed(self._printed.after(self._ending()))
        return json.loads(answer)

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


class LiveWorker:
    """One worker process and the pipe to it."""

    def __init__(
        self,
        nursery: Nursery,
        pid: int,
        pipe: socket.socket,
        printed: Printed,
        limit_s: float,
        shared: Path | None,
        tolerance: float | None,
    ) -> None:
        self.pid = pid
        self._nursery = nursery
        self._pipe = pipe
        # The system's own time limit, for Python's would ask in a call of its own whether there is something to read.
        pipe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(min(LOOK_S, limit_s)))
        self._printed = printed
        self._limit_s = limit_s
        self._tolerance = tolerance
        self._shared = None if shared is None else str(shared)
        self._status: int | None = None

    def ask(self, request: dict[str, Any]) -> None:
        """Sends a request without waiting for its answer."""
        self._tell(msgspec.json.encode(request))

    def _tell(self, message: bytes) -> None:
        try:  # noqa: SIM105, a context manager costs more
            wire.send(self._pipe, message)
        except BrokenPipeError:  # a worker that died says so when its answer is awaited
            pass

    def answer(self) -> Any:
        """The answer to the last request; raises WorkerFailed, or UsageError for what the user got wrong."""
        return _understood(self._awaited())

    def _awaited(self) -> bytes:
        until = time.monotonic() + self._limit_s
        try:
            while (message := self._received()) is None:
                if time.monotonic() > until:
                    raise WorkerFailed(self._printed.after(f"no answer within {self._limit_s:g} s"))
            return message
        except (EOFError, OSError):  # the latter where it died in the middle of an answer
            raise WorkerFailed(self._printed.after(self._ending())) from None

    def _received(self) -> bytes | None:
        """An answer; None if none has come before what was printed is to be looked at."""
        try:
            return wire.receive(self._pipe)
        except BlockingIOError:
            return None
        finally:
            self._printed.bound()

    def backend(self) -> Backend:
        """What JAX runs on there; starts JAX in the worker."""
        self.ask({"ask": "backend"})
        return msgspec.convert(self.answer(), Backend)

    def own(self, workload: str, sizes: Sequence[int] = ()) -> Own:
        """What a workload says of itself; raises UsageError if the name leads to none that can be measured, with
        batches of those sizes, too."""
        within_s = IMPORT_SHARE * self._limit_s
        self.ask({"ask": "lookup", "workload": workload, "within_s": within_s, "sizes": sizes})
        try:
            return msgspec.convert(self.answer(), Own)
        except WorkerFailed as error:
            raise UsageError(
                f"{workload!r} can't be loaded: {error}; what it runs as it is imported and traced has to come back."
            ) from None

    def lint(self, workload: str, examples: int | None = None) -> tuple[Finding, ...]:
        """What is found in a workload with batches of so many examples (None: its own size)."""
        within_s = IMPORT_SHARE * self._limit_s
        self.ask({"ask": "lint", "workload": workload, "examples": examples, "within_s": within_s})
        return msgspec.convert(self.answer(), tuple[Finding, ...])

    def begin_prepare(self, case: Case, cores: Sequence[int]) -> None:
        """Lets the worker import, pin itself and initialise the case."""
        within = {"shared": self._shared, "within_s": IMPORT_SHARE * self._limit_s}
        self.ask({"ask": "prepare", "case": dataclasses.asdict(case), "cores": list(cores), **within})

    def end_prepare(self) -> None:
        """Waits until the case is prepared."""
        self.answer()

    def begin_compile(self) -> None:
        """Lets the worker compile the step and run it once."""
        self.ask({"ask": "compile"})

    def end_compile(self) -> Compiled:
        """Waits for what compiling took."""
        return msgspec.convert(self.answer(), Compiled)

    def begin_check(self, fused: bool | None = None) -> None:
        """Lets the worker compare the case with `single`; as in `Holder.check`."""
        self.ask({"ask": "check", "fused": fused, "tolerance": self._tolerance})

    def end_check(self) -> Certificate:
        """Waits for what the comparison found."""
        return msgspec.convert(self.answer(), Certificate)

    def take_apart(self, *, peaks: bool) -> Parts:
        """Makes programs of the parts of its step; with `peaks`, of what its devices can do at most, too."""
        self.ask({"ask": "take_apart", "peaks": peaks})
        return msgspec.convert(self.answer(), Parts)

    def profile(self, folder: Path) -> Path:
        """Traces a few steps into the folder; gives the file of it that Perfetto opens."""
        self.ask({"ask": "profile", "folder": str(folder.absolute())})
        return Path(self.answer())

    def rough(self, kinds: Sequence[Kind] = KINDS) -> dict[Kind, float]:
        """Seconds a step, roughly, for each of the kinds of block that makes sense for the case."""
        self.ask({"ask": "rough", "kinds": list(kinds)})
        return msgspec.convert(self.answer(), dict[Kind, float])

    def traces(self) -> int:
        """How often the step was traced so far."""
        self.ask({"ask": "traces"})
        return self.answer()

    def block(self, kind: Kind, steps: int) -> Block:
        """Runs a block of steps."""
        self._tell(wire.block_request(kind, steps))
        message = self._awaited()
        return wire.answered_block(message) if message.startswith(wire.BLOCK) else _understood(message)

    def close(self) -> None:
        """Ends the process and all that it started, and waits until it is gone; may be called again."""
        self._pipe.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):  # the latter for a zombie on macOS
            os.killpg(self.pid, signal.SIGKILL)
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


def _timeval(seconds: float) -> bytes:
    whole, part = divmod(round(seconds * 1e6), 10**6)
    return struct.pack("@ll", whole, part)


def _understood(message: bytes) -> Any:
    reply = msgspec.json.decode(message)
    if "unusable" in reply:
        raise UsageError(reply["unusable"])
    if "failed" in reply:
        raise WorkerFailed(reply["failed"])
    return reply["answer"]


def how_it_ended(status: int) -> str:
    """An exit code in words; below 0: the signal that ended the process."""
    return f"ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


@contextlib.contextmanager
def nursery(
    limit_s: float,
    shared: Path | None,
    preload: Sequence[str],
    launch: Launch = Launch(),
    tolerance: float | None = None,
) -> Iterator[Callable[[], LiveWorker]]:
    """What starts workers, until the block ends."""
    made = Nursery(limit_s, shared, preload, launch, tolerance)
    try:
        yield made.worker
    finally:
        made.close()
