"""The file of a record and those that stand beside it: whether they can be written, and writing it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bench.growth import QUANTITIES, Quantity
from bench.places import try_writing
from bench.record import write
from toynet.errors import UsageError


def keep(record: msgspec.Struct, out: Path) -> None:
    """Writes the record, and removes what stands beside it, which tells of an earlier one."""
    for other in beside(out):
        other.unlink(missing_ok=True)
    write(record, out)


def beside(out: Path) -> tuple[Path, ...]:
    """A record's report and its pictures."""
    grown = [growth_beside(out, quantity) for quantity in QUANTITIES]
    return out.with_suffix(".md"), out.with_suffix(".png"), out.with_suffix(".scaling.png"), *grown


def growth_beside(out: Path, quantity: Quantity) -> Path:
    """Where the picture is of how a record's cost grows with that quantity."""
    return out.with_suffix(f".growth-{quantity.replace('_', '-')}.png")


def check_writable(out: Path) -> None:
    """Raises UsageError if the record could not be written there; creates nothing."""
    if out.suffix in (".md", ".png"):
        raise UsageError(f"{out} would be overwritten by the report and the picture beside it; end it in .json.")
    try:
        if out.is_dir():
            raise UsageError(f"{out} is a folder; name a file for the record, such as {out / 'run.json'}.")
        if out.exists() and not out.is_file():
            raise UsageError(f"{out} is not a regular file, and would be replaced by the record; choose another --out.")
        for other in beside(out):
            if other.exists() and not other.is_file():
                raise UsageError(f"{other} is no file, and the report is written there; choose another --out.")
        try_writing(out.parent)
    except OSError as error:
        raise UsageError(f"{out} can't be written: {error.strerror}; choose another --out.") from None


def check_folder(traces: Path) -> None:
    """Raises UsageError if traces could not be written into that folder; creates nothing."""
    try:
        try_writing(traces)
    except OSError as error:
        raise UsageError(f"{traces} can't be written into: {error.strerror}; choose another --trace.") from None
