"""Whether scaling is measured and foretold as well as it should be: bars on a record, and on the loop that times."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from bench.breakdown import breakdowns
from bench.held_out import HeldOut, held_out
from bench.projection import Source, sources
from bench.record import Record
from bench.report import quantity
from bench.report.words import host_line
from bench.scaling import series
from bench.stats import Estimate
from bench.validate.loop import Compared
from toynet.errors import UsageError

SCHEMA = 1
OFF_AT_MOST = 0.01
EFFICIENCY_AT_LEAST = 0.90
POINTS_AT_MOST = 2.0
EXPLAINED_AT_MOST = 1.1
ERROR_AT_MOST = 0.10
WIDE, BATCH, DEVICES = "wide", 4096, 2


Ends = tuple[float, float, float]
"""A value and the ends of its interval."""


class Foretold(msgspec.Struct, frozen=True):
    """A step that was measured, and what the model says of it from fewer devices; seconds a step."""

    case: str
    kind: str
    measured_s: float
    predicted_s: float
    low_s: float | None
    high_s: float | None


class Scaled(msgspec.Struct, frozen=True, kw_only=True, tag="validation"):
    """What the record of a run and a loop written by hand show."""

    schema: int = SCHEMA
    command: tuple[str, ...]
    runs: dict[str, str]
    """By file that a run wrote: the command and the commit that made it."""
    machine: str
    efficiency: Ends
    """Of data_parallel on `wide`, batch 4,096, on 2 devices with a core each: its value, its interval's ends."""
    explained: dict[str, Ends]
    """By data-parallel case that isn't oversubscribed: a step over its compute and its collectives."""
    foretold: tuple[Foretold, ...]
    loops: tuple[Compared, ...]


def found(records: Mapping[str, Record], loops: tuple[Compared, ...], command: tuple[str, ...]) -> Scaled:
    """What stands in records of one machine, by their files' names; of a case in several the surest.

    Raises UsageError if they lack the case that the bars are about.
    """
    explained: dict[str, Ends] = {}
    for record in records.values():
        for one in breakdowns(record):
            if one.explained and not one.oversubscribed:
                name, ends = one.result.case.name, _ends(one.explained)
                explained[name] = min(ends, explained.get(name, ends), key=_width)
    fits = [source for record in records.values() for source in sources(record) if _can_be_held_out(source)]
    return Scaled(
        command=command,
        runs={name: _made(record) for name, record in records.items()},
        machine="; ".join(dict.fromkeys(host_line(record.host) for record in records.values())),
        efficiency=_efficiency(list(records.values())),
        explained=explained,
        foretold=tuple(_foretold(one) for source in fits for one in held_out(source)),
        loops=loops,
    )


def _made(record: Record) -> str:
    return f"`{' '.join(record.command)}` of commit {(record.host.commit or 'none')[:12]}"


def _can_be_held_out(source: Source) -> bool:
    """Whether one device alone tells the work of a step from the rest."""
    return bool(source.several) and len({result.case.batch * result.case.members for result in source.one}) > 1


def _ends(estimate: Estimate) -> Ends:
    return estimate.value, estimate.low or 0.0, estimate.high or math.inf


def _width(ends: Ends) -> float:
    return ends[2] - ends[1]


def _efficiency(records: Sequence[Record]) -> Ends:
    points = [
        _ends(point.efficiency)
        for record in records
        for one in series(record)
        for point in one.points
        if (one.base.case.workload, one.base.case.batch) == (WIDE, BATCH)
        and (one.scaling, one.mode, point.devices) == ("strong", "data_parallel", DEVICES)
        and not point.oversubscribed
    ]
    if not points:
        raise UsageError(
            f"the records have no strong scaling of {WIDE} at batch {BATCH} to {DEVICES} devices with a core each; "
            f"`python -m bench run --scaling strong,weak --workloads {WIDE} --batch {BATCH}` measures it."
        )
    return min(points, key=_width)


def _foretold(one: HeldOut) -> Foretold:
    predicted = one.predicted
    return Foretold(one.result.case.name, one.kind, one.measured.value, predicted.value, predicted.low, predicted.high)


def report(scaled: Scaled) -> tuple[str, list[str]]:
    """As Markdown, and the bars that weren't kept."""
    missed = _missed(scaled)
    value, low, high = scaled.efficiency
    parts = [
        "# Scaling, held against what it should be",
        f"`{' '.join(scaled.command)}`; {scaled.machine}.",
        "\n".join(f"- {name}: {made}" for name, made in scaled.runs.items()),
        "Bars that are missed:\n\n" + "\n".join(f"- {bar}" for bar in missed) if missed else "All bars are kept.",
        "## Data parallel",
        f"`{WIDE}`, batch {BATCH}, on {DEVICES} devices with a core each, against one: {100 * value:.1f}% efficiency "
        f"({100 * low:.1f} to {100 * high:.1f}).",
        _table(
            ("case", "step over compute + collectives", "95% interval"),
            [(name, f"{v:.3f}", f"{a:.3f} to {b:.3f}") for name, (v, a, b) in scaled.explained.items()],
        ),
        "## Foretold from fewer devices",
        "The steps on the largest number of devices, left out of the fit. Where no other number above 1 was measured, "
        "the collectives' own blocks there (timed without the step) are what the link is known from.",
        _table(
            ("case", "step", "measured", "predicted", "95% interval", "error"),
            [_row(one) for one in scaled.foretold],
        ),
        "## The harness against a loop written by hand",
        "Step time of `single` by the harness's blocks over a plain loop's, in one process, asked in turn.",
        _table(
            ("workload", "steps", "ratio", "95% interval", "restarts"),
            [
                (one.workload, one.way, f"{one.value:.4f}", f"{one.low:.4f} to {one.high:.4f}", str(len(one.ratios)))
                for one in scaled.loops
            ],
        ),
    ]
    return "\n\n".join(parts) + "\n", missed


def _row(one: Foretold) -> tuple[str, ...]:
    def seconds(value: float | None) -> str:
        return "" if value is None else quantity.plain_seconds(value)

    error = one.predicted_s / one.measured_s - 1
    return (
        one.case,
        one.kind,
        quantity.plain_seconds(one.measured_s),
        quantity.plain_seconds(one.predicted_s),
        f"{seconds(one.low_s)} to {seconds(one.high_s)}",
        f"{100 * error:+.1f}%",
    )


def _missed(scaled: Scaled) -> list[str]:
    value, low, high = scaled.efficiency
    missed = []
    if value < EFFICIENCY_AT_LEAST:
        missed.append(f"efficiency of {WIDE} at batch {BATCH}: {100 * value:.1f}%, at least 90% wanted")
    if 100 * (high - low) > POINTS_AT_MOST:
        missed.append(f"its interval is {100 * (high - low):.1f} points wide, {POINTS_AT_MOST:g} allowed")
    missed += [
        f"{name}: {v:.2f} times its compute and collectives, {EXPLAINED_AT_MOST} allowed"
        for name, (v, _, _) in scaled.explained.items()
        if "data_parallel" in name and v > EXPLAINED_AT_MOST
    ]
    missed += [
        f"{one.case} ({one.kind}): foretold with an error of {100 * (one.predicted_s / one.measured_s - 1):+.1f}%"
        for one in scaled.foretold
        if abs(one.predicted_s / one.measured_s - 1) > ERROR_AT_MOST
    ]
    missed += [
        f"{one.workload}, {one.way}: the harness says {one.value:.3f} times what a loop takes"
        for one in scaled.loops
        if abs(one.value - 1) > OFF_AT_MOST
    ]
    return missed


def _table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [headings, tuple("---" for _ in headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
