"""Which of several processes is slower than the others at the same work, from blocks that all of them ran at once.

Where a block has collectives its processes wait for each other, and all take as long as the slowest. So only those
without say who that is: the reference workload, and with `--parts` the compute of a step and what devices can do.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.hosts import oversubscribed
from bench.measured import REFERENCE, Block, Kind
from bench.record import Process, Record
from bench.stats import Estimate, over_restarts
from bench.summary import medians

ALONE: tuple[Kind, ...] = (REFERENCE, "compute", "product", "stream")
# A process is slower if its interval begins above that: nearer to 1 is what any two cores differ by.
CLEARLY = 1.05

At = tuple[int, int]
Run = tuple[At, Block]


@dataclass(frozen=True)
class Pace:
    """How long a process takes, against the quickest, which has no ratio."""

    process: Process
    ratios: Mapping[Kind, Estimate]

    @property
    def slower(self) -> Mapping[Kind, Estimate]:
        """Those that are clearly above 1."""
        return {kind: ratio for kind, ratio in self.ratios.items() if ratio.low is not None and ratio.low > CLEARLY}


@dataclass(frozen=True)
class Paces:
    """All processes of a run, by rank."""

    each: tuple[Pace, ...]
    quickest: Process
    waited: float | None
    """Of steps that are waited for: the time of a block in the process that has the longest over that in the one with
    the shortest; the median of all blocks."""


def paces(record: Record) -> Paces | None:
    """None where no case over several processes says it: each of their devices needs a core of its own."""
    most = max((r.case.processes for r in record.cases if r.status == "measured"), default=1)
    found: dict[Kind, list[Run]] = {kind: list(_blocks(record, most, kind)) for kind in (*ALONE, "latency")}
    alone = [block.processes_s for kind in ALONE for _, block in found[kind]]
    if most == 1 or not alone:
        return None
    ranks = range(most)
    quickest = min(ranks, key=lambda rank: statistics.median(each[rank] / statistics.median(each) for each in alone))
    each = [Pace(record.processes[rank], _ratios(found, rank, quickest) if rank != quickest else {}) for rank in ranks]
    spreads = [max(block.processes_s) / min(block.processes_s) for _, block in found["latency"]]
    return Paces(tuple(each), record.processes[quickest], statistics.median(spreads) if spreads else None)


def _blocks(record: Record, processes: int, kind: Kind) -> Iterator[Run]:
    """Of the cases over so many processes, by restart and a number of their own."""
    number = 0
    for result in record.cases:
        if (
            result.case.processes == processes
            and result.status == "measured"
            and not oversubscribed(record, result.case)
        ):
            for sample in result.samples:
                if sample.kind == kind and sample.block.processes_s:
                    yield (sample.restart, number), sample.block
                    number += 1


def _ratios(found: Mapping[Kind, Sequence[Run]], rank: int, quickest: int) -> dict[Kind, Estimate]:
    ratios: dict[Kind, Estimate] = {}
    for kind in ALONE:
        paired = {at: block.processes_s[rank] / block.processes_s[quickest] for at, block in found[kind]}
        if paired:
            ratios[kind] = over_restarts(medians(paired))
    return ratios
