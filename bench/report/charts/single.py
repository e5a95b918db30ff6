"""Every case against `single`, with its interval."""

from __future__ import annotations

from collections.abc import Sequence

from bench.record import Record
from bench.report import names, quantity
from bench.report.charts import rows
from bench.report.charts.view import bounds, by_workload, chart, table, with_intervals
from bench.report.document import Chart
from bench.report.names import KINDS
from bench.summary import Summary, summaries


def charts(record: Record) -> list[Chart]:
    """Of each workload of which cases were asked in turn with `single`."""
    compared = [summary for summary in summaries(record) if summary.speedup]
    return [_chart(*found) for found in by_workload(record, compared, lambda summary: summary.case)]


def _chart(number: int, name: str, own: Sequence[Summary]) -> Chart:
    title = f"{name}: samples a second, as a multiple of single's"
    labels = names.labels([summary.case for summary in own])
    points = [
        {
            "series": KINDS[kind],
            "case": label,
            "x": one.speedup[kind].value,
            **bounds(one.speedup[kind]),
            "y": i + rows.MIDDLE + (0.1 if kind == "fused" else -0.1),
            "text": quantity.factor(one.speedup[kind]),
        }
        for i, (label, one) in enumerate(zip(labels, own, strict=True))
        for kind in KINDS
        if kind in one.speedup
    ]
    kinds = [text for text in KINDS.values() if any(point["series"] == text for point in points)]
    shared = [i for i, one in enumerate(own) if one.oversubscribed]
    layers = rows.ratios(points, kinds, labels, shared, "times single")
    said = f"How many times the samples a second of single each case of {name} does{with_intervals(points)}."
    if shared:
        said += " Shaded: more simulated devices than cores, which is not hardware scaling."
    shown = [
        (label, *(quantity.factor(one.speedup.get(kind)) for kind in KINDS), "oversubscribed" * one.oversubscribed)
        for label, one in zip(labels, own, strict=True)
    ]
    headings = ("case", *KINDS.values(), "remarks")
    return chart(f"against-single-{number}", title, said, table(title, headings, shown), layers, rows.ROW * len(own))
