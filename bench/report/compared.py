"""The report of records that are held against the first of them: a table a workload, what differs, what it means."""

from __future__ import annotations

from bench.compare import COMPARED, Compared, Contrast, Held
from bench.report import contrasts, counts, quantity, surroundings
from bench.report.document import Column, Report, Table
from bench.summary import Summary

_CASE = (
    Column("mode", numeric=False),
    Column("devices"),
    Column("members"),
    Column("batch", expendable=6),
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
    columns = [*_CASE, *_own_columns(found.base)]
    for contrast in shown:
        columns += [*_own_columns(contrast.other), *_versus_columns(found.base, contrast.other)]
    rows = [(*_case_cells(s), *_own_cells(s), *_cells_of_others(shown, s), _remarks(found, shown, s)) for s in cases]
    return Table(workload, (*columns, _REMARKS), tuple(rows))


def _own_columns(held: Held) -> list[Column]:
    expendable = {"latency": 2, "fused": 3, "memory": 5, "compile": 5}
    return [Column(f"{held.name} {what}", most) for what, most in expendable.items()]


def _versus_columns(base: Held, other: Held) -> list[Column]:
    expendable = {"": 0, " fused": 1, " samples/s": 4}
    return [Column(f"{other.name}{what} vs {base.name}", most) for what, most in expendable.items()]


def _case_cells(summary: Summary) -> tuple[str, ...]:
    case = summary.case
    mode = case.mode + (" deterministic" if case.deterministic else "")
    devices = quantity.Number(case.mesh, case.devices)
    return mode, devices, quantity.count(case.members), quantity.count(case.batch)


def _own_cells(summary: Summary | None) -> tuple[str, ...]:
    """As `_own_columns` has them; empty for a case that a record hasn't got."""
    if summary is None:
        return ("",) * 4
    cost = summary.result.cost
    return (
        quantity.seconds(summary.step_s.get("latency")),
        quantity.seconds(summary.step_s.get("fused")),
        quantity.size(cost.peak_bytes if cost and summary.step_s else None),
        quantity.plain_seconds(summary.compile_s),
    )


def _cells_of_others(shown: list[Contrast], summary: Summary) -> list[str]:
    cells: list[str] = []
    for contrast in shown:
        match = contrast.matches.get(summary.case.name)
        cells += _own_cells(match.other if match else contrast.other.cases.get(summary.case.name))
        cells += [quantity.factor(match.ratio.get(kind) if match else None) for kind in COMPARED]
        cells.append(quantity.factor(match.rate if match else None))
    return cells


def _remarks(found: Compared, shown: list[Contrast], summary: Summary) -> str:
    name = summary.case.name
    held = [(each.name, each.cases[name]) for each in (found.base, *(c.other for c in shown)) if name in each.cases]
    apart = [contrast.other.name for contrast in shown if name in contrast.matches and contrast.matches[name].unlike]
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
