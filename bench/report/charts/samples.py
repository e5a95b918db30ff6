"""Every block in the order in which it was run, against the median of its case: so that drift is seen."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence

import altair as alt

from bench.record import CaseResult, Record
from bench.report import names, quantity
from bench.report.charts import axes
from bench.report.charts.view import GREY, Row, by_workload, chart, colour, drawn, shape, table, tips
from bench.report.document import Chart
from bench.stats import Estimate
from bench.summary import by_round, to_own_median

At = tuple[int, int]
"""A restart, and a round in it."""
ALL = "median of all cases"
# Fewer have no median to speak of.
CASES_AT_LEAST = 3


def charts(record: Record) -> list[Chart]:
    """Of each workload of which a case was asked for more than one block of waited steps."""
    found = [result for result in record.cases if result.status == "measured" and len(by_round(result, "latency")) > 1]
    return [_chart(*own) for own in by_workload(record, found, lambda result: result.case)]


def _chart(number: int, name: str, own: Sequence[CaseResult]) -> Chart:
    title = f"{name}: blocks in the order in which they were run"
    order = sorted({at for result in own for at in by_round(result, "latency")})
    places = {at: place for place, at in enumerate(order)}
    rows = [*_middle(own, places), *(row for result in own for row in _blocks(result, places))]
    series = list(dict.fromkeys(row["series"] for row in rows))
    x = alt.X("x:Q", scale=alt.Scale(domain=[-0.5, len(order) - 0.5], nice=False, zero=False), axis=_restarts(order))
    found = [Estimate(row["y"], None, None, 1) for row in rows]
    y = alt.Y("y:Q", **axes.logarithmic("step, times its case's median (log scale)", "x", found))
    base = drawn(rows).encode(x=x, y=y, color=colour(series))
    each, all_cases = base.transform_filter("!datum.whole"), base.transform_filter("datum.whole")
    begins = [{"x": places[at] - 0.5} for at in order[1:] if at[0] != order[places[at] - 1][0]]
    told = tips(case="case", text="step", against="against its median", at="in")
    marked = {"shape": shape(series), "tooltip": told}
    layers = [
        drawn(begins).mark_rule(color=GREY, strokeDash=[2, 3], opacity=0.6).encode(x=x),
        each.mark_line(strokeWidth=0.7, opacity=0.5).encode(detail=["case:N", "restart:N"]),
        each.mark_point(filled=True, size=22, opacity=0.9).encode(**marked),
        all_cases.mark_line(strokeWidth=3).encode(detail="restart:N"),
        all_cases.mark_point(filled=True, size=30, opacity=1).encode(**marked),
    ]
    said = (
        f"Every block of waited steps of {name}, as a multiple of its case's median, in the order in which they were "
        "run: where all cases move together, the machine drifted. Dashed: all workers were started again."
    )
    headings = ("case", "restart", "step", "against its median")
    return chart(f"samples-{number}", title, said, table(title, headings, list(_by_restart(own))), layers)


def _restarts(order: Sequence[At]) -> alt.Axis:
    """A tick in the middle of each restart, with its number."""
    numbers = sorted({restart for restart, _ in order})
    places = [[i for i, at in enumerate(order) if at[0] == restart] for restart in numbers]
    middles = [(own[0] + own[-1]) / 2 for own in places]
    words = f"{json.dumps([n + 1 for n in numbers])}[indexof({json.dumps(middles)}, datum.value)]"
    return alt.Axis(title="restart", values=middles, labelExpr=words, labelOverlap="greedy", grid=False, ticks=False)


def _blocks(result: CaseResult, places: Mapping[At, int]) -> Iterator[Row]:
    step_s = by_round(result, "latency")
    for at, against in to_own_median(result, "latency").items():
        yield {
            "series": result.case.mode,
            "case": names.label(result.case, batch=True),
            "restart": at[0],
            "whole": False,
            "x": places[at],
            "y": against,
            "text": quantity.plain_seconds(step_s[at]),
            "against": _against(against),
            "at": f"restart {at[0] + 1}, round {at[1] + 1}",
        }


def _middle(own: Sequence[CaseResult], places: Mapping[At, int]) -> Iterator[Row]:
    """What all cases have in common: the median of their multiples, wherever several were asked."""
    found = [to_own_median(result, "latency") for result in own]
    for at, place in places.items():
        there = [of[at] for of in found if at in of]
        if len(there) >= CASES_AT_LEAST:
            against = statistics.median(there)
            yield {
                "series": ALL,
                "case": ALL,
                "restart": at[0],
                "whole": True,
                "x": place,
                "y": against,
                "text": "",
                "against": _against(against),
                "at": f"restart {at[0] + 1}, round {at[1] + 1}",
            }


def _by_restart(own: Sequence[CaseResult]) -> Iterator[tuple[str, ...]]:
    """The medians of a restart's blocks: all of them would be too many rows."""
    for result in own:
        step_s, against = by_round(result, "latency"), to_own_median(result, "latency")
        for restart in dict.fromkeys(at[0] for at in step_s):
            of = [at for at in step_s if at[0] == restart]
            yield (
                names.label(result.case, batch=True),
                quantity.count(restart + 1),
                quantity.plain_seconds(statistics.median(step_s[at] for at in of)),
                _against(statistics.median(against[at] for at in of)),
            )


def _against(ratio: float) -> str:
    return quantity.Number(f"{100 * (ratio - 1):+.1f}%", ratio - 1)
