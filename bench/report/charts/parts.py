"""Where the time of a step goes: its parts as shares of it, stacked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import altair as alt

from bench.breakdown import Breakdown, breakdowns
from bench.record import Record
from bench.report import names, quantity
from bench.report.charts import axes, rows
from bench.report.charts.view import GREY, Row, by_workload, chart, drawn, table
from bench.report.document import Chart
from bench.stats import Difference, Estimate

PARTS = ("compute", "collectives", "dispatch", "rest")
TITLES = {"case": "case", "series": "part", "text": "of a step", "seconds": "takes", "step": "step"}


def charts(record: Record) -> list[Chart]:
    """Of each workload of which cases were taken apart."""
    return [_chart(*found) for found in by_workload(record, breakdowns(record), lambda one: one.result.case)]


def _chart(number: int, name: str, own: Sequence[Breakdown]) -> Chart:
    title = f"{name}: where the time of a step goes"
    labels = [names.label(one.result.case, batch=True) for one in own]
    stacked = [row for i, one in enumerate(own) for row in _stack(i, labels[i], one)]
    low = min([0.0, *(row["x"] for row in stacked)])
    high = max([1.0, *(row["end"] for row in stacked)])
    margin = 0.01 * (high - low)
    low, high = low - margin * (low < 0), high + margin
    x = alt.X("x:Q", **axes.linear("share of a waited step", "%", low, high, {}))
    shared = [i for i, one in enumerate(own) if one.oversubscribed]
    layers = [
        *rows.shaded(shared, len(own)),
        *(drawn([{"x": at}]).mark_rule(color=GREY).encode(x=x) for at in (0, 1)),
        rows.names(labels),
        *rows.bars(stacked, PARTS, x, high - low, TITLES),
    ]
    said = (
        f"What a waited step of {name} is made of, as shares of it: compute, collectives, dispatch and the rest; what "
        "overlaps lies left of 0."
    )
    if shared:
        said += " Shaded: more simulated devices than cores."
    shown = [
        (label, quantity.seconds(one.step_s), *(_text(one, part) for part in PARTS))
        for label, one in zip(labels, own, strict=True)
    ]
    return chart(
        f"parts-{number}", title, said, table(title, ("case", "step", *PARTS), shown), layers, rows.ROW * len(own)
    )


def _stack(number: int, label: str, one: Breakdown) -> Iterator[Row]:
    """From 0 to the right, one after another; what is below 0, to the left."""
    left = right = 0.0
    for part in PARTS:
        share = _share(one, part)
        if share:
            start, end = (right, right + share) if share > 0 else (left + share, left)
            left, right = min(left, start), max(right, end)
            yield {
                "series": part,
                "case": label,
                "row": number,
                "x": start,
                "end": end,
                "text": f"{100 * share:.0f}%",
                "seconds": _text(one, part),
                "step": quantity.seconds(one.step_s),
            }


def _part(one: Breakdown, part: str) -> Estimate | Difference | None:
    found = {
        "compute": one.compute_s,
        "collectives": one.collectives_s,
        "dispatch": one.dispatch_s,
        "rest": one.rest_s,
    }
    return found[part]


def _share(one: Breakdown, part: str) -> float:
    found = _part(one, part)
    return found.value / one.step_s.value if found else 0.0


def _text(one: Breakdown, part: str) -> str:
    found = _part(one, part)
    return quantity.difference(found) if isinstance(found, Difference) else quantity.seconds(found)
