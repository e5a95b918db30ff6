"""Contenders as whoever measures sees them: live workers, and whole processes from cold."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

import msgspec

from bench import wire
from bench.peers.contender import Learned, Took
from bench.peers.worker import BLOCK, JUDGE, PREPARE
from bench.run import ROOT
from bench.workers import WorkerFailed
from toynet.printed import Printed, how_it_ended

# What is compiled is compiled anew by either side, and a GPU's memory is shared by whoever is alive.
LEFT_OUT = ("JAX_COMPILATION_CACHE_DIR",)
ADDED = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}

COLD = {
    "ours-process": ("toynet", "train"),
    "tutorial-process": ("bench.peers.tutorial_script",),
}
_ACCURACY = re.compile(r"Accuracy on the test set: ([\d.]+)")


class LiveWorker:
    """A contender in a process of its own, which waits while it isn't asked."""

    def __init__(self, name: str, limit_s: float, module: str = "bench.peers.worker") -> None:
        """Starts the process; each answer of its has to come within `limit_s` seconds."""
        self._limit_s = limit_s
        self._printed = Printed()
        self._pipe, theirs = socket.socketpair()
        self._pipe.settimeout(limit_s)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs.fileno()), name],
                cwd=ROOT,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=self._printed.file,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def prepare(self) -> None:
        """Makes the contender and trains once or twice."""
        self._ask(PREPARE)

    def judge(self) -> Learned:
        """What it learns."""
        return msgspec.json.decode(self._ask(JUDGE), type=Learned)

    def block(self) -> Took:
        """Trains for a block."""
        return msgspec.json.decode(self._ask(BLOCK), type=Took)

    def close(self) -> None:
        """Ends the process and all that it started, and waits until it is gone."""
        self._pipe.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._printed.file.close()

    def _ask(self, request: bytes) -> bytes:
        try:
            wire.send(self._pipe, request)
            return wire.receive(self._pipe)
        except TimeoutError:
            raise WorkerFailed(self._printed.after(f"no answer within {self._limit_s:g} s")) from None
        except (EOFError, OSError):
            raise WorkerFailed(self._printed.after(self._ending())) from None

    def _ending(self) -> str:
        try:
            return how_it_ended(self._process.wait(self._limit_s))
        except subprocess.TimeoutExpired:
            return "it closed its pipe and didn't end"


class Cold:
    """A contender that is a whole process, started for each block and over when it exits."""

    def __init__(self, module: Sequence[str], limit_s: float) -> None:
        """Of a module and its arguments; it has to end within `limit_s` seconds."""
        self._command = [sys.executable, "-m", *module]
        self._limit_s = limit_s

    def prepare(self) -> None:
        """Runs it once: its files are then in the system's memory, as those of the other are."""
        self._run()

    def judge(self) -> Learned:
        """What it says of itself."""
        said = _ACCURACY.search(self._run())
        if said is None:
            raise WorkerFailed("it said nothing of its accuracy")
        return Learned(float(said[1]), 1)

    def block(self) -> Took:
        """Runs it, from its start to its exit."""
        began = time.perf_counter()
        self._run()
        return Took(1, time.perf_counter() - began)

    def close(self) -> None:
        """Nothing is left to be ended."""

    def _run(self) -> str:
        """What it printed; raises WorkerFailed if it failed or took too long."""
        printed = Printed()
        with contextlib.closing(printed.file) as file:
            try:
                status = subprocess.run(
                    self._command,
                    cwd=ROOT,
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    timeout=self._limit_s,
                ).returncode
            except subprocess.TimeoutExpired:
                raise WorkerFailed(printed.after(f"no end within {self._limit_s:g} s")) from None
            if status:
                raise WorkerFailed(printed.after(how_it_ended(status)))
            file.seek(0)
            return file.read().decode(errors="replace")


def _environment() -> dict[str, str]:
    return {**ADDED, **{name: value for name, value in os.environ.items() if name not in LEFT_OUT}}
