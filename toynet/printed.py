"""What is told of a process that this one started: what it printed, kept out of the user's way, and how it ended."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

LAST_LINES = 4
# Of a line, in characters.
LINE = 400
PRINTED_BYTES = 2**20


class Printed:
    """What a process prints, kept in a file that has no name; it shares its place in the file with the process."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115, it lives as long as the process
        self._forgotten = 0

    def bound(self) -> None:
        """Forgets what was printed if it is too much, lest it fill a disk."""
        if (size := os.fstat(self.file.fileno()).st_size) > PRINTED_BYTES:
            self._forgotten += size
            self.file.seek(0)
            self.file.truncate()

    def after(self, how: str) -> str:
        """How the process ended, and the last lines of what it printed before."""
        size = self.file.seek(0, os.SEEK_END)
        self.file.seek(max(0, size - 16384))
        printed = [line.strip() for line in self.file.read().decode(errors="replace").splitlines()]
        lines = [
            line[:LINE] for line in printed if line and not line.startswith("@ ")
        ]  # XLA's stack: an address a line
        much = f" (of {total / 1e6:.0f} MB)" if (total := size + self._forgotten) > PRINTED_BYTES else ""
        if not lines:
            return f"{how}, and printed nothing" + much
        return f"{how}; it last printed{much}: {' | '.join(lines[-LAST_LINES:])}"


def stopped(pid: int) -> bool:
    """Whether a signal keeps a process from running (Linux)."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] in "Tt"


def how_it_ended(status: int) -> str:
    """An exit code in words; below 0: the signal that ended the process."""
    return f"ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
