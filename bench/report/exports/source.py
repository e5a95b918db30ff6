"""What is exported: the files that were read, and what of them has a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.cases import Case
from bench.comparison import Comparison, PairResult, shares_cores
from bench.measured import KINDS, Block, Kind
from bench.record import Record
from bench.report.harmless import harmless
from bench.stats import Estimate
from bench.summary import Summary, summaries

OVERSUBSCRIBED = " (oversubscribed)"


@dataclass(frozen=True)
class Source:
    """What a file holds, and which file."""

    path: Path
    content: Record | Comparison

    @property
    def name(self) -> str:
        """Of the file, as it can be printed and written: a name needn't be UTF-8."""
        return harmless(str(self.path))


@dataclass(frozen=True)
class Timed:
    """A kind of step of one measured case."""

    summary: Summary
    kind: Kind

    @property
    def case(self) -> Case:
        return self.summary.case

    @property
    def name(self) -> str:
        """Such as `tutorial/data_parallel-4/m1/b32/latency (oversubscribed)`; no two of a record share it."""
        return f"{self.case.name}/{self.kind}{OVERSUBSCRIBED * self.summary.oversubscribed}"

    @property
    def step_s(self) -> Estimate:
        return self.summary.step_s[self.kind]

    @property
    def samples_per_s(self) -> Estimate:
        """Examples a second, each counted once for each member."""
        return self.step_s.inverse().times(examples(self.case))

    @property
    def blocks(self) -> list[Block]:
        """In the order in which they were run."""
        return [sample.block for sample in self.summary.result.samples if sample.kind == self.kind]


def timed(record: Record) -> list[Timed]:
    """All that a record times of steps: of each measured case, each kind of block that runs steps."""
    return [Timed(summary, kind) for summary in summaries(record) for kind in KINDS if kind in summary.step_s]


def examples(case: Case) -> int:
    """In one step, each counted once for each member that trains on it."""
    return case.batch * case.members


def judged(comparison: Comparison) -> list[PairResult]:
    """The pairs of a comparison that have a ratio."""
    return [pair for pair in comparison.pairs if pair.verdict not in ("broken", "not comparable") and _ran(pair)]


def _ran(pair: PairResult) -> bool:
    return bool(pair.a and pair.b and pair.trial.logs)


def pair_name(comparison: Comparison, pair: PairResult) -> str:
    """As a record has it of B."""
    shared = pair.b is not None and shares_cores(comparison, comparison.b, pair.b)
    return f"{pair.name}/{pair.kind}{OVERSUBSCRIBED * shared}"


def has_times(content: Record | Comparison) -> bool:
    """Whether there is anything to export."""
    if isinstance(content, Comparison):
        return bool(judged(content))
    return any(result.status == "measured" and result.samples for result in content.cases)


def left_out(content: Record | Comparison) -> list[str]:
    """What has no time, and why: `tutorial/single-1/m1/b32 (broken)`."""
    if isinstance(content, Comparison):
        kept = {(pair.name, pair.kind) for pair in judged(content)}
        return [f"{pair.name} ({pair.verdict})" for pair in content.pairs if (pair.name, pair.kind) not in kept]
    why = {"broken": "broken", "waiting": "not measured"}
    return [f"{result.case.name} ({why[result.status]})" for result in content.cases if result.status in why]


def nanoseconds(seconds: float) -> float:
    """To 12 digits, so that 80 us are 80000.0 and not 80000.00000000001."""
    return float(f"{1e9 * seconds:.12g}")


def one(sources: Sequence[Source]) -> Record | Comparison:
    """What formats that describe one run are made of."""
    (source,) = sources
    return source.content
