"""A report as Markdown."""

from __future__ import annotations

from bench.report.document import Report, Table


def render(report: Report) -> str:
    """The whole report; ends with a newline."""
    parts = [f"# {report.title}", "\n".join(f"- {_escaped(line)}" for line in report.environment)]
    for table in report.tables:
        parts += [f"## {_escaped(table.title)}", _table(table)]
    parts += ["\n".join(f"- {_escaped(said)}" for said in report.sentences)]
    parts += ["\n".join(f"- [{_escaped(text)}]({target})" for text, target in report.links)]
    parts += ["\n\n".join(_escaped(line) for line in report.legend)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(table: Table) -> str:
    headings = [column.heading for column in table.columns]
    rules = ["---:" if column.numeric else "---" for column in table.columns]
    rows = [headings, rules, *([_escaped(cell) for cell in row] for row in table.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _escaped(text: str) -> str:
    for character in "\\|<>*`[]":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())
