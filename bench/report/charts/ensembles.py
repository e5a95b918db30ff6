"""How many member-samples a second ensembles do, over their members."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import altair as alt

from bench.record import Record
from bench.report import quantity
from bench.report.charts import axes
from bench.report.charts.lines import estimates, lines, row
from bench.report.charts.view import by_workload, chart, table, with_intervals
from bench.report.document import Chart
from bench.report.names import label, labels
from bench.stats import Estimate
from bench.summary import Summary, summaries
from toynet import modes

# Numbers of members.
VALUES_AT_LEAST = 2


def charts(record: Record) -> list[Chart]:
    """Of each workload with ensembles of several sizes, beside `single`."""
    found = [one for one in summaries(record) if one.samples_per_s and _belongs(one)]
    own = by_workload(record, found, lambda one: one.case)
    return [_chart(number, name, some) for number, name, some in own if _sizes(some) >= VALUES_AT_LEAST]


def _belongs(one: Summary) -> bool:
    return one.case.mode == "single" or modes.by_name(one.case.mode).ensemble


def _sizes(some: Sequence[Summary]) -> int:
    return len({one.case.members for one in some if one.case.mode != "single"})


def _chart(number: int, name: str, own: Sequence[Summary]) -> Chart:
    named = zip(_series(own), own, strict=True)
    rated = sorted(((series, one, rate) for series, one in named if (rate := one.samples_per_s)), key=_order)
    rows = [
        row(series, label(one.case, batch=True), one.case.members, rate, quantity.rate(rate))
        for series, one, rate in rated
    ]
    x = alt.X("x:Q", **axes.counts("members", sorted({r["x"] for r in rows})))
    y = alt.Y("y:Q", **axes.logarithmic("member-samples a second (log scale)", "1/s", estimates(rows), least=4.0))
    title = f"{name}: throughput over members"
    said = (
        f"Examples a second of {name}, each counted once for each member that trains on it, over the members of "
        f"ensembles{with_intervals(rows)}; both scales are logarithmic."
    )
    shown = [(r["series"], quantity.count(r["x"]), r["text"]) for r in rows]
    drawn = table(title, ("series", "members", "samples/s"), shown)
    return chart(f"throughput-{number}", title, said, drawn, lines(rows, x, y, "samples/s"))


def _series(own: Sequence[Summary]) -> list[str]:
    """Of each what it is but for its members."""
    names = labels([dataclasses.replace(one.case, members=1) for one in own])
    return [name + " (oversubscribed)" * one.oversubscribed for name, one in zip(names, own, strict=True)]


def _order(rated: tuple[str, Summary, Estimate]) -> tuple[int, int]:
    """Few devices first, then few members, so that lines go from left to right."""
    _, one, _ = rated
    return one.case.devices, one.case.members
