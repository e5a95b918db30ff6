"""The report of records that are held against the first of them: a table a workload, what differs, what it means."""

from __future__ import annotations

from bench.cases import Case
from bench.contrast import COMPARED, Compared, Contrast, Held
from bench.record import Record
from bench.report import contrasts, counts, quantity, spread, surroundings
from bench.report.document import Column, Report, Table
from bench.summary import Summary

_CASE = (
    Column("mode", numeric=False),
    Column("devices"),
    Column("members"),
    Column("batch", expendable=6, tells=True),
)
_REMARKS = Column("remarks", numeric=False)

LEGEND = (
    "latency: a step that is waited for. fused: one of many steps in one program. The median over restarts, ± half of "
    "its 95% interval, which comes from the restarts. compile: the step alone, without tracing. memory: arguments, "
    "outputs and temporaries on one device, as the compiler counts them.",
    "vs: how many times as fast a record's step is as {base}'s, latency against latency, fused against fused, and "
    "examples a second by the fastest way that each has; the 95% interval is Welch's, from the restarts of both.",
    "An empty cell wasn't measured, or isn't comparable.",
)


def build(found: Compared) -> Report:
    """The report of a comparison."""
    tables = [_cases(found, workload) for workload in _workloads(found)]
    differing = surroundings.table(found.records)
    counted = [counts.table(found.base, contrast) for contrast in found.contrasts]
    return Report(
        title=f"{_listed([contrast.other.name for contrast in found.contrasts])} against {found.base.name}",
        environment=tuple(surroundings.line(held) for held in found.records),
        tables=tuple(table for table in (*tables, differing, *counted) if table.rows),
        sentences=contrasts.sentences(found),
        legend=tuple(line.replace("{base}", found.base.name) for line in LEGEND) if tables else (),
    )


def _listed(names: list[str]) -> str:
    return " and ".join([*filter(None, [", ".join(names[:-1])]), names[-1]])


def _workloads(found: Compared) -> list[str]:
    """Those of which there is a case to show, in the base's order."""
    matched = {name for contrast in found.contrasts for name in contrast.matches}
    return list(dict.fromkeys(s.case.workload for name, s in found.base.cases.items() if name in matched))


def _cases(found: Compared, workload: str) -> Table:
    shown = [contrast for contrast in found.contrasts if contrast.matches]
    cases = [
        summary
        for name, summary in found.base.cases.items()
        if summary.case.workload == workload and any(name in contrast.matches for contrast in shown)
    ]
    records = [found.base, *(contrast.other for contrast in shown)]
    columns = (
        *_CASE,
        *(column for contrast in shown for column in _versus(found.base, contrast.other)),
        *(column for held in records for column in _timed(held)),
        *(column for held in records for column in _compiled(held)),
        _REMARKS,
    )
    rows = [_row(found, shown, summary) for summary in cases]
    return spread.shown(found.base.record, workload, columns, rows)


def _row(found: Compared, shown: list[Contrast], summary: Summary) -> tuple[str, ...]:
    """What all records have of a case: how they compare, which is asked for, first."""
    name = summary.case.name
    each = [summary, *(contrast.other.cases.get(name) for contrast in shown)]
    return (
        *_case_cells(found.base.record, summary.case),
        *(cell for contrast in shown for cell in _versus_cells(contrast, name)),
        *(cell for one in each for cell in _timed_cells(one)),
        *(cell for one in each for cell in _compiled_cells(one)),
        _remarks(found, shown, summary),
    )


def _timed(held: Held) -> list[Column]:
    return [Column(f"{held.name} latency", 2), Column(f"{held.name} fused", 3)]


def _versus(base: Held, other: Held) -> list[Column]:
    expendable = {"": 0, " fused": 1, " samples/s": 4}
    return [Column(f"{other.name}{what} vs {base.name}", most) for what, most in expendable.items()]


def _compiled(held: Held) -> list[Column]:
    return [Column(f"{held.name} memory", 5), Column(f"{held.name} compile", 5)]


def _case_cells(record: Record, case: Case) -> tuple[str, ...]:
    mode = case.mode + (" deterministic" if case.deterministic else "")
    devices = quantity.Number(case.mesh, case.devices)
    return mode, devices, *spread.counts(record, case), quantity.count(case.members), quantity.count(case.batch)


def _versus_cells(contrast: Contrast, name: str) -> tuple[str, ...]:
    match = contrast.matches.get(name)
    ratios = [quantity.factor(match.ratio.get(kind) if match else None) for kind in COMPARED]
    return (*ratios, quantity.factor(match.rate if match else None))


def _timed_cells(summary: Summary | None) -> tuple[str, ...]:
    step_s = summary.step_s if summary else {}
    return quantity.seconds(step_s.get("latency")), quantity.seconds(step_s.get("fused"))


def _compiled_cells(summary: Summary | None) -> tuple[str, ...]:
    if summary is None or not summary.step_s or summary.result.cost is None:
        return "", ""
    return quantity.size(summary.result.cost.peak_bytes), quantity.plain_seconds(summary.compile_s)


def _remarks(found: Compared, shown: list[Contrast], summary: Summary) -> str:
    name = summary.case.name
    held = [(each.name, each.cases[name]) for each in (found.base, *(c.other for c in shown)) if name in each.cases]
    apart = [
        contrast.other.name for contrast in shown if name in contrast.matches and not contrast.matches[name].comparable
    ]
    return ", ".join(
        [
            *summary.case.variant,
            *(f"BROKEN in {which}" for which, each in held if each.result.status == "broken"),
            *(f"not comparable with {which}" for which in apart),
            *_oversubscribed([(which, each.oversubscribed) for which, each in held]),
        ]
    )


def _oversubscribed(held: list[tuple[str, bool]]) -> list[str]:
    """Where it is; without names where it is everywhere."""
    if all(is_so for _, is_so in held):
        return ["oversubscribed"]
    return [f"oversubscribed in {which}" for which, is_so in held if is_so]
