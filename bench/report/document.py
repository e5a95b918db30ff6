"""What is said of a record or a comparison, as values: built once, so that its renderings can't disagree.

Text of records and users becomes harmless here, once for all renderings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.report.harmless import harmless


@dataclass(frozen=True)
class Column:
    """A heading, and how early the column is left out where room is short: 0 never, larger sooner."""

    heading: str
    expendable: int = 0
    numeric: bool = True
    tells: bool = False
    """Whether it says what a row is of; then it is left out only where that is the same in all rows."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "heading", harmless(self.heading))


@dataclass(frozen=True)
class Table:
    """Rows of text under headings; a cell that is a `quantity.Number` knows its value."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", harmless(self.title))
        object.__setattr__(self, "rows", tuple(_harmless(row) for row in self.rows))


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
    links: tuple[tuple[str, str], ...] = ()
    """What lies beside the record: a text, and where it is, as a URL relative to its folder, or to the report's."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", harmless(self.title))
        for name in ("environment", "sentences", "legend"):
            object.__setattr__(self, name, _harmless(getattr(self, name)))
        object.__setattr__(self, "links", tuple(_harmless(link) for link in self.links))


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

    def __post_init__(self) -> None:
        for name in ("title", "alt"):
            object.__setattr__(self, name, harmless(getattr(self, name)))
        object.__setattr__(self, "spec", _all_harmless(self.spec))


@dataclass(frozen=True)
class Section:
    """A report beside others: what it is of, and its charts."""

    name: str
    """Of the record's file."""
    report: Report
    charts: tuple[Chart, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", harmless(self.name))


def _harmless(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(harmless, texts))


def _all_harmless(of: Any) -> Any:
    """The same with every text in it harmless, however deep."""
    if isinstance(of, str):
        return harmless(of)
    if isinstance(of, Mapping):
        return {key: _all_harmless(value) for key, value in of.items()}
    return [_all_harmless(value) for value in of] if isinstance(of, list | tuple) else of
