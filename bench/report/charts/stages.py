"""How long a case takes until its first result: trace, lower, compile, first step, stacked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import altair as alt

from bench.measured import Stages
from bench.record import CaseResult, Record
from bench.report import names, quantity
from bench.report.charts import axes, rows
from bench.report.charts.view import Row, by_workload, chart, table
from bench.report.document import Chart
from bench.summary import stages

STAGES = ("trace", "lower", "compile", "first step")
TITLES = {"case": "case", "series": "stage", "text": "takes", "cache": "compilation cache"}
CACHED = "a compilation cache answered"


def charts(record: Record) -> list[Chart]:
    """Of each workload of which cases were measured."""
    measured = [(result, stages(result)) for result in record.cases if result.status == "measured"]
    found = [(result, of) for result, of in measured if of and _seconds(of, "compile") > 0]
    return [_chart(*own) for own in by_workload(record, found, lambda pair: pair[0].case)]


def _chart(number: int, name: str, own: Sequence[tuple[CaseResult, Stages]]) -> Chart:
    title = f"{name}: from Python to the first result"
    labels = [names.label(result.case, batch=True) for result, _ in own]
    stacked = [row for i, (_, of) in enumerate(own) for row in _stack(i, labels[i], of)]
    longest = 1.02 * max(row["end"] for row in stacked)
    x = alt.X("x:Q", **axes.linear("time until the first result", "s", 0, longest, {}))
    shown = [labels[i] + f" ({CACHED})" * of.compile_cached for i, (_, of) in enumerate(own)]
    layers = [rows.names(shown), *rows.bars(stacked, STAGES, x, longest, TITLES)]
    said = (
        f"How long cases of {name} take to be traced, lowered, compiled and run once, one after another: the median "
        "of the starts whose compilation no cache answered."
    )
    cells = [
        (label, *(quantity.plain_seconds(_seconds(of, stage)) for stage in STAGES), CACHED * of.compile_cached)
        for label, (_, of) in zip(labels, own, strict=True)
    ]
    drawn = table(title, ("case", *STAGES, "remarks"), cells)
    return chart(f"stages-{number}", title, said, drawn, layers, rows.ROW * len(own))


def _stack(number: int, label: str, of: Stages) -> Iterator[Row]:
    begin = 0.0
    for stage in STAGES:
        end = begin + _seconds(of, stage)
        yield {
            "series": stage,
            "case": label,
            "row": number,
            "x": begin,
            "end": end,
            "text": quantity.plain_seconds(_seconds(of, stage)),
            "cache": "answered" if of.compile_cached else "not used",
        }
        begin = end


def _seconds(of: Stages, stage: str) -> float:
    found = {"trace": of.trace_s, "lower": of.lower_s, "compile": of.compile_s, "first step": of.first_step_s}
    return found[stage]
