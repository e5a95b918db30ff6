"""The report of a history: a row a case and a row a change, and what became slower or faster, and when."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from bench.changes import trend
from bench.digest import Beside, Digest, Machine, median
from bench.history import History, Series, Shift, worker
from bench.report import quantity
from bench.report.document import Column, Report, Table
from bench.report.trend_words import commits, day, environment_lines, label, percent, sentences
from bench.stats import Estimate, over_restarts

CASES = (
    Column("case", numeric=False),
    Column("runs"),
    Column("first", expendable=2),
    Column("latest"),
    Column("against before"),
    Column("scatter", expendable=1),
    Column("changes"),
    Column("last change", numeric=False),
)
CHANGES = (
    Column("case", numeric=False),
    Column("since", numeric=False),
    Column("commits", numeric=False),
    Column("step"),
    Column("reference", expendable=1),
    Column("runs", expendable=2),
    Column("also new", numeric=False),
)
REFERENCE = "reference workload"
TITLES = {"latency": "Steps that are waited for", "throughput": "Steps in a chain", "fused": "Fused steps"}
LEGEND = (
    "first, latest: a step in that run, as so many times the reference workload that every run times in the same "
    "rounds, so that a slower machine isn't taken for a slower commit; where no run has that, the time of a step. The "
    "median over restarts, ± half of its 95% interval. against before: the latest run, against the median of those "
    "before it since the last change. scatter: from run to run, a standard deviation.",
    "changes: another level from a run on, by {least} or more. commits: those after the first one named, up to the "
    "second, have the change among them (95%). step: against before, with its 95% interval. reference: the reference "
    "workload's own time, against before. also new: what else changed between these commits' runs. docs/history.md "
    "says how often a change is found where there is none.",
)


def build(history: History) -> Report:
    """The report of a history that has a run."""
    shifts = [shift for series in history.series for shift in series.shifts()]
    shifts.sort(key=lambda shift: shift.first.created, reverse=True)
    runs = len(history.archive.runs)
    return Report(
        title=f"{TITLES[history.kind]} over {runs} run{'s' * (runs != 1)}",
        environment=environment_lines(history),
        tables=(*(_cases(history, machine) for machine in history.machines), *_changes(history, shifts)),
        sentences=sentences(history, shifts),
        legend=tuple(line.replace("{least}", f"{100 * history.least:g}%") for line in LEGEND),
    )


def _cases(history: History, machine: Machine) -> Table:
    runs = [run for run in history.archive.runs if run.machine == machine]
    own = [series for series in history.series if series.machine == machine]
    return Table(label(machine), CASES, (*_references(runs), *(_case(series) for series in own)))


def _case(series: Series) -> tuple[str, ...]:
    shifts = series.shifts()
    return (
        series.case,
        quantity.count(len(series.runs)),
        _value(series, 0),
        _value(series, -1),
        _against_before(series.values, shifts[-1].change.at if shifts else 0),
        _scatter(series.trend.scatter),
        quantity.count(len(shifts)) if series.trend.scatter is not None else "",
        f"{percent(shifts[-1].ratio)} since {day(shifts[-1].first)}" if shifts else "",
    )


def _value(series: Series, place: int) -> str:
    show = quantity.factor if series.against_reference else quantity.seconds
    return show(series.estimate(place))


def _references(runs: Sequence[Digest]) -> list[tuple[str, ...]]:
    """The rows of the reference workload: what became of the machine, in the rounds of each workload's cases."""
    found = list(dict.fromkeys(beside for run in runs for beside in run.reference_s))
    return [_reference(runs, beside, found) for beside in found]


def _reference(runs: Sequence[Digest], beside: Beside, among: Sequence[Beside]) -> tuple[str, ...]:
    name = REFERENCE + f" beside {beside[0]}" * (len(among) > 1)
    name += f", in {worker(beside)}" * (len({devices for _, devices in among}) > 1)
    having = [run.reference_s[beside] for run in runs if beside in run.reference_s]
    values = [median(restarts) for restarts in having]
    first, latest = (quantity.seconds(over_restarts(restarts)) for restarts in (having[0], having[-1]))
    scatter = trend([math.log(value) for value in values]).scatter
    against = _against_before(values, 0)
    return (f"({name})", quantity.count(len(having)), first, latest, against, _scatter(scatter), "", "")


def _against_before(values: Sequence[float], level: int) -> str:
    """The last value, against the median of those before it on the same level, from that place on."""
    before = values[level:-1]
    return percent(Estimate(values[-1] / statistics.median(before), None, None, 1)) if before else ""


def _scatter(log: float | None) -> str:
    return "" if log is None else quantity.plain_percent(math.expm1(log))


def _changes(history: History, shifts: Sequence[Shift]) -> list[Table]:
    return [Table("changes", CHANGES, tuple(map(_change, shifts)))] if shifts else []


def _change(shift: Shift) -> tuple[str, ...]:
    return (
        shift.series.case,
        day(shift.first),
        commits(shift),
        percent(shift.ratio),
        percent(Estimate(shift.reference, None, None, 1)),
        quantity.count(shift.end - shift.start),
        ", ".join(shift.moved),
    )
