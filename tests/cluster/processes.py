"""Processes known by a variable in their environment, which whatever they start has as well."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """One that is alive."""

    pid: int
    parent: int
    environment: Mapping[str, str]


def marked(name: str, value: str) -> list[Process]:
    """All whose environment has that; none that is over and wasn't waited for yet."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):  # it has ended meanwhile, or is another user's
                process = _read(folder)
                if process.environment.get(name) == value:
                    found.append(process)
    return found


def end_marked(name: str, value: str) -> None:
    """Ends all of them, and waits until they are gone."""
    while found := marked(name, value):
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        time.sleep(0.02)


def _read(folder: Path) -> Process:
    entries = (os.fsdecode(entry).partition("=") for entry in (folder / "environ").read_bytes().split(b"\0"))
    environment = {name: value for name, _, value in entries}
    # The name before it, in parentheses, may have blanks.
    parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
    return Process(int(folder.name), int(parent), environment)
