"""Tables whose headings sort them: by the number behind a cell, where it has one."""

from __future__ import annotations

import math
from html import escape

from bench.report.document import Column, Table, standing
from bench.report.page.texts import name
from bench.report.quantity import Number


def table(of: Table, labelled: str) -> str:
    """A table in a box that it scrolls in, whose label is the element of that id."""
    return "\n".join(
        [
            f'<div class="scroll" role="region" aria-labelledby="{labelled}" tabindex="0">',
            f'<table aria-labelledby="{labelled}">',
            "<thead>",
            f"<tr>{''.join(map(_heading, of.columns))}</tr>",
            "</thead>",
            "<tbody>",
            *(_row(of.columns, row) for row in of.rows),
            "</tbody>",
            "</table>",
            "</div>",
        ]
    )


def _heading(column: Column) -> str:
    button = f'<button type="button">{name(column.heading)}</button>'
    return f'<th scope="col"{_side(column)} aria-sort="none">{button}</th>'


def _row(columns: tuple[Column, ...], row: tuple[str, ...]) -> str:
    name, *others = (f"{_attributes(c, cell)}>{_text(c, cell)}" for c, cell in zip(columns, row, strict=True))
    cells = [f'<th scope="row"{name}</th>', *(f"<td{other}</td>" for other in others)]
    return f'<tr class="{standing(row)}">{"".join(cells)}</tr>'


def _attributes(column: Column, cell: str) -> str:
    known = f' data-value="{float(cell.value)!r}"' if isinstance(cell, Number) and math.isfinite(cell.value) else ""
    return _side(column) + known


def _text(column: Column, cell: str) -> str:
    """A verdict is set off; a name has a direction of its own."""
    if column.heading == "verdict":
        return f'<span class="verdict" data-is="{escape(cell.lower())}">{escape(cell)}</span>'
    return escape(cell) if column.numeric else name(cell)


def _side(column: Column) -> str:
    return ' class="number"' if column.numeric else ""
