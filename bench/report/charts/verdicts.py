"""A/B: the ratio of each restart, the interval of each case, and what they say, by the threshold's band."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import altair as alt

from bench.comparison import Comparison, PairResult
from bench.report import quantity
from bench.report.charts import axes, rows
from bench.report.charts.axes import same
from bench.report.charts.view import GREY, Row, bounds, chart, colour, drawn, shape, table, tips
from bench.report.document import Chart
from bench.stats import Estimate

# Each has its colour and its shape by its place here.
VERDICTS = ("faster", "slower", "same", "inconclusive")


def charts(comparison: Comparison) -> list[Chart]:
    """One, if any pair has a ratio."""
    found = [(pair, ratio) for pair in comparison.pairs if pair.verdict in VERDICTS and (ratio := pair.trial.ratio)]
    return [_chart(comparison, found)] if found else []


def _chart(comparison: Comparison, found: Sequence[tuple[PairResult, Estimate]]) -> Chart:
    title = "B against A: the time of a step of B over that of A's"
    said = (
        f"How many times as long a step of B takes as one of A: the mean with its 95% interval, and a tick for each "
        f"restart. Shaded: the threshold of {quantity.plain_percent(comparison.rule.threshold)}, within which they "
        "count as the same."
    )
    shown = [
        (pair.name, pair.verdict, quantity.between(ratio), quantity.count(len(pair.trial.logs)))
        for pair, ratio in found
    ]
    numbers = table(title, ("case", "verdict", "B / A", "restarts"), shown, texts=2)
    return chart("verdicts", title, said, numbers, _layers(comparison.rule.margin, found), rows.ROW * len(found))


def _layers(margin: float, found: Sequence[tuple[PairResult, Estimate]]) -> list[alt.Chart]:
    """From below: the threshold's band, the restarts, the means over them; `margin` is of the log."""
    series = [verdict for verdict in VERDICTS if any(pair.verdict == verdict for pair, _ in found)]
    ends = [math.exp(-margin), math.exp(margin)]
    restarts = list(_restarts(found))
    all_ratios = [ratio for _, ratio in found] + [
        Estimate(v, None, None, 1) for v in [*ends, *(r["x"] for r in restarts)]
    ]
    x = alt.X("x:Q", **axes.logarithmic("B / A (log scale)", "x", all_ratios, style={}))
    placed = {"y": alt.Y("y:Q", **rows.places(len(found))), "color": colour(series, VERDICTS)}
    base = drawn(list(_means(found))).encode(**placed, tooltip=tips(case="case", series="verdict", text="B / A"))
    single = drawn(restarts).encode(x=x, **placed, tooltip=tips(case="case", at="of", text="B / A"))
    return [
        drawn([{"x": ends[0], "end": ends[1]}]).mark_rect(color=GREY, opacity=0.18).encode(x=x, x2="end:Q"),
        drawn([{"x": 1}]).mark_rule(color=GREY).encode(x=x),
        rows.names([f"{pair.verdict}: {pair.name}" for pair, _ in found]),
        single.mark_tick(thickness=1.5, height=6, opacity=0.8, orient="vertical"),
        base.transform_filter("isValid(datum.low)")
        .mark_rule(strokeWidth=2, clip=True)
        .encode(x=same(x, "low"), x2="high:Q"),
        base.mark_point(filled=True, size=90, opacity=1).encode(x=x, shape=shape(series, VERDICTS)),
    ]


def _restarts(found: Sequence[tuple[PairResult, Estimate]]) -> Iterator[Row]:
    for i, (pair, _) in enumerate(found):
        for n, log in enumerate(pair.trial.logs, start=1):
            yield {
                "series": pair.verdict,
                "case": pair.name,
                "x": math.exp(log),
                "y": i + rows.MIDDLE + 0.16,
                "text": quantity.factor(Estimate(math.exp(log), None, None, 1)),
                "at": f"restart {n}",
            }


def _means(found: Sequence[tuple[PairResult, Estimate]]) -> Iterator[Row]:
    for i, (pair, ratio) in enumerate(found):
        yield {
            "series": pair.verdict,
            "case": pair.name,
            "x": ratio.value,
            **bounds(ratio),
            "y": i + rows.MIDDLE - 0.08,
            "text": quantity.between(ratio),
        }
