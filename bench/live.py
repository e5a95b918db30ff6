"""A live worker as the conductor sees it: a process started, asked with a time limit, ended."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import msgspec

from bench.cases import Case
from bench.environment import Backend
from bench.measured import Block, Certificate, Compiled, Kind
from toynet.errors import UsageError

# A GPU's memory is shared by the workers that are alive at once, so none may take all of it at start.
# What is compiled within a run is kept for its restarts, however quickly it was compiled.
ENVIRONMENT = {
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
LAST_LINES = 4


class WorkerFailed(Exception):
    """A worker died, was aborted, or didn't answer in time; the message says which, with its last lines."""


class LiveWorker:
    """One worker process and the pipe to it; every answer has to come within `limit_s` seconds."""

    def __init__(self, limit_s: float, shared: Path | None = None) -> None:
        """Starts the process; `shared` is a folder where the workers of a run keep what others can use."""
        self._limit_s = limit_s
        self._shared = None if shared is None else str(shared)
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115, it lives as long as the worker
        self._pipe, child = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", str(child.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=self._printed,
            stderr=subprocess.STDOUT,
            pass_fds=[child.fileno()],
            env={**ENVIRONMENT, **os.environ},
            start_new_session=True,
        )
        child.close()

    def ask(self, request: dict[str, Any]) -> None:
        """Sends a request without waiting for its answer."""
        with contextlib.suppress(BrokenPipeError):  # a worker that died says so when its answer is awaited
            self._pipe.send_bytes(json.dumps(request).encode())

    def answer(self) -> Any:
        """The answer to the last request; raises WorkerFailed, or UsageError for what the user got wrong."""
        try:
            if not self._pipe.poll(self._limit_s):
                raise WorkerFailed(self._said(f"no answer within {self._limit_s:g} s"))
            reply = json.loads(self._pipe.recv_bytes())
        except (EOFError, ConnectionResetError):
            raise WorkerFailed(self._said(self._ending())) from None
        if "unusable" in reply:
            raise UsageError(reply["unusable"])
        return reply["answer"]

    def backend(self) -> Backend:
        """What JAX runs on there; starts JAX in the worker."""
        self.ask({"ask": "backend"})
        return msgspec.convert(self.answer(), Backend)

    def begin_prepare(self, case: Case, cores: Sequence[int]) -> None:
        """Lets the worker import, pin itself and initialise the case."""
        self.ask({"ask": "prepare", "case": dataclasses.asdict(case), "cores": list(cores), "shared": self._shared})

    def end_prepare(self) -> None:
        """Waits until the case is prepared."""
        self.answer()

    def compile(self) -> Compiled:
        """Compiles the step and runs it once."""
        self.ask({"ask": "compile"})
        return msgspec.convert(self.answer(), Compiled)

    def begin_check(self) -> None:
        """Lets the worker compare the case with `single`."""
        self.ask({"ask": "check"})

    def end_check(self) -> Certificate:
        """Waits for what the comparison found."""
        return msgspec.convert(self.answer(), Certificate)

    def rough(self) -> dict[Kind, float]:
        """Seconds a step, roughly, for each kind of block that makes sense for the case."""
        self.ask({"ask": "rough"})
        return msgspec.convert(self.answer(), dict[Kind, float])

    def block(self, kind: Kind, steps: int) -> Block:
        """Runs a block of steps."""
        self.ask({"ask": "block", "kind": kind, "steps": steps})
        return msgspec.convert(self.answer(), Block)

    def close(self) -> None:
        """Ends the process and all that it started; may be called again."""
        self._pipe.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._printed.close()

    def _ending(self) -> str:
        """How the process ended; it has closed its pipe, so it is ending if it hasn't yet."""
        try:
            status = self._process.wait(timeout=self._limit_s)
        except subprocess.TimeoutExpired:
            return "it closed its pipe and didn't end"
        if status < 0:
            return f"ended by {signal.Signals(-status).name}"
        return f"ended with status {status}"

    def _said(self, how: str) -> str:
        size = self._printed.seek(0, os.SEEK_END)
        self._printed.seek(max(0, size - 16384))
        printed = [line.strip() for line in self._printed.read().decode(errors="replace").splitlines()]
        lines = [line for line in printed if line and not line.startswith("@ ")]  # XLA's stack, an address a line
        return f"{how}; it last printed: {' | '.join(lines[-LAST_LINES:])}" if lines else f"{how}, and printed nothing"
