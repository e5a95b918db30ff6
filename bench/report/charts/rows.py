"""A row for each case, its name above what is drawn of it: so that names take no width, however narrow the chart."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import altair as alt

from bench.report.charts.axes import between, limits, same
from bench.report.charts.view import COLOURS, GREY, Row, colour, drawn, shape, tips
from bench.stats import Estimate

ROW = 36
# Of a row's height: where its name stands, where marks stand, and between what bars do.
NAME, MIDDLE = 0.24, 0.68
BAR = (0.44, 0.92)
# So many pixels a letter, so that what has no room in its bar isn't written.
LETTER = 6.5
# On which black reads better than white.
LIGHT = set(COLOURS[3:])


def places(rows: int) -> dict[str, Any]:
    """The scale of rows, the first one on top, without an axis."""
    return {"scale": alt.Scale(domain=[0, rows], reverse=True, nice=False, zero=False), "axis": None}


def names(texts: Sequence[str]) -> alt.Chart:
    """The name of each row, in the text colour of whoever shows the chart."""
    rows = [{"y": i + NAME, "text": text} for i, text in enumerate(texts)]
    here = drawn(rows).encode(x=alt.value(2), y=alt.Y("y:Q", **places(len(texts))), text="text:N")
    return here.mark_text(align="left", baseline="middle", fontSize=11, limit=alt.ExprRef("width - 4"))


def shaded(numbers: Collection[int], rows: int) -> list[alt.Chart]:
    """The rows of those numbers in grey; none without one."""
    grey = [{"y": i, "end": i + 1} for i in sorted(numbers)]
    base = drawn(grey).encode(y=alt.Y("y:Q", **places(rows)), y2="end:Q")
    return [base.mark_rect(color=GREY, opacity=0.18)] if grey else []


def ratios(
    points: Sequence[Row], series: Sequence[str], texts: Sequence[str], grey: Collection[int], title: str
) -> list[alt.Chart]:
    """Points that have `series`, `case`, `x`, `low`, `high`, `y`, `text`, with their intervals, by a rule at 1.

    `texts` are the names of the rows, `grey` the numbers of those that are shaded, `title` is the axis's.
    """
    low, high = limits([Estimate(point["x"], point["low"], point["high"], 1) for point in points])
    x = alt.X("x:Q", **between(f"{title} (log scale)", "x", min(low, 0.95), max(high, 1.05), {}))
    told = tips(case="case", series="of", text="is")
    base = drawn(points).encode(y=alt.Y("y:Q", **places(len(texts))), color=colour(series), tooltip=told)
    intervals = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.5, clip=True)
    return [
        *shaded(grey, len(texts)),
        drawn([{"x": 1}]).mark_rule(color=GREY).encode(x=x),
        names(texts),
        intervals.encode(x=same(x, "low"), x2="high:Q"),
        base.mark_point(filled=True, size=60, opacity=1).encode(x=x, shape=shape(series)),
    ]


def bars(rows: Sequence[Row], series: Sequence[str], x: alt.X, width: float, titles: dict[str, str]) -> list[alt.Chart]:
    """Stacked bars of rows that have `series`, `row`, `x`, `end`, `text`; each says what it is, where it has room.

    `width` is what the x axis spans, and is shared by all letters that have room in it.
    """
    height = 1 + max(row["row"] for row in rows)
    ink = {name: "#000000" if c in LIGHT else "#FFFFFF" for name, c in zip(series, COLOURS, strict=False)}
    placed = [
        {**row, "y": row["row"] + BAR[0], "below": row["row"] + BAR[1], "ink": ink[row["series"]]} for row in rows
    ]
    base = drawn(placed).encode(x=x, y=alt.Y("y:Q", **places(height)))
    room = f"abs(datum.end - datum.x) / {width!r} * width / {LETTER}"
    both = "datum.series + ' ' + datum.text"
    words = f"{room} > length({both}) + 1 ? {both} : {room} > length(datum.text) + 1 ? datum.text : ''"
    written = base.transform_calculate(words=words, middle="(datum.x + datum.end) / 2")
    return [
        base.mark_rect(strokeWidth=1).encode(x2="end:Q", y2="below:Q", color=colour(series), tooltip=tips(**titles)),
        written.mark_text(fontSize=10, dy=0.5 * ROW * (BAR[1] - BAR[0])).encode(
            x=same(x, "middle"), text="words:N", color=alt.Color("ink:N", scale=None)
        ),
    ]
