"""Rows about steps on several devices: `bench run` measures them, and its record is kept beside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench import record, run
from bench.breakdown import breakdowns
from bench.cases import Case, Selection
from bench.events import Schedule
from bench.peers.record import Result
from bench.peers.rows import Row
from bench.scaling import series
from bench.stats import Estimate

DEVICES = (1, 2)
# For each restart, of each batch; on idle cores half of it will do, and with too little there are fewer restarts.
BUDGET_S = {"wide": 60.0, "tutorial": 30.0}


def plan(rows: Sequence[Row], restarts: int, rounds: int, out: Path, limit_s: float) -> run.Plan:
    """A run of all of these rows, whose cases are of one workload."""
    cases = [row.case for row in rows if row.case]
    workload, batches = cases[0].workload, tuple(sorted({case.batch for case in cases}))
    return run.Plan(
        selection=Selection(
            workloads=(workload,), modes=("data_parallel",), devices=DEVICES, batch=batches, scaling=("strong",)
        ),
        schedule=Schedule(
            restarts=restarts, rounds=rounds, budget_s=BUDGET_S[workload] * restarts * len(batches), parts=True
        ),
        out=out,
        limit_s=limit_s,
    )


def result(row: Row, measured: record.Record, file: str) -> Result:
    """What a record of `bench run` says of a row."""
    found = next((one for one in measured.cases if one.case == row.case), None)
    if found is None or found.status != "measured":
        return Result(row, "broken", (found.why if found else None) or "it was not measured", file=file)
    ratio = _explained(measured, found.case) if row.how == "parts" else _speedup(measured, found.case)
    if ratio is None:
        return Result(row, "broken", "what it is held against was not measured", file=file)
    counts: Counter[str] = Counter()
    for one in found.cost.collectives if found.cost else ():
        counts[one.kind] += one.count
    return Result(row, "measured", ratio=ratio, collectives=dict(counts) if row.how == "parts" else None, file=file)


def _explained(measured: record.Record, case: Case) -> Estimate | None:
    """A step over its compute and its collectives."""
    return next((one.explained for one in breakdowns(measured) if one.result.case == case), None)


def _speedup(measured: record.Record, case: Case) -> Estimate | None:
    """Of strong scaling, over one device."""
    points = [point for one in series(measured) if one.scaling == "strong" for point in one.points]
    return next((point.speedup for point in points if point.result.case == case), None)
