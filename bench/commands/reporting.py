"""`bench report`, and what every command does about its output."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from bench.commands.status import DONE, INTERRUPTED, UNUSABLE
from toynet.errors import UsageError

if TYPE_CHECKING:
    from bench.report.document import Report


@dataclass(frozen=True, kw_only=True)
class ReportCommand:
    """Print records as tables and sentences.

    Example: python -m bench report results/baseline-cpu.json --format markdown
    """

    records: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Files that `run`, `ab`, `gate` or `bench.peers` wrote."""
    format: Literal["terminal", "markdown", "json"] = "terminal"
    """How; json is for programs, and has all records in one value."""

    def execute(self) -> int:
        if not self.records:
            raise UsageError("no record was named; `python -m bench run` writes one to results/latest.json.")
        status = DONE
        reports: list[Report] = []
        for path in self.records:
            try:
                reports.append(_report(path))
            except UsageError as error:
                status = refused(error)
        if reports:
            shown(reports, self.format)
        return status


def shown(reports: Sequence[Report], form: str) -> None:
    """Prints reports."""
    with while_read():
        if form == "json":
            from bench.report import structured

            print(structured.render(reports), end="")
        elif form == "markdown":
            from bench.report import markdown

            print("\n".join(map(markdown.render, reports)))
        else:
            from bench.report import terminal

            for report in reports:
                terminal.show(report, terminal.console())


def _report(path: Path) -> Report:
    from bench import record
    from bench.report import table

    kind = record.tag(path)
    if kind == "comparison":
        from bench import comparison
        from bench.report import verdicts

        return verdicts.build(comparison.read(path))
    if kind == "peers":
        from bench.peers import record as peers
        from bench.peers import report, switches

        found = peers.read(path)
        return switches.build(found) if switches.is_one(found) else report.build(found)
    if kind is not None:
        raise UsageError(f"{path} is a {kind}, and a record of `run`, `ab` or `gate` was expected.")
    return table.build(record.read(path))


def report_beside(record: Path) -> None:
    """Writes the report of a record as Markdown beside it."""
    from bench.report import markdown

    record.with_suffix(".md").write_text(markdown.render(_report(record)), encoding="utf-8")


@contextlib.contextmanager
def reported(out: Path, report: Callable[[Path], None]) -> Iterator[None]:
    """An interrupt in here leaves a report of what the record has by then, if it was written in here."""
    before = _version(out)
    try:
        yield
    except KeyboardInterrupt:
        if _version(out) != before:
            report(out)
        raise


def _version(path: Path) -> tuple[int, int] | None:
    """What tells a file from the one that replaces it."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


@contextlib.contextmanager
def while_read() -> Iterator[None]:
    """What is printed here is lost, and the exit status kept, once whoever read it has left (`| head`).

    Raises UsageError where it can't be printed for another reason, such as a full disk.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _print_nowhere()
    except OSError as error:
        _print_nowhere()
        raise UsageError(f"standard output can't be written: {error.strerror}.") from None


def finished(execute: Callable[[], int]) -> int:
    """The exit status of a command line, whatever ends it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends workers as Ctrl-C does
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # where a locale has no ± sign
    try:
        return execute()
    except UsageError as error:
        return refused(error)
    except BrokenPipeError:  # whoever read the help has left
        _print_nowhere()
        return DONE
    except KeyboardInterrupt:
        print("interrupted; if a round had ended, the record has it", file=sys.stderr)
        return INTERRUPTED


def _print_nowhere() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def refused(error: UsageError) -> int:
    """Says what was wrong; gives the exit status."""
    print(f"error: {error}", file=sys.stderr)
    return UNUSABLE
