"""The processes of a run beside each other: which is slower than the quickest, and by how much."""

from __future__ import annotations

from bench.measured import Kind
from bench.record import Process, Record
from bench.report import quantity
from bench.report.document import Column, Table
from bench.stragglers import ALONE, CLEARLY, Pace, paces

NAMES: dict[Kind, str] = {
    "reference": "the reference workload",
    "compute": "the compute of a step",
    "product": "a large product",
    "stream": "reading and writing a large array",
}


def tables(record: Record) -> list[Table]:
    """A row for each process; none where nothing says how they differ."""
    found = paces(record)
    if found is None:
        return []
    kinds: list[Kind] = [kind for kind in ALONE if any(kind in pace.ratios for pace in found.each)]
    columns = (Column("rank"), Column("host", numeric=False), Column("cores"), *(Column(kind) for kind in kinds))
    one = quantity.Number("1x", 1.0)
    rows = [
        (
            quantity.count(pace.process.rank),
            pace.process.name,
            quantity.count(len(pace.process.host.usable_cores)),
            *(quantity.factor(pace.ratios[kind]) if pace.ratios else one for kind in kinds),
            "slower" * bool(pace.slower),
        )
        for pace in found.each
    ]
    title = f"Time of each process over that of rank {found.quickest.rank}"
    return [Table(title, (*columns, Column("remarks", numeric=False)), tuple(rows))]


def sentences(record: Record) -> list[str]:
    """Who is slower, or that nobody is."""
    found = paces(record)
    if found is None:
        return []
    slower = [pace for pace in found.each if pace.slower]
    said = [_slower(pace, found.quickest) for pace in slower]
    if not slower and any(ratio.low is not None for pace in found.each for ratio in pace.ratios.values()):
        how = f"over {100 * (CLEARLY - 1):.0f}% longer than {called(found.quickest)}, the quickest"
        said.append(f"No process clearly takes {how}, at what all of them do at once and alone.")
    if found.waited is not None:
        spread = 100 * (found.waited - 1)
        said.append(
            f"Blocks of waited steps take {quantity.rounded(spread, 2)}% longer in one process than in another "
            "(the median of the largest differences): they wait for each other."
        )
    return said


def _slower(pace: Pace, quickest: Process) -> str:
    kinds = ", ".join(f"{NAMES[kind]} {quantity.between(ratio)}" for kind, ratio in pace.slower.items())
    return (
        f"Slower than {called(quickest)} is {called(pace.process)}: {kinds} as long, at the same time. Every step of "
        "a case that is over both waits for it."
    )


def called(process: Process) -> str:
    """Such as `rank 1 on node7`."""
    return f"rank {process.rank} on {process.name}"
