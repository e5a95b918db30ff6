"""How a step's time, the speed-up and the efficiency change over devices."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import altair as alt

from bench.cases import Case
from bench.record import Record
from bench.report import quantity
from bench.report.charts import axes
from bench.report.charts.lines import among_fair, estimates, fair, how, ideal, lines, ringed, row, shaded
from bench.report.charts.view import Row, by_workload, chart, table, with_intervals
from bench.report.document import Chart
from bench.report.names import KINDS, label
from bench.scaling import Point, Series, series
from bench.stats import Estimate
from bench.summary import in_restarts

ONE = Estimate(1.0, None, None, 1)


def charts(record: Record) -> list[Chart]:
    """Of each workload that runs on one device and on more: time, speed-up, efficiency."""
    drawings = (_times, _speedup, _efficiency)
    return [draw(number, name, own) for number, name, own in _by_workload(record) for draw in drawings]


def efficiencies(record: Record) -> list[Chart]:
    """Only those of efficiency."""
    return [_efficiency(number, name, own) for number, name, own in _by_workload(record)]


def _by_workload(record: Record) -> list[tuple[int, str, list[Series]]]:
    found = [drawn for one in series(record) for over in _by_processes(one) for drawn in _by_mesh(over)]
    return by_workload(record, found, lambda one: one.base.case)


def _by_processes(one: Series) -> list[Series]:
    """A line for each number of processes."""
    counts = dict.fromkeys(point.result.case.processes for point in one.points)
    return [
        dataclasses.replace(one, points=tuple(point for point in one.points if point.result.case.processes == count))
        for count in counts
    ]


def _by_mesh(one: Series) -> list[Series]:
    """Where several meshes have as many devices, one of each number of data shards: a line has a point a number."""
    if len({point.devices for point in one.points}) == len(one.points):
        return [one]
    by_shards: dict[int, list[Point]] = {}
    for point in one.points:
        by_shards.setdefault(point.result.case.data_shards, []).append(point)
    return [dataclasses.replace(one, points=tuple(points)) for points in by_shards.values()]


def _times(number: int, name: str, own: Sequence[Series]) -> Chart:
    rows = []
    for one in own:
        for result, crowded in ((one.base, False), *((point.result, point.oversubscribed) for point in one.points)):
            step_s = in_restarts(result, one.kind)
            assert step_s is not None
            rows.append(_row(_series(one, own), result.case, step_s, quantity.seconds(step_s), crowded=crowded))
    y = alt.Y("y:Q", **axes.logarithmic(f"time of a step{_how(own)} (log scale)", "s", estimates(rows), least=4.0))
    said = f"Time of a step of {name} over devices{_how(own)}{with_intervals(rows)}, both on logarithmic scales."
    return _over_devices(f"step-time-{number}", f"{name}: step time over devices", said, rows, y, "step")


def _speedup(number: int, name: str, own: Sequence[Series]) -> Chart:
    rows = _against_one(own, "1x", lambda point: (point.speedup, quantity.factor(point.speedup)))
    most = max(row["x"] for row in rows)
    found = [*estimates(rows), Estimate(most, None, None, 1)]
    y = alt.Y("y:Q", **axes.logarithmic(f"speed-up{_how(own)} (log scale)", "x", found))
    said = f"Speed-up of {name} on more devices over one{_how(own)}{with_intervals(rows)}; "
    said += "the dashed line is ideal, as many times as devices."
    title = f"{name}: speed-up over devices"
    return _over_devices(f"speed-up-{number}", title, said, rows, y, "speed-up", [(1, 1), (most, most)])


def _efficiency(number: int, name: str, own: Sequence[Series]) -> Chart:
    rows = _against_one(own, "100%", lambda point: (point.efficiency, quantity.percent(point.efficiency)))
    most = 1.1 * max(row["y"] for row in rows)
    y = alt.Y("y:Q", **axes.linear(f"parallel efficiency{_how(own)}", "%", 0, most))
    said = f"Parallel efficiency of {name} over devices{_how(own)}{with_intervals(rows)}; "
    said += "the dashed line at 100% is ideal."
    title = f"{name}: parallel efficiency over devices"
    ends = axes.ends(sorted({row["x"] for row in rows}))
    return _over_devices(f"efficiency-{number}", title, said, rows, y, "efficiency", [(n, 1) for n in ends])


def _against_one(own: Sequence[Series], base: str, of: Callable[[Point], tuple[Estimate, str]]) -> list[Row]:
    """The points of each series after its case on one device, whose text is given."""
    rows = []
    for one in own:
        name = _series(one, own)
        rows.append(_row(name, one.base.case, ONE, base, crowded=False))
        rows += [_row(name, point.result.case, *of(point), crowded=point.oversubscribed) for point in one.points]
    return rows


def _row(series: str, case: Case, value: Estimate, text: str, *, crowded: bool) -> Row:
    told = label(case, batch=True) + ", oversubscribed" * crowded
    return {**row(series, told, case.devices, value, text), "crowded": crowded}


def _over_devices(
    key: str,
    title: str,
    said: str,
    rows: Sequence[Row],
    y: alt.Y,
    what: str,
    best: Sequence[tuple[float, float]] = (),
) -> Chart:
    counts = sorted({row["x"] for row in rows})
    x = alt.X("x:Q", **axes.counts("devices", counts))
    most, among = fair(rows), among_fair(rows)
    layers = [*shaded(counts, most, x), *([ideal(best, x, y)] if best else []), *ringed(among, x, y)]
    layers += lines(rows, x, y, what)
    shown = [(r["series"], quantity.count(r["x"]), r["text"], "oversubscribed" * r["crowded"]) for r in rows]
    if counts[-1] > most:
        said += " Shaded: more devices than cores, which is not hardware scaling."
    if among:
        said += " Ringed: more devices than their hosts have cores, which is not hardware scaling."
    return chart(key, title, said, table(title, ("series", "devices", what, "remarks"), shown), layers)


def _series(one: Series, own: Sequence[Series]) -> str:
    """What it divides, and what not all of those drawn with it have."""
    case, each = one.base.case, " a device" if one.scaling == "weak" else ""
    named = [one.mode, *case.variant, one.scaling]
    named.append((f"{case.members} members" if case.members > 1 else f"batch {case.batch}") + each)
    if case.members > 1 and len({other.base.case.batch for other in own}) > 1:
        named.append(f"batch {case.batch}")
    first = one.points[0]
    if first.result.case.processes > 1:
        named.append(_spread(first))
    if any(other is not one and _of_other_meshes(one, other) for other in own):
        named.append(f"nx{first.result.case.data_shards} devices")
    return ", ".join(named if _how(own) else [*named, KINDS[one.kind]])


def _of_other_meshes(one: Series, other: Series) -> bool:
    def same(of: Series) -> tuple[object, ...]:
        return of.base.case, of.mode, of.scaling, of.points[0].result.case.processes

    return same(one) == same(other)


def _spread(point: Point) -> str:
    """Over how many hosts or processes a line is."""
    processes = f"{point.result.case.processes} processes"
    if point.hosts == 1:
        return f"{processes} on one host"
    return (
        f"{point.hosts} hosts" if point.hosts == point.result.case.processes else f"{processes} on {point.hosts} hosts"
    )


def _how(own: Sequence[Series]) -> str:
    return how([one.kind for one in own])
