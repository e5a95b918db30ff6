"""Reports as JSON, for programs: the same texts, and the numbers behind them in base units."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

from bench.report.document import Report, Table
from bench.report.quantity import Number

SCHEMA = 1


def render(reports: Sequence[Report]) -> str:
    """All reports as one JSON value, `{"schema": 1, "reports": [...]}`; ends with a newline."""
    return json.dumps({"schema": SCHEMA, "reports": [_report(one) for one in reports]}, indent=1) + "\n"


def _report(report: Report) -> dict[str, Any]:
    return {
        "title": report.title,
        "environment": report.environment,
        "tables": [_table(table) for table in report.tables],
        "sentences": report.sentences,
        "legend": report.legend,
        "links": [{"text": text, "target": target} for text, target in report.links],
    }


def _table(table: Table) -> dict[str, Any]:
    """A row is an object by heading."""
    headings = _apart([column.heading for column in table.columns])
    return {
        "title": table.title,
        "columns": headings,
        "rows": [{name: _cell(cell) for name, cell in zip(headings, row, strict=True)} for row in table.rows],
    }


def _apart(headings: Sequence[str]) -> list[str]:
    """Those that are there again numbered, for an object has each name once."""
    found: list[str] = []
    for heading in headings:
        numbered = (f"{heading} ({n})" for n in itertools.count(2))
        taken = {*found, *headings}
        found.append(next(name for name in numbered if name not in taken) if heading in found else heading)
    return found


def _cell(cell: str) -> dict[str, Any] | str:
    """`{"text", "value", "low", "high", "unit"}` of a number, whose ends are null without an interval; else a text."""
    if not isinstance(cell, Number):
        return cell
    return {"text": str(cell), "value": cell.value, "low": cell.low, "high": cell.high, "unit": cell.unit}
