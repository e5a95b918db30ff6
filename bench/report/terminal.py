"""A report on a terminal, or as plain text where there is none."""

from __future__ import annotations

import os
import sys

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from bench.report.document import Report, Table, standing

# Of what isn't read on a terminal, unless COLUMNS says otherwise: a row is a line, and no column is left out.
PIPED_WIDTH = 100_000
STYLES = {"broken": "red", "oversubscribed": "dim", "": ""}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leaves it to the caller that nobody reads on; rich would exit with status 1."""
        raise BrokenPipeError


def console(*, error: bool = False) -> Console:
    """A console that is wide enough for whole lines when its output is piped; it respects NO_COLOR and COLUMNS."""
    made = _Console(stderr=error, highlight=False)
    if made.is_terminal and not _has_no_size(made):
        return made
    width = None if os.environ.get("COLUMNS", "").isdigit() else PIPED_WIDTH
    return _Console(stderr=error, highlight=False, force_terminal=False, width=width)


def _has_no_size(made: Console) -> bool:
    """As the terminal that mpirun gives each process, which only passes on what is printed, to a pipe as well."""
    try:
        return os.get_terminal_size(made.file.fileno()).columns == 0
    except (OSError, ValueError):  # none at all
        return False


def show(report: Report, to: Console) -> None:
    """Prints the whole report."""
    to.print(Text(report.title, style="bold"))
    for line in report.environment:
        to.print(Text(line, style="dim"), soft_wrap=True)
    for table in report.tables:
        to.print()
        fitting = _fitting(table, to)
        to.print(fitting)
        if left_out := len(table.columns) - len(fitting.columns):
            where = "a wider terminal" if to.is_terminal else "a larger COLUMNS"
            columns = f"{left_out} column{'s' * (left_out > 1)}"
            to.print(Text(f"{columns} left out; {where} has room, and so has Markdown.", style="dim"), soft_wrap=True)
    to.print()
    for said in report.sentences:
        to.print(Text(said), soft_wrap=not to.is_terminal)
    for text, target in report.links:
        to.print(Text(f"{text}: {target}"), soft_wrap=True)
    to.print()
    for line in report.legend:
        to.print(Text(line, style="dim"), soft_wrap=not to.is_terminal)


def show_table(table: Table, to: Console) -> None:
    """Prints a table alone."""
    to.print(_fitting(table, to))


def _fitting(table: Table, to: Console) -> RichTable:
    """The table without its most expendable columns, as many as the width asks for."""
    if to.width >= PIPED_WIDTH:  # measuring takes as long as printing
        return _made(table, list(range(len(table.columns))))
    expendable = _expendable(table)
    kept = [[i for i, rank in enumerate(expendable) if rank <= most] for most in sorted(set(expendable), reverse=True)]
    unbounded = to.options.update(max_width=sys.maxsize)  # or rich would say that every table fits
    for columns in kept:
        made = _made(table, columns)
        if Measurement.get(to, unbounded, made).maximum <= to.width:
            return made
    return _made(table, kept[-1], by_words=True)


def _expendable(table: Table) -> list[int]:
    """How early each column is left out: one that tells rows apart never is."""
    return [
        0 if column.tells and len({row[i] for row in table.rows}) > 1 else column.expendable
        for i, column in enumerate(table.columns)
    ]


def _made(table: Table, kept: list[int], *, by_words: bool = False) -> RichTable:
    """A table of these columns; by words, each is as narrow as its longest word."""
    title = Text(table.title, style="bold")
    padding = (0, 1, 0, 0) if by_words else (0, 1)
    made = RichTable(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=padding)
    for i in kept:
        column = table.columns[i]
        words = " ".join([column.heading, *(row[i] for row in table.rows)]).split()
        width = max(map(len, words)) if by_words else None
        made.add_column(column.heading, justify="right" if column.numeric else "left", width=width)
    for row in table.rows:
        made.add_row(*(Text(row[i]) for i in kept), style=STYLES[standing(row)])
    return made
