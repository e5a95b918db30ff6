"""Series over a count, with intervals; grey where devices share cores."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import altair as alt

from bench.measured import Kind
from bench.report.charts.axes import ends, same
from bench.report.charts.view import GREY, Row, bounds, colour, drawn, shape, tips
from bench.report.names import KINDS
from bench.stats import Estimate

SHADED = "oversubscribed: not hardware scaling"


def row(series: str, case: str, x: int, y: Estimate, text: str) -> Row:
    """A point of a series; `text` is its value as tables show it."""
    return {"series": series, "case": case, "x": x, "y": y.value, **bounds(y), "text": text}


def estimates(rows: Sequence[Row]) -> list[Estimate]:
    """What the rows are of, for an axis."""
    return [Estimate(row["y"], row["low"], row["high"], 1) for row in rows]


def lines(rows: Sequence[Row], x: alt.X, y: alt.Y, what: str) -> list[alt.Chart]:
    """Lines through the points of each series, their intervals, and the points, of which tooltips tell what it is."""
    names = list(dict.fromkeys(row["series"] for row in rows))
    base = drawn(rows).encode(x=x, color=colour(names))
    told = base.encode(tooltip=tips(series="series", case="case", text=what))  # of a line it would be its first point's
    intervals = told.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.5, clip=True)
    return [
        base.mark_line(strokeWidth=1.5, clip=True).encode(y=y),
        intervals.encode(y=same(y, "low"), y2="high:Q"),
        told.mark_point(filled=True, size=60, opacity=1, clip=True).encode(y=y, shape=shape(names)),
    ]


def shaded(counts: Sequence[int], most: int, x: alt.X) -> list[alt.Chart]:
    """The numbers of devices, given in rising order, above the most that don't share cores; none where none are."""
    others = [n for n in counts if n > most]
    if not others:
        return []
    low, high = ends(counts)
    begin = (max(n for n in counts if n <= most) * others[0]) ** 0.5 if counts[0] <= most else low
    area = drawn([{"x": begin, "end": high, "text": SHADED}]).encode(x=x)
    words = area.mark_text(align="right", baseline="top", dx=-4, dy=4, fontSize=10)
    return [
        area.mark_rect(color=GREY, opacity=0.18).encode(x2="end:Q"),
        words.encode(x=same(x, "end"), y=alt.value(0), text="text:N"),
    ]


def fair(rows: Sequence[Row]) -> int:
    """The most devices of which some have cores of their own."""
    return max((row["x"] for row in rows if not row["crowded"]), default=0)


def among_fair(rows: Sequence[Row]) -> list[Row]:
    """Those that share cores, where others on as many devices or more, over more processes, don't."""
    return [row for row in rows if row["crowded"] and row["x"] <= fair(rows)]


def ringed(rows: Sequence[Row], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """A ring around each of these; nothing where there are none."""
    return [drawn(rows).mark_point(color=GREY, size=240, strokeWidth=2, clip=True).encode(x=x, y=y)] if rows else []


def how(kinds: Collection[Kind]) -> str:
    """What steps all series are of, after a comma; empty if that differs."""
    return f", {KINDS[next(iter(kinds))]}" if len(set(kinds)) == 1 else ""


def ideal(rows: Sequence[tuple[float, float]], x: alt.X, y: alt.Y) -> alt.Chart:
    """A dashed line through the points, (x, y)."""
    points = drawn([{"x": at, "y": value} for at, value in rows])
    return points.mark_line(color=GREY, strokeDash=[6, 4], strokeWidth=1.5, clip=True).encode(x=x, y=y)
