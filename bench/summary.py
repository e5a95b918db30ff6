"""From a record to numbers: step times, throughput and paired ratios, each with its interval."""

from __future__ import annotations

import dataclasses
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.cases import Case
from bench.hosts import oversubscribed
from bench.measured import KINDS, REFERENCE, Kind, Stages
from bench.record import CaseResult, Record, Sample
from bench.stats import Estimate, over_restarts


@dataclass(frozen=True)
class Summary:
    """One case in numbers; times in seconds a step of all members on the global batch."""

    result: CaseResult
    step_s: dict[Kind, Estimate]
    dispatch_s: Estimate | None
    fastest_s: float | None
    """The fastest step that was waited for: shown, not compared."""
    compile_s: float | None
    """Of the starts whose compilation no cache answered; their median."""
    speedup: dict[Kind, Estimate]
    """Member-samples a second, against `single` asked in turn with it."""
    oversubscribed: bool

    @property
    def case(self) -> Case:
        return self.result.case

    @property
    def best(self) -> Kind | None:
        """The kind of block with the shortest step; None if nothing was measured."""
        return min(self.step_s, key=lambda kind: self.step_s[kind].value, default=None)

    @property
    def samples_per_s(self) -> Estimate | None:
        """Examples a second, each counted once for each member that trains on it, by the best kind of block."""
        if self.best is None:
            return None
        return self.step_s[self.best].inverse().times(self.case.batch * self.case.members)


def summaries(record: Record) -> list[Summary]:
    """All cases of a record, in its order."""
    return [_summary(record, result) for result in record.cases]


def _summary(record: Record, result: CaseResult) -> Summary:
    measured = result.status == "measured"
    samples = result.samples if measured else ()
    latencies = [s for s in samples if s.kind == "latency"]
    typical = stages(result) if measured else None
    base = baseline(record, result.case)
    return Summary(
        result=result,
        step_s=_by_kind([s for s in samples if s.kind in KINDS], _step_s),
        dispatch_s=_by_kind(latencies, lambda s: (s.block.dispatch_s or 0.0) / s.block.steps).get("latency"),
        fastest_s=min((s.block.fastest_s for s in latencies if s.block.fastest_s is not None), default=None),
        compile_s=typical.compile_s if typical and not typical.compile_cached else None,
        speedup={} if base is None or not measured else speedups(result, base),
        oversubscribed=oversubscribed(record, result.case),
    )


def stages(result: CaseResult) -> Stages | None:
    """The median of each stage, over the starts whose compilation no cache answered; over all, where one always did.

    None if it was never started.
    """
    found = [start.stages for start in result.starts]
    compiled = [one for one in found if not one.compile_cached]
    told = compiled or found
    if not told:
        return None
    return Stages(
        trace_s=statistics.median(one.trace_s for one in told),
        lower_s=statistics.median(one.lower_s for one in told),
        compile_s=statistics.median(one.compile_s for one in told),
        compile_cached=not compiled,
        first_step_s=statistics.median(one.first_step_s for one in told),
        transfer_s=statistics.median(one.transfer_s for one in told),
    )


def baseline(record: Record, case: Case) -> CaseResult | None:
    """`single` with the case's workload, network, batch and dtypes, if it was measured."""
    wanted = single_of(case)
    return next((r for r in record.cases if r.case == wanted and r.status == "measured"), None)


def single_of(case: Case) -> Case:
    """`single` with the case's workload, network, batch and dtypes, computed plainly."""
    one = {"mode": "single", "member_shards": 1, "data_shards": 1, "members": 1, "processes": 1}
    return dataclasses.replace(case, deterministic=False, path="plain", **one)


def speedups(result: CaseResult, base: CaseResult) -> dict[Kind, Estimate]:
    """How many times the member-samples a second of `base`, for each kind of block that both ran."""
    work = result.case.members * result.case.batch / (base.case.members * base.case.batch)
    found: dict[Kind, Estimate] = {}
    for kind in KINDS:
        if (estimate := ratio(base, result, kind)) is not None:
            found[kind] = estimate.times(work)
    return found


def ratio(a: CaseResult, b: CaseResult, kind: Kind, over: Kind | None = None) -> Estimate | None:
    """Step time of `a` over that of `b`, paired by round; None if they share no round.

    Of that kind of block, `b`'s of the kind `over` if it is given. The ratio of a restart is the median of
    its rounds', the interval comes from the restarts.
    """
    return paired(by_round(a, kind), by_round(b, over or kind))


def by_round(result: CaseResult, kind: Kind) -> dict[tuple[int, int], float]:
    """Seconds a step of each block of a kind, by (restart, round)."""
    return {(s.restart, s.round): _step_s(s) for s in result.samples if s.kind == kind}


def to_own_median(result: CaseResult, kind: Kind) -> dict[tuple[int, int], float]:
    """Each block's time over the median of all of its kind, by (restart, round), in the order of the runs."""
    step_s = by_round(result, kind)
    return {at: value / statistics.median(step_s.values()) for at, value in step_s.items()}


def has_fused(result: CaseResult) -> bool:
    """Whether steps of one program were timed wherever steps were."""
    return {at[0] for at in by_round(result, "fused")} == {at[0] for at in by_round(result, "latency")} != set()


def in_restarts(result: CaseResult, kind: Kind) -> Estimate | None:
    """Seconds a step of a kind of block, over restarts; None if there was none."""
    return _by_kind([s for s in result.samples if s.kind == kind], _step_s).get(kind)


def paired(a: Mapping[tuple[int, int], float], b: Mapping[tuple[int, int], float]) -> Estimate | None:
    """The ratio of `a` to `b`, from the rounds that both have, as `ratio` makes it."""
    ratios = medians({at: value / b[at] for at, value in a.items() if at in b})
    return over_restarts(ratios) if ratios else None


def medians(rounds: Mapping[tuple[int, int], float]) -> list[float]:
    """The median of each restart's rounds."""
    restarts: dict[int, list[float]] = defaultdict(list)
    for (restart, _), value in rounds.items():
        restarts[restart].append(value)
    return [statistics.median(values) for values in restarts.values()]


def in_turns(record: Record, workload: str) -> bool:
    """Whether not all of a workload's cases were alive at once: later turns number their rounds on."""
    measured = [r for r in record.cases if r.case.workload == workload and r.status == "measured"]
    return record.alternation == "rounds" and any((0, 0) not in by_round(result, "latency") for result in measured)


def _by_kind(samples: Sequence[Sample], value: Callable[[Sample], float]) -> dict[Kind, Estimate]:
    restarts: dict[Kind, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        restarts[sample.kind][sample.restart].append(value(sample))
    return {kind: over_restarts([statistics.median(values) for values in restarts[kind].values()]) for kind in restarts}


def _step_s(sample: Sample) -> float:
    """Of the slowest process; of the reference that of the first, by which records of one process are held as well."""
    block = sample.block
    seconds = block.processes_s[0] if sample.kind == REFERENCE and block.processes_s else block.seconds
    return seconds / block.steps
