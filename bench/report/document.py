"""What is said of a record or a comparison, as values: built once, so that its renderings can't disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Column:
    """A heading, and how early the column is left out where room is short: 0 never, larger sooner."""

    heading: str
    expendable: int = 0
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """Rows of text under headings; a cell that is a `quantity.Number` knows its value."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]


def standing(row: Sequence[str]) -> Literal["broken", "oversubscribed", ""]:
    """What sets a row apart from the others, which its last cell says."""
    return "broken" if "BROKEN" in row[-1] else "oversubscribed" if "oversubscribed" in row[-1] else ""


@dataclass(frozen=True)
class Report:
    """All that is said of a record, in order."""

    title: str
    environment: tuple[str, ...]
    tables: tuple[Table, ...]
    sentences: tuple[str, ...]
    legend: tuple[str, ...]


@dataclass(frozen=True)
class Chart:
    """A picture of what a report says, and what it draws as a table, for who can't see it."""

    key: str
    """Of letters, digits and hyphens: tells it from the others of its page, or file."""
    title: str
    alt: str
    """What it shows, in a sentence."""
    drawn: Table
    spec: Mapping[str, Any]
    """Vega-Lite, with its data in it."""


@dataclass(frozen=True)
class Section:
    """A report beside others: what it is of, and its charts."""

    name: str
    """Of the record's file."""
    report: Report
    charts: tuple[Chart, ...] = ()
