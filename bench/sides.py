"""A side of a comparison: which tree, interpreter, environment, mode and devices are its own. Knows git, not JAX."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import git
from bench.live import Launch
from toynet.errors import UsageError, unknown
from toynet.xla import check_xla_flags

PARTS = ("path", "python", "rev", "devices", "mode")
_PART = re.compile(rf"(?:^|,)(?P<name>{'|'.join(PARTS)}|env:[A-Za-z_]\w*)=")


@dataclass(frozen=True, kw_only=True)
class Side:
    """What a side has of its own; everything else is as on the other side."""

    text: str
    """As it was written."""
    path: Path = Path()
    python: str = sys.executable
    rev: str | None = None
    devices: int | None = None
    mode: str | None = None
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Tree:
    """The files of a side, and the commit that they are of; None outside git."""

    folder: Path
    commit: str | None
    dirty: bool


def side(text: str) -> Side:
    """A side written as `path=DIR,python=INTERPRETER,rev=REV,devices=N,mode=NAME,env:NAME=VALUE`, each part optional.

    A comma within a value is a part of it unless a part's name and `=` follow. `.` is the working tree
    as it is. Raises UsageError.
    """
    if text in ("", "."):
        return Side(text=".")
    found = list(_PART.finditer(text))
    if not found or found[0].start():
        name = text.partition("=")[0]
        raise unknown("part of a side", name, PARTS) if "=" in text else _unlike(text)
    ends = [part.start() for part in found[1:]] + [len(text)]
    given: dict[str, str] = {}
    environment: dict[str, str] = {}
    for part, end in zip(found, ends, strict=True):
        name, value = part["name"], text[part.end() : end]
        into, key = (environment, name[4:]) if name.startswith("env:") else (given, name)
        if key in into:
            raise UsageError(f"{name} is given twice in the side {text!r}; once was expected.")
        if not value and not name.startswith("env:"):
            raise UsageError(f"{name} has no value in the side {text!r}.")
        into[key] = value
    check_xla_flags(environment)
    return Side(
        text=text,
        path=_folder(given.get("path", ".")),
        python=_interpreter(given.get("python", sys.executable)),
        rev=given.get("rev"),
        devices=_count(given.get("devices")),
        mode=given.get("mode"),
        environment=tuple(environment.items()),
    )


def _unlike(text: str) -> UsageError:
    return UsageError(
        f"a side is written as rev=main, path=DIR, python=INTERPRETER, env:NAME=VALUE, mode=NAME or devices=N, "
        f"with commas between its parts, or as . for the working tree; got {text!r}."
    )


def _folder(path: str) -> Path:
    if not Path(path).is_dir():
        raise UsageError(f"path={path}: there is no such folder.")
    return Path(path)


def _interpreter(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise UsageError(f"python={name}: no interpreter is found there; name one, such as .venv/bin/python.")
    return os.path.abspath(found)  # a link in a virtual environment stays one, for it tells which


def _count(text: str | None) -> int | None:
    if text is not None and not text.isdecimal():
        raise UsageError(f"devices={text}: a whole number was expected.")
    return None if text is None else int(text)


@contextlib.contextmanager
def checked_out(of: Side) -> Iterator[Tree]:
    """The side's tree: its folder as it is, or a worktree of its revision, removed when the block ends.

    Raises UsageError for a revision that isn't there.
    """
    if of.rev is None:
        yield Tree(of.path, git.commit(of.path), git.dirty(of.path))
        return
    if git.ask(of.path, "rev-parse", "--git-dir") is None:
        raise UsageError(f"rev={of.rev}: {of.path.absolute()} is not in a git repository.")
    commit = git.ask(of.path, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{of.rev}^{{commit}}")
    if not commit:
        raise UsageError(
            f"rev={of.rev}: git knows no such revision here; where a clone has only the newest commit (CI), "
            f"fetch more first: git fetch --unshallow, or git fetch origin {of.rev}."
        )
    inside = git.ask(of.path, "rev-parse", "--show-prefix") or ""
    with tempfile.TemporaryDirectory(prefix="bench-tree-") as temporary:
        worktree = Path(temporary, "tree")
        try:
            added = git.run(of.path, "worktree", "add", "--detach", "--quiet", str(worktree), commit)
            if added.returncode:
                raise UsageError(f"rev={of.rev}: git can't check it out: {added.stderr.strip().splitlines()[-1]}.")
            folder = worktree / inside
            if not folder.is_dir():
                raise UsageError(
                    f"rev={of.rev} has no folder {inside!r}; run this from the root of the repository, and name files "
                    "as from there."
                )
            yield Tree(folder, commit, dirty=False)
        finally:
            git.run(of.path, "worktree", "remove", "--force", str(worktree))


def launch(of: Side, tree: Tree) -> Launch:
    """What the side's workers run with."""
    return Launch(of.python, tree.folder, dict(of.environment))
