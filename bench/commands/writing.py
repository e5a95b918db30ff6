"""The file that a command writes instead of printing: where it can be, and that it is written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import tyro

from bench.places import try_writing
from toynet.errors import UsageError

Out = Annotated[Path | None, tyro.conf.arg(aliases=["-o"])]
PAGE = Path("results/report.html")


def target(form: str, out: Path | None, records: Iterable[Path]) -> Path | None:
    """The file to write, if any, before anything is read or drawn; its folder needn't be there.

    Raises UsageError for one of the records, and where no file can be written.
    """
    out = out or (PAGE if form == "html" else None)
    if out is None:
        return None
    check_apart(out, records)
    try:
        _try(out)
    except OSError as error:
        raise _refused(out, error) from None
    return out


def check_apart(out: Path, records: Iterable[Path]) -> None:
    """Raises UsageError for one of the records."""
    if out.resolve() in [path.resolve() for path in records]:
        raise UsageError(f"{out} is a record to report, and would be overwritten; give -o another file.")


def write(text: str, out: Path) -> None:
    """Writes the file, and makes its folder; raises UsageError where it can't be."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _refused(out, error) from None


def _try(out: Path) -> None:
    """Raises OSError if the file couldn't be written; leaves all as it was."""
    if out.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not out.exists():
        try_writing(out.parent)
    elif out.is_file():  # a pipe would wait for its reader
        out.open("ab").close()


def _refused(out: Path, error: OSError) -> UsageError:
    in_a_file = isinstance(error, FileExistsError | NotADirectoryError)
    why = f"{out.parent} is a file" if in_a_file and out.parent.is_file() else error.strerror
    return UsageError(f"{out} can't be written: {why}; give -o another file.")
