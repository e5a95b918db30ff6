"""How far ratios of step times scatter, by where they come from."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

import altair as alt

from bench.report import quantity
from bench.report.charts import axes, rows
from bench.report.charts.view import GREY, chart, colour, drawn, shape, table
from bench.report.document import Chart

# Of a row: from where on, and over how much of it, points are spread, so that they don't hide each other.
BEGIN, SPREAD = rows.NAME + 0.15, 0.5
HEIGHT = 90


def scattered(title: str, said: str, found: Mapping[str, Sequence[float]]) -> Chart:
    """A row of log-ratios of B's step time over A's for each name, of which there are two at least."""
    points = [
        {"series": name, "x": math.expm1(log), "y": row + BEGIN + SPREAD * (7 * i % 11) / 10}
        for row, (name, logs) in enumerate(found.items())
        for i, log in enumerate(logs)
    ]
    widest = 1.05 * max(abs(point["x"]) for point in points)
    x = alt.X("x:Q", **axes.linear("B's step time beyond A's", "%", -widest, widest, {}))
    base = drawn(points).encode(x=x, y=alt.Y("y:Q", **rows.places(len(found))), color=colour(list(found)))
    spreads = {name: quantity.plain_percent(statistics.stdev(logs)) for name, logs in found.items()}
    layers = [
        drawn([{"x": 0}]).mark_rule(color=GREY).encode(x=x),
        rows.names([f"{name}: {len(logs)}, standard deviation {spreads[name]}" for name, logs in found.items()]),
        base.mark_point(filled=True, size=25, opacity=0.6).encode(shape=shape(list(found))),
    ]
    cells = [(name, quantity.count(len(logs)), spreads[name]) for name, logs in found.items()]
    drawn_table = table(title, ("series", "number", "standard deviation"), cells)
    return chart("scatter", title, said, drawn_table, layers, HEIGHT * len(found))
