"""Processes that a test has started, found by a mark in their environment."""

from __future__ import annotations

import os
from pathlib import Path


def marked(mark: str) -> dict[int, str]:
    """Of each other process that has the mark in its environment, its command line."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int(folder.name) != os.getpid() and mark.encode() in (folder / "environ").read_bytes():
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # ended in the meantime
            continue
    return found
