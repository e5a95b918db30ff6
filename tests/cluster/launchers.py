"""Commands that a launcher starts as two processes, as a user would on a cluster."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from processes import Process, end_marked, marked

ROOT = Path(__file__).parents[2]
MARK = "TOYNET_LAUNCHED"
# Of a launcher that the tests themselves may run under.
FOREIGN = ("SLURM_", "OMPI_", "PMIX_")


@dataclass(frozen=True)
class Launcher:
    """How two processes of a command are started together."""

    name: str
    command: tuple[str, ...]
    rank: str
    """The variable that tells a process its rank."""
    environment: Mapping[str, str]

    def whole_environment(self) -> dict[str, str]:
        """That of this process, and its own, without what a launcher of the tests themselves has set."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        return {**kept, **self.environment, "PYTHONPATH": str(ROOT)}

    @contextlib.contextmanager
    def start(self, folder: Path, *arguments: str) -> Iterator[Launched]:
        """`python ARGUMENTS` in that folder; when the block is left, no process of it is."""
        mark = uuid.uuid4().hex
        paths = (folder / "stdout", folder / "stderr")
        with contextlib.ExitStack() as files:
            out, error = (files.enter_context(path.open("wb")) for path in paths)
            launcher = subprocess.Popen(
                (*self.command, sys.executable, *arguments),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=error,
                env={**self.whole_environment(), MARK: mark},
            )
        try:
            yield Launched(self, launcher, mark, *paths)
        finally:
            end_marked(MARK, mark)
            launcher.wait()

    def run(self, folder: Path, *arguments: str, limit_s: float = 240) -> Launched:
        """The same, once it has ended by itself."""
        with self.start(folder, *arguments) as launched:
            launched.wait(limit_s)
        return launched


@dataclass(frozen=True)
class Launched:
    """A command under a launcher."""

    by: Launcher
    launcher: subprocess.Popen[bytes]
    mark: str
    stdout_path: Path
    stderr_path: Path

    @property
    def stdout(self) -> str:
        return self.stdout_path.read_text()

    @property
    def stderr(self) -> str:
        return self.stderr_path.read_text()

    @property
    def status(self) -> int | None:
        return self.launcher.returncode

    def wait(self, limit_s: float) -> int:
        """The launcher's exit status; raises subprocess.TimeoutExpired."""
        return self.launcher.wait(limit_s)

    def until(self, happened: Callable[[], bool], limit_s: float = 120) -> None:
        """Waits for something that the command does; fails if it ends before, or takes too long."""
        until = time.monotonic() + limit_s
        while not happened():
            assert self.launcher.poll() is None, self.stderr
            assert time.monotonic() < until, self.stderr
            time.sleep(0.05)

    def wait_until_gone(self, limit_s: float) -> None:
        """Waits for the end of all that the command has started; fails if it takes too long."""
        until = time.monotonic() + limit_s
        while left := self.processes():
            assert time.monotonic() < until, left
            time.sleep(0.05)

    def processes(self, rank: int | None = None) -> list[Process]:
        """All that are alive, the launcher among them; with a rank, those of it, the first of them first."""
        found = [process for process in marked(MARK, self.mark) if rank is None or self._rank(process) == str(rank)]
        pids = {process.pid for process in found}
        return sorted(found, key=lambda process: process.parent in pids)

    def _rank(self, process: Process) -> str | None:
        return process.environment.get(self.by.rank)
