"""A report as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bench.report.document import Report, Table

# What means something wherever it stands; `_` at an edge of a word; `&` of an entity; what begins a list, a heading or
# a line of its own at the start; what ends a heading.
_MARKS = re.compile(
    r"[\\|<>*`\[\]~$]|(?<!\w)_+|_+(?!\w)|&(?=#?\w+;)|^[-+](?= |$)|^-(?=[- ]*$)|^#(?=#{0,5}(?: |$))|(?<= )#(?=#*$)"
)
_NUMBERED = re.compile(r"^(\d{1,9})(?=[.)](?: |$))")


def render(report: Report) -> str:
    """The whole report; ends with a newline."""
    parts = [f"# {escaped(report.title)}", bullets(report.environment)]
    for table in report.tables:
        parts += [f"## {escaped(table.title)}", rows(table)]
    parts += [bullets(report.sentences)]
    parts += ["\n".join(f"- [{escaped(text)}]({target})" for text, target in report.links)]
    parts += ["\n\n".join(escaped(line) for line in report.legend)]
    return "\n\n".join(part for part in parts if part) + "\n"


def bullets(lines: Iterable[str]) -> str:
    """A list, an item a line."""
    return "\n".join(f"- {escaped(line)}" for line in lines)


def rows(table: Table) -> str:
    """A table under its headings, without its title."""
    headings = [escaped(column.heading) for column in table.columns]
    rules = ["---:" if column.numeric else "---" for column in table.columns]
    rows = [headings, rules, *([escaped(cell) for cell in row] for row in table.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def escaped(text: str) -> str:
    """A text that means nothing but itself, on one line."""
    line = " ".join(text.split())
    marked = _MARKS.sub(lambda found: "".join(f"\\{character}" for character in found[0]), line)
    return _NUMBERED.sub(r"\1\\", marked)
