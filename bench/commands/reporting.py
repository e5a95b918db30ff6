"""`bench report`, and what every command does about its output."""

from __future__ import annotations

import codecs
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

from bench.commands.status import BROKEN, DONE, INTERRUPTED, UNUSABLE
from bench.commands.writing import Out, target, write
from bench.report import exports
from bench.report.harmless import harmless
from toynet.errors import ProcessLost, UsageError

if TYPE_CHECKING:
    from bench.report.document import Section

NOTHING_WRITTEN = "nothing had been written by then"

Format = Literal["terminal", "markdown", "html", "json"]


@dataclass(frozen=True, kw_only=True)
class ReportCommand:
    """Print records as tables and sentences, or write them as a page with charts.

    Example: python -m bench report results/baseline-cpu.json --format html -o results/report.html
    """

    records: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Files that `run`, `ab`, `gate` or `bench.peers` wrote."""
    format: Literal[Format, exports.Format] = "terminal"
    """How; html is one page for a browser, and json is for programs: each has all records in one file. The rest are for
    other tools (docs/exports.md)."""
    out: Out = None
    """The file to write instead of standard output, in a folder that is made if need be; for html, results/report.html
    unless another is given."""

    def execute(self) -> int:
        if not self.records:
            raise UsageError("no record was named; `python -m bench run` writes one to results/latest.json.")
        out = target(self.format, self.out, self.records)
        if self.format not in ("terminal", "markdown", "html", "json"):
            return _export(self.format, self.records, out)
        status = DONE
        sections: list[Section] = []
        for path in self.records:
            try:
                sections.append(_section(path, Path() if out is None else out.parent, charts=self.format == "html"))
            except UsageError as error:
                status = refused(error)
        if sections:
            show(sections, self.format, out)
        return status


def show(sections: Sequence[Section], form: Format, out: Path | None) -> None:
    """Prints reports, or writes what would be printed into the file."""
    if out is None:
        with while_read():
            _print(sections, form)
        return
    with contextlib.redirect_stdout(io.StringIO()) as text:
        _print(sections, form)
    _write(text.getvalue(), len(sections), out)


def _print(sections: Sequence[Section], form: Format) -> None:
    reports = [section.report for section in sections]
    if form == "json":
        from bench.report import structured

        print(structured.render(reports), end="")
    elif form == "markdown":
        from bench.report import markdown

        print("\n".join(map(markdown.render, reports)), end="")
    elif form == "html":
        from bench.report import page

        print(page.render(sections), end="")
    else:
        from bench.report import terminal

        for report in reports:
            terminal.show(report, terminal.console())


def _export(form: exports.Format, records: Sequence[Path], out: Path | None) -> int:
    from bench.commands.exporting import exported

    text, reports, status = exported(form, records)
    if out is None:
        with while_read():
            print(text, end="")
    elif text:
        _write(text, reports, out)
    return status


def _write(text: str, reports: int, out: Path) -> None:
    """Writes the file, and says so."""
    write(text, out)
    with while_read():
        print(harmless(f"{out}: {reports} report{'s' * (reports > 1)}"))


def _section(path: Path, folder: Path, *, charts: bool = False) -> Section:
    """The report of a record, to be read in that folder, and its charts if they are asked for: they take a second to
    load."""
    from bench import record
    from bench.report import table, traces
    from bench.report.document import Section

    kind = record.tag(path)
    if kind == "comparison":
        return _of_comparison(path, charts=charts)
    if kind == "peers":
        from bench.peers import record as peers
        from bench.peers import report, switches

        found = peers.read(path)
        return Section(str(path), switches.build(found) if switches.is_one(found) else report.build(found))
    if kind is not None:
        raise UsageError(f"{path} is {record.called(kind)}, and a record of `run`, `ab` or `gate` was expected.")
    found = record.read(path)
    report = traces.relocated(table.build(found), path.parent, folder)
    if charts:
        from bench.report.charts import of_record

        return Section(str(path), report, tuple(of_record(found)))
    return Section(str(path), report)


def _of_comparison(path: Path, *, charts: bool) -> Section:
    from bench import comparison
    from bench.report import verdicts
    from bench.report.document import Section

    found = comparison.read(path)
    if charts:
        from bench.report.charts import of_comparison

        return Section(str(path), verdicts.build(found), tuple(of_comparison(found)))
    return Section(str(path), verdicts.build(found))


def report_beside(record: Path) -> None:
    """Writes the report of a record as Markdown beside it."""
    from bench.report import markdown

    record.with_suffix(".md").write_text(markdown.render(_section(record, record.parent).report), encoding="utf-8")


class Said(Exception):
    """What ended a command early is said, and with which exit status it ends."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@contextlib.contextmanager
def reported(out: Path, report: Callable[[Path], None], then: str = "") -> Iterator[None]:
    """An interrupt in here, or the loss of another process, leaves a report of what the record has by then, if it was
    written in here.

    It is said before that, for what ended the other processes may soon end this one: raises Said.
    """
    before = _version(out)
    try:
        yield
    except (KeyboardInterrupt, ProcessLost) as error:
        written = _version(out) != before
        status = ended(error, f"{out} has what was measured by then{then}" if written else NOTHING_WRITTEN)
        if written:
            with contextlib.suppress(KeyboardInterrupt):
                report(out)
        raise Said(status) from None


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
    if sys.stdout is None:  # `>&-`: nobody is to read it
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, it lives as long as the process
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error("spelled", _spelled)
        sys.stdout.reconfigure(errors="spelled")
    try:
        return execute()
    except UsageError as error:
        return refused(error)
    except BrokenPipeError:  # whoever read the help has left
        _print_nowhere()
        return DONE
    except (KeyboardInterrupt, ProcessLost) as error:
        return ended(error)
    except Said as said:
        return said.status


def ended(error: KeyboardInterrupt | ProcessLost, *more: str) -> int:
    """Says what ended a command early, and what is left of it; gives the exit status."""
    interrupted = isinstance(error, KeyboardInterrupt)
    said = "; ".join(["interrupted" if interrupted else f"error: {error}", *more])
    print(harmless(said if interrupted else f"{said}."), file=sys.stderr)
    return INTERRUPTED if interrupted else BROKEN


def _spelled(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that a locale hasn't got."""
    assert isinstance(error, UnicodeEncodeError)
    return "".join({"±": "+-"}.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


def _print_nowhere() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def refused(error: UsageError) -> int:
    """Says what was wrong; gives the exit status."""
    print(f"error: {harmless(str(error))}", file=sys.stderr)
    return UNUSABLE
