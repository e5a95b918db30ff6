"""Asks git about a folder; nothing here fails where there is no git or no repository."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

LIMIT_S = 60.0
# A git hook sets these, and git would then answer for its repository, whatever the folder.
_OF_HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


def ask(folder: Path, *arguments: str) -> str | None:
    """What git prints; None where it fails."""
    done = run(folder, *arguments)
    return done.stdout.strip() if done.returncode == 0 else None


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs git there; one that is missing or takes too long fails like any other."""
    environment = {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}
    command = ["git", *arguments]
    try:
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT_S)
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127, "", "git is not installed")
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"git took over {LIMIT_S:g} s")


def commit(folder: Path) -> str | None:
    """The commit that is checked out; None outside a repository."""
    return ask(folder, "rev-parse", "HEAD")


def dirty(folder: Path) -> bool:
    """Whether tracked files differ from the commit."""
    return bool(ask(folder, "status", "--porcelain", "--untracked-files=no"))
