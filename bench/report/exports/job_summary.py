"""A summary of a job of GitHub Actions, as Markdown: what came out, a short table, the rest collapsed."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench.comparison import Comparison, outcome
from bench.record import Record
from bench.report import markdown, table, verdicts
from bench.report.document import Report, Table
from bench.report.exports.source import Source

# GitHub drops a step's summary that is longer than 1 MiB.
LIMIT_BYTES = 1024**2
# In what isn't collapsed.
ROWS = 30
SHORT = ("case", "verdict", "B / A", "remarks")
WORST_FIRST = ("broken", "slower", "inconclusive", "not comparable", "faster", "same")
CAME_OUT = {
    "broken": "A case is broken",
    "slower": "Slower",
    "inconclusive": "Inconclusive",
    "not slower": "No case is slower",
}
LEFT_OUT = "What else there is doesn't fit in a job summary; the record has it."


def render(sources: Sequence[Source]) -> str:
    """All files one after another."""
    return _fitted([part for source in sources for part in _parts(source)], LIMIT_BYTES)


def append(sources: Sequence[Source], path: Path) -> None:
    """Adds to what earlier commands of the step have written, as far as there is room; raises OSError."""
    written = path.stat().st_size if path.exists() else 0
    apart = "\n" * bool(written)
    parts = [part for source in sources for part in _parts(source)]
    text = _fitted(parts, LIMIT_BYTES - written - len(apart))
    with path.open("a", encoding="utf-8") as file:
        file.write(text and apart + text)


def _parts(source: Source) -> list[str]:
    if isinstance(source.content, Comparison):
        return _of_comparison(source, source.content)
    return _of_run(source, source.content)


def _of_comparison(source: Source, comparison: Comparison) -> list[str]:
    report = verdicts.build(comparison)
    counts = Counter(pair.verdict for pair in comparison.pairs)
    counted = ", ".join(f"{counts[verdict]} {verdict}" for verdict in WORST_FIRST if verdict in counts)
    return [
        f"### {CAME_OUT[outcome(comparison.pairs)]}: {report.title}",
        f"Cases: {counted}.",
        *_short(comparison, report.tables[0]),
        _collapsed("What was found", markdown.bullets(report.sentences)),
        *_rest(source, report),
    ]


def _short(comparison: Comparison, full: Table) -> list[str]:
    """The cases that need a look, first."""
    kept = [at for at, column in enumerate(full.columns) if column.heading in SHORT]
    order = sorted(range(len(full.rows)), key=lambda at: WORST_FIRST.index(comparison.pairs[at].verdict))
    rows = tuple(tuple(full.rows[at][cell] for cell in kept) for at in order[:ROWS])
    more = len(full.rows) - ROWS
    short = markdown.rows(Table(full.title, tuple(full.columns[at] for at in kept), rows))
    return [short, *[f"And {more} more, all of them below."] * (more > 0)]


def _of_run(source: Source, record: Record) -> list[str]:
    report = table.build(record)
    counts = Counter(result.status for result in record.cases)
    counted = ", ".join(f"{counts[status]} {status}" for status in ("broken", "waiting", "measured") if counts[status])
    return [f"### {report.title}", f"Cases: {counted}.", markdown.bullets(report.sentences), *_rest(source, report)]


def _rest(source: Source, report: Report) -> list[str]:
    tables = [_collapsed(f"Table: {found.title}", markdown.rows(found)) for found in report.tables]
    legend = "\n\n".join(markdown.escaped(line) for line in report.legend)
    environment = markdown.bullets([*report.environment, f"record: {source.name}"])
    return [*tables, _collapsed("Environment", environment), _collapsed("How to read it", legend)]


def _collapsed(summary: str, text: str) -> str:
    """GitHub renders Markdown in HTML only between empty lines, so the summary's own is HTML."""
    return f"<details><summary>{html.escape(summary)}</summary>\n\n{text}\n\n</details>"


def _fitted(parts: Sequence[str], limit_bytes: int) -> str:
    """The parts, as many from the first on as fit; ends with a newline. Empty where not even one fits."""
    text, last = "", LEFT_OUT + "\n"
    for part in parts:
        longer = f"{text}\n{part}\n" if text else f"{part}\n"
        if len((longer + "\n" + last).encode()) > limit_bytes:
            return f"{text}\n{last}" if text else ""
        text = longer
    return text
