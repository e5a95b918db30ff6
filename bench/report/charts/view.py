"""One chart from layers that draw rows, under the names that whoever shows it may count on.

Every chart is one view, so that it can be as wide as its container. Rows are data under fixed names, never in
expressions. Each row's `series` is told apart by colour and by another channel, and isn't drawn while it is in the
parameter `hidden`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import altair as alt

from bench.cases import Case
from bench.record import Record
from bench.report.document import Chart, Column, Table
from bench.stats import Estimate

T = TypeVar("T")
Row = Mapping[str, Any]

WIDTH = 640
HEIGHT = 300
# Okabe and Ito's palette, told apart by the colour-blind; without its yellow and its black, which white and a dark
# background swallow. As many shapes more, so that the pairs differ for long.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8C8C")
SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "triangle-right", "triangle-left")
DASHES = ([6, 3], [2, 2], [8, 3, 2, 3])
GREY = "#8C8C8C"


def drawn(rows: Sequence[Row]) -> alt.Chart:
    """Rows to be marked, but for those of a series that is hidden."""
    data = alt.InlineData(values=tuple(rows))  # altair would copy a list with each change of the chart
    return alt.Chart(data).transform_filter("indexof(hidden, datum.series) < 0")


def chart(key: str, title: str, said: str, table: Table, layers: Sequence[alt.Chart], height: int = HEIGHT) -> Chart:
    """The layers in one view, the first one lowest; `said` is what it shows, in a sentence."""
    view = alt.layer(*layers).properties(width=WIDTH, height=height, description=said)
    spec = view.add_params(alt.param(name="hidden", value=[])).to_dict()
    del spec["config"]  # left to whoever shows it
    spec["datasets"] = {name: list(rows) for name, rows in spec["datasets"].items()}
    return Chart(key, title, said, table, spec)


def table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], *, texts: int = 1) -> Table:
    """What is drawn; so many of its first columns are texts, the others numbers."""
    columns = (Column(heading, numeric=i >= texts) for i, heading in enumerate(headings))
    return Table(title, tuple(columns), tuple(map(tuple, rows)))


def by_workload(record: Record, found: Sequence[T], case: Callable[[T], Case]) -> list[tuple[int, str, list[T]]]:
    """What was found, by workload: its number in the record, from 1, its name and its own; those that have any."""
    names = dict.fromkeys(result.case.workload for result in record.cases)
    own = {name: [one for one in found if case(one).workload == name] for name in names}
    return [(number, name, own[name]) for number, name in enumerate(names, start=1) if own[name]]


def bounds(of: Estimate) -> dict[str, float | None]:
    """The ends of its interval, as fields of a row."""
    return {"low": of.low, "high": of.high}


def with_intervals(rows: Sequence[Mapping[str, Any]]) -> str:
    """That rows with such ends have intervals, to go on a sentence with; one restart has none."""
    return ", with 95% intervals" if any(row["low"] is not None for row in rows) else ""


def colour(series: Sequence[str], among: Sequence[str] = ()) -> alt.Color:
    """A colour for each series, by its place `among` all that there may be.

    How their legend looks, and whether there is one, is left to the configuration of whoever shows the chart.
    """
    return alt.Color("series:N", title=None, scale=_scale(series, COLOURS, among))


def shape(series: Sequence[str], among: Sequence[str] = ()) -> alt.Shape:
    """A shape for each series, likewise."""
    return alt.Shape("series:N", title=None, scale=_scale(series, SHAPES, among))


def dashes(field: str, values: Sequence[str]) -> alt.StrokeDash:
    """Dashes for each value of another field, with a legend of their own."""
    legend = alt.Legend(orient="bottom", columns=1, labelLimit=0, symbolSize=500)
    return alt.StrokeDash(f"{field}:N", title=None, scale=_scale(values, DASHES), legend=legend)


def tips(**titles: str) -> list[alt.Tooltip]:
    """Fields of text, with what they are."""
    return [alt.Tooltip(f"{field}:N", title=title) for field, title in titles.items()]


def _scale(series: Sequence[str], values: Sequence[Any], among: Sequence[str] = ()) -> alt.Scale:
    numbers = [(among or series).index(name) for name in series]
    return alt.Scale(domain=list(series), range=[values[number % len(values)] for number in numbers])
