"""How cost grows: the time of a step over what grows, with its limits, and the memory of one device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import altair as alt

from bench.growth import QUANTITIES, Growth, Limit, Point, Quantity, growths
from bench.record import Record
from bench.report import quantity
from bench.report.charts import axes
from bench.report.charts.lines import among_fair, estimates, fair, how, lines, ringed, row, shaded
from bench.report.charts.view import Row, by_workload, chart, colour, dashes, drawn, table, tips, with_intervals
from bench.report.document import Chart
from bench.report.growth import LIMITS, NOUNS, fixed, in_brackets
from bench.report.names import KINDS, label
from bench.stats import Estimate

AXES: dict[Quantity, str] = {
    "members": "members",
    "hidden_layers": "hidden layers",
    "hidden_dim": "width of each hidden layer (units)",
    "batch": "global batch (examples)",
    "devices": "devices",
}
# Of an axis, so that two of 1, 2 and 5 are on it.
LEAST_SPAN = 6.0


def charts(record: Record, over: Sequence[Quantity] = QUANTITIES) -> list[Chart]:
    """Of each of these quantities and each workload of which cases grow in it: time, and memory."""
    found = growths(record)
    return [
        drawn
        for what in over
        for number, name, own in by_workload(record, [g for g in found if g.quantity == what], lambda one: one.case)
        for drawn in (_time(number, name, own), *_memory(number, name, own))
    ]


def _time(number: int, name: str, own: Sequence[Growth]) -> Chart:
    varied = own[0].quantity
    said_of = [(one, _label(one, own), point) for one in own for point in one.points]
    steps = [_row(of, point, point.step_s, quantity.seconds(point.step_s)) for _, of, point in said_of]
    limits = [limit for _, of, point in said_of for limit in _limits(of, point)]
    exact = [Estimate(limit["y"], None, None, 1) for limit in limits]
    scale = axes.logarithmic(
        f"time of a step{_how(own)} (log scale)", "s", [*exact, *estimates(steps)], least=LEAST_SPAN
    )
    x, y = _over(varied, steps), alt.Y("y:Q", **scale)
    layers = [*_shaded(varied, steps, x, y), *_limit_lines(limits, steps, x, y), *lines(steps, x, y, "step")]
    shown = [
        (
            of,
            quantity.count(point.value),
            quantity.seconds(point.step_s),
            *(quantity.plain_seconds(_limit_s(point, limit)) for limit in LIMITS),
        )
        for _, of, point in said_of
    ]
    title = f"{_titled(name, own)}: how the time of a step grows with {NOUNS[varied]}"
    said = f"Time of a step of {name} over {AXES[varied]}{_how(own)}{with_intervals(steps)}, both on logarithmic scales"
    said += "; the thin lines are what its limits alone would take." if limits else "; without --parts no limits."
    headings = ("series", AXES[varied], "step", *LIMITS.values())
    return chart(f"growth-{_slug(varied)}-time-{number}", title, said, table(title, headings, shown), layers)


def _memory(number: int, name: str, own: Sequence[Growth]) -> list[Chart]:
    """None where the compiler counted none, which has no place on a logarithmic axis."""
    varied = own[0].quantity
    if any(point.peak_bytes <= 0 for one in own for point in one.points):
        return []
    rows = [
        _row(_label(one, own), point, Estimate(point.peak_bytes, None, None, 1), quantity.size(point.peak_bytes))
        for one in own
        for point in one.points
    ]
    x = _over(varied, rows)
    y = alt.Y(
        "y:Q", **axes.logarithmic("peak memory of one device (log scale)", "B", estimates(rows), least=LEAST_SPAN)
    )
    layers = [*_shaded(varied, rows, x, y), *lines(rows, x, y, "memory")]
    title = f"{_titled(name, own)}: how memory grows with {NOUNS[varied]}"
    said = f"Peak memory of one device, as the compiler counts it, of {name} over {AXES[varied]}; logarithmic scales."
    shown = [(r["series"], quantity.count(r["x"]), r["text"]) for r in rows]
    headings = ("series", AXES[varied], "memory")
    return [chart(f"growth-{_slug(varied)}-memory-{number}", title, said, table(title, headings, shown), layers)]


def _row(series: str, point: Point, of: Estimate, text: str) -> Row:
    found = row(series, label(point.result.case, batch=True), point.value, of, text)
    return {**found, "crowded": point.oversubscribed}


def _over(varied: Quantity, rows: Sequence[Row]) -> alt.X:
    return alt.X("x:Q", **axes.counts(AXES[varied], sorted({r["x"] for r in rows})))


def _shaded(varied: Quantity, rows: Sequence[Row], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Of devices, those numbers of which all share cores, and points that do among others that don't."""
    if varied != "devices":
        return []
    return [*shaded(sorted({row["x"] for row in rows}), fair(rows), x), *ringed(among_fair(rows), x, y)]


def _limits(series: str, point: Point) -> Iterator[Row]:
    for limit, said in LIMITS.items():
        seconds = _limit_s(point, limit)
        if seconds and seconds > 0:
            exact = Estimate(seconds, None, None, 1)
            yield {**_row(series, point, exact, quantity.plain_seconds(seconds)), "limit": f"limit: {said}"}


def _limit_lines(limits: Sequence[Row], steps: Sequence[Row], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Thin lines in the colour of their series, dashed by the limit."""
    if not limits:
        return []
    kinds = [said for said in (f"limit: {said}" for said in LIMITS.values()) if any(r["limit"] == said for r in limits)]
    names = list(dict.fromkeys(step["series"] for step in steps))
    base = drawn(limits).encode(x=x, y=y, color=colour(names))
    told = tips(series="series", case="case", limit="of", text="takes")
    return [
        base.mark_line(strokeWidth=1.2).encode(strokeDash=dashes("limit", kinds)),
        base.mark_circle(size=14, opacity=1).encode(tooltip=told),
    ]


def _limit_s(point: Point, limit: Limit) -> float | None:
    """Seconds; a dispatch is shown beside steps of one program, too, which have none, for what waiting would add."""
    return point.dispatch_s if limit == "dispatch" else point.limit_s(limit)


def _label(one: Growth, some: Sequence[Growth]) -> str:
    """The mode, and what not all of the series drawn together have."""
    own = [said for said in fixed(one) if said not in _common(some)]
    shared = ["oversubscribed"] * (one.quantity != "devices" and not one.fair)
    kind = [] if _how(some) else [KINDS[one.kind]]
    return ", ".join([one.mode, *own, *kind, *shared])


def _common(some: Sequence[Growth]) -> list[str]:
    return [said for said in fixed(some[0]) if all(said in fixed(one) for one in some)]


def _titled(name: str, some: Sequence[Growth]) -> str:
    return in_brackets(name, _common(some))


def _how(some: Sequence[Growth]) -> str:
    return how([one.kind for one in some])


def _slug(varied: Quantity) -> str:
    return varied.replace("_", "-")
