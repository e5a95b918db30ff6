"""Pages made by hand for tests: a record's, with a chart whose points are few enough to count."""

from __future__ import annotations

from typing import Any

from bench.report.document import Chart, Column, Report, Section, Table
from bench.report.quantity import Number

EVIL = "</script><img src=x onerror=alert(1)><b>&amp;"
RIGHT_TO_LEFT = "עברית 1"
HEADING = f"latency {EVIL}"
NAMES = ("one", EVIL, RIGHT_TO_LEFT)
POINTS = 2
"""Of each name."""


def chart(key: str = "points") -> Chart:
    """Two points of each of the names, told apart by colour and shape."""
    drawn = [{"series": name, "x": x, "y": x + i} for i, name in enumerate(NAMES) for x in range(POINTS)]
    table = Table("points", (Column("series", numeric=False), Column("x"), Column("y")), tuple(map(_row, drawn)))
    spec = {
        "params": [{"name": "hidden", "value": []}],
        "data": {"values": drawn},
        "transform": [{"filter": "indexof(hidden, datum.series) < 0"}],
        "mark": {"type": "point", "filled": True},
        "encoding": {
            "x": {"field": "x", "type": "quantitative"},
            "y": {"field": "y", "type": "quantitative"},
            "color": {"field": "series", "type": "nominal", "scale": {"domain": NAMES}, "legend": {"orient": "top"}},
            "shape": {"field": "series", "type": "nominal", "scale": {"domain": NAMES}},
            "tooltip": [{"field": field, "type": "nominal"} for field in ("series", "x")],
        },
        "width": 400,
        "height": 200,
    }
    return Chart(key, f"Points of {EVIL}", "Where they lie.", table, spec)


def report() -> Report:
    """One that has a number of each kind to sort, a broken and an oversubscribed row, and names of ill will."""
    rows = (
        ("single", Number("80 us ±2%", 8e-5, 7.9e-5, 8.1e-5, unit="s"), ""),
        ("data_parallel", Number("9 ms", 9e-3, unit="s"), "oversubscribed"),
        (EVIL, "", "BROKEN"),
        (RIGHT_TO_LEFT, Number("7 us", 7e-6, unit="s"), ""),
        ("Single", Number("80 us ±9%", 8e-5, unit="s"), ""),
    )
    columns = (Column("mode", numeric=False), Column(HEADING), Column("remarks", numeric=False))
    return Report(
        title=f"Steps of {EVIL}",
        environment=("a cpu", EVIL),
        tables=(Table(f"tutorial {EVIL}", columns, rows), Table("wide", columns, rows[:2])),
        sentences=("single is fastest.", f"{EVIL} is broken: it crashed.", f"{RIGHT_TO_LEFT} is slow."),
        legend=("latency: a step.", EVIL),
    )


def section(name: str = f"results/{EVIL}.json") -> Section:
    return Section(name, report(), (chart("points"), chart("others")))


def _row(of: dict[str, Any]) -> tuple[str, ...]:
    return of["series"], Number(str(of["x"]), of["x"]), Number(str(of["y"]), of["y"])
