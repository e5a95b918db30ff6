"""What is said of a record or a comparison, as values: built once, so that its renderings can't disagree."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A heading, and how early the column is left out where room is short: 0 never, larger sooner."""

    heading: str
    expendable: int = 0
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """Rows of text under headings."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Report:
    """All that is said of a record, in order."""

    title: str
    environment: tuple[str, ...]
    tables: tuple[Table, ...]
    sentences: tuple[str, ...]
    legend: tuple[str, ...]
