"""What became of a case, run by run: its ratio to the reference workload, its levels, and where they change."""

from __future__ import annotations

import itertools
import json
import math
import statistics
from collections.abc import Iterator, Sequence

import altair as alt

from bench.history import History, Series, moved
from bench.report import quantity
from bench.report.charts import axes
from bench.report.charts.view import GREY, Row, chart, colour, drawn, shape, table, tips
from bench.report.document import Chart, Table
from bench.report.harmless import harmless
from bench.report.trend_words import commit, commits, day, label, percent
from bench.stats import Estimate

# The report's table has all cases.
CHARTS_AT_MOST = 12
TICKS_AT_MOST = 6
RATIO, TIME, REFERENCE = "step, times the reference workload", "step", "the reference workload itself"
ALL = (RATIO, TIME, REFERENCE)


def charts(history: History) -> list[Chart]:
    """Of cases with several runs; those with a change come first, the latest of them before all."""
    several = [series for series in history.series if len(series.runs) > 1]
    several.sort(key=_last_change, reverse=True)
    return [_chart(number, history, series) for number, series in enumerate(several[:CHARTS_AT_MOST], start=1)]


def _last_change(series: Series) -> str:
    shifts = series.shifts()
    return shifts[-1].first.created if shifts else ""


def _chart(number: int, history: History, series: Series) -> Chart:
    own = RATIO if series.against_reference else TIME
    reference = _points(series, REFERENCE, series.reference_s) if series.against_reference else []
    points = [*reference, *_points(series, own, series.values)]
    names = [name for name in ALL if any(row["series"] == name for row in points)]
    ends = [-0.5, len(series.runs) - 0.5]
    x = alt.X("x:Q", scale=alt.Scale(domain=ends, nice=False, zero=False), axis=_commits(series))
    found = [Estimate(row["y"], None, None, 1) for row in points]
    y = alt.Y("y:Q", **axes.logarithmic("times its median (log scale)", "x", found, least=1.1))
    told = tips(series="series", commit="commit", at="run of", text="value", against="against its median")
    base = drawn(points).encode(x=x, y=y, color=colour(names, ALL))
    rules = drawn([*_changes(series), *_environments(series)]).encode(x=x)
    layers = [
        rules.transform_filter("datum.change")
        .mark_rect(color=GREY, opacity=0.25)
        .encode(x=axes.same(x, "low"), x2="high:Q"),
        rules.mark_rule(color=GREY, strokeWidth=1.5).encode(
            strokeDash=alt.condition("datum.change", alt.value([1, 0]), alt.value([2, 3])),
            tooltip=tips(text="here", at="run of"),
        ),
        base.mark_line(strokeWidth=0.7, opacity=0.5),
        base.mark_point(filled=True, size=22, opacity=0.9).encode(shape=shape(names, ALL), tooltip=told),
        drawn(list(_levels(series, own)))
        .mark_rule(strokeWidth=3)
        .encode(x=x, x2="end:Q", y=y, color=colour(names, ALL)),
    ]
    where = f" on {label(series.machine)}" if len(history.machines) > 1 else ""
    said = (
        f"Each run of {series.case}{where} against its median, and the median of each level. Solid rules: where the "
        "level changes; shaded: where else that may be; dotted: where versions of what it runs on change."
    )
    return chart(f"trend-{number}", f"{series.case}{where}", said, _table(series), layers, height=220)


def _points(series: Series, name: str, values: Sequence[float | None]) -> Iterator[Row]:
    middle = statistics.median(value for value in values if value is not None) if any(values) else math.nan
    show = quantity.factor if name == RATIO else quantity.seconds
    for place, (run, value) in enumerate(zip(series.runs, values, strict=True)):
        if value is not None:
            yield {
                "series": name,
                "x": place,
                "y": value / middle,
                "commit": commit(run),
                "at": day(run),
                "text": show(Estimate(value, None, None, 1)),
                "against": percent(Estimate(value / middle, None, None, 1)),
            }


def _levels(series: Series, name: str) -> Iterator[Row]:
    """The median between changes."""
    middle = statistics.median(series.values)
    for start, end in itertools.pairwise([0, *(shift.change.at for shift in series.shifts()), len(series.runs)]):
        level = statistics.median(series.values[start:end])
        yield {"series": name, "x": start - 0.5, "end": end - 0.5, "y": level / middle}


def _changes(series: Series) -> Iterator[Row]:
    for shift in series.shifts():
        change = shift.change
        also = f", {', '.join(shift.moved)}" if shift.moved else ""
        yield {
            "change": True,
            "x": change.at - 0.5,
            "low": change.earliest - 1,
            "high": change.latest,
            "text": f"{percent(shift.ratio)}: {commits(shift)}{also}",
            "at": day(shift.first),
        }


def _environments(series: Series) -> Iterator[Row]:
    for place, (before, after) in enumerate(itertools.pairwise(series.runs), start=1):
        if changed := moved(before, after):
            yield {"change": False, "x": place - 0.5, "text": ", ".join(changed), "at": day(after)}


def _commits(series: Series) -> alt.Axis:
    """A tick at some of the runs, with their commits."""
    places = list(range(0, len(series.runs), math.ceil(len(series.runs) / TICKS_AT_MOST)))
    names = json.dumps([harmless(commit(series.runs[place])) for place in places])
    words = f"{names}[indexof({json.dumps(places)}, datum.value)]"
    apart = {"labelOverlap": "greedy", "labelSeparation": 10}
    return alt.Axis(title="commit, run by run", values=places, labelExpr=words, grid=False, **apart)


def _table(series: Series) -> Table:
    """Its levels: all runs would be too many rows."""
    shifts = series.shifts()
    bounds = [0, *(shift.change.at for shift in shifts), len(series.runs)]
    show = quantity.factor if series.against_reference else quantity.seconds
    rows = [
        (
            day(series.runs[start]),
            commits(shift) if shift else commit(series.runs[0]),
            quantity.count(end - start),
            show(Estimate(statistics.median(series.values[start:end]), None, None, 1)),
            percent(shift.ratio) if shift else "",
        )
        for shift, (start, end) in zip([None, *shifts], itertools.pairwise(bounds), strict=True)
    ]
    return table(series.case, ("since", "commits", "runs", "median", "change"), rows, texts=2)
