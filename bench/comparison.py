"""The result file of a comparison of two sides: frozen structs, a version, read and written like a run's record.

Versions of the format:
  1  2026-11  first
  2  2026-11  the modes that a certificate's workload has `refused`
  3  2026-11  a case's `processes`; the `arrays` of its collectives
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from bench.cases import Case
from bench.duet import Agreed, Broke, Event, Judged, Opened, Pace, Pair, Played
from bench.environment import Backend, Host
from bench.measured import KINDS, Certificate, Cost, Kind, Stages
from bench.plausible import fault_of_case, fault_of_refused, fault_of_time
from bench.reading import Fault, check, read_as
from bench.stats import Estimate, over_restarts
from bench.verdict import Rule, Trial, Verdict

SCHEMA = 3


class Round(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A block of each side, run one right after the other."""

    first: Literal["A", "B"]
    a_s: float
    b_s: float
    asked_s: float
    """From asking for the first block to the answer to the second."""


class Restart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One start of both workers of a pair."""

    cores: tuple[tuple[int, ...], tuple[int, ...]]
    steps: tuple[int, int] = (0, 0)
    """Of each block of A, and of B; they differ where fused blocks are epochs of different length."""
    rounds: tuple[Round, ...] = ()


class PairResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came of one pair; a case is None where its side has none of that name."""

    name: str
    a: Case | None
    b: Case | None
    kind: Kind = "latency"
    verdict: Verdict = "inconclusive"
    why: str | None = None
    """Of a pair that is broken or not comparable."""
    unlike: str = ""
    """How the results of the sides differ, where that was allowed."""
    costs: tuple[Cost, Cost] | None = None
    stages: tuple[Stages, Stages] | None = None
    traces: tuple[int, int] = (1, 1)
    """How often each side's step was traced until its first result."""
    certificates: tuple[Certificate, Certificate] | None = None
    trial: Trial = Trial()
    restarts: tuple[Restart, ...] = ()

    def step_s(self, side: Literal["A", "B"]) -> Estimate | None:
        """Seconds a step on a side."""
        medians = [
            statistics.median(r.a_s if side == "A" else r.b_s for r in restart.rounds) / restart.steps[side == "B"]
            for restart in self.restarts
            if restart.rounds
        ]
        return over_restarts(medians) if medians else None


class SideResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a side was."""

    text: str
    """As it was written."""
    commit: str | None
    dirty: bool
    backend: Backend


class Comparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="comparison"):
    """Two sides compared: what was asked for, on what machine, and what came of it."""

    schema: int = SCHEMA
    created: str
    """UTC, ISO 8601."""
    command: tuple[str, ...]
    rule: Rule
    pace: Pace
    host: Host
    a: SideResult
    b: SideResult
    floors: dict[str, float] = {}
    """Noise floors that were measured here before, by pair."""
    load_at_start: float
    load_at_end: float
    seconds: float
    complete: bool = False
    pairs: tuple[PairResult, ...]


def shares_cores(comparison: Comparison, side: SideResult, case: Case) -> bool:
    """Whether a side's simulated devices outnumber the cores."""
    return side.backend.simulated and case.devices > len(comparison.host.usable_cores)


def absorb(comparison: Comparison, event: Event) -> Comparison:
    """The comparison with what happened."""
    pairs = tuple(_absorb(p, event) if _is_of(p, event.pair) else p for p in comparison.pairs)
    return msgspec.structs.replace(comparison, pairs=pairs)


def _is_of(result: PairResult, pair: Pair) -> bool:
    return (result.name, result.kind) == (pair.name, pair.kind)


def _absorb(result: PairResult, event: Event) -> PairResult:
    replace = msgspec.structs.replace
    match event:
        case Agreed(compiled=(a, b), certificates=certificates, traces=traces, unlike=unlike):
            counted = {"costs": (a.cost, b.cost), "stages": (a.stages, b.stages), "traces": traces}
            return replace(result, **counted, certificates=certificates, unlike=unlike)
        case Opened(cores=cores):
            return replace(result, restarts=(*result.restarts, Restart(cores)))
        case Played(first=first, blocks=(a, b), asked_s=asked_s):
            *before, last = result.restarts
            played = Round("B" if first else "A", a.seconds, b.seconds, asked_s)
            last = replace(last, steps=(a.steps, b.steps), rounds=(*last.rounds, played))
            return replace(result, restarts=(*before, last))
        case Judged(trial=trial):
            return replace(result, trial=trial, verdict=trial.verdict or "inconclusive")
        case Broke(why=why):
            return replace(result, verdict="broken", why=why)


def outcome(pairs: Sequence[PairResult]) -> Literal["broken", "slower", "inconclusive", "not slower"]:
    """What a comparison says as a whole: the worst of its pairs decides. Only a new one can't fail it."""
    found = {pair.verdict for pair in pairs}
    unmeasured = any(pair.verdict == "not comparable" and pair.a for pair in pairs)
    if "broken" in found:
        return "broken"
    if "slower" in found:
        return "slower"
    return "inconclusive" if "inconclusive" in found or unmeasured else "not slower"


def read(path: Path) -> Comparison:
    """The comparison in a file; raises UsageError, in one sentence, if there is none that can be read."""
    comparison = read_as(path, Comparison, SCHEMA)
    check(path, _faults(comparison))
    return comparison


def _faults(comparison: Comparison) -> Iterator[Fault]:
    """What its types allow and no comparison leaves."""
    if not comparison.pairs:
        yield "pairs", "there is no pair"
    places: dict[tuple[str, Kind], int] = {}
    for i, pair in enumerate(comparison.pairs):
        place = f"pairs[{i}]"
        if (first := places.setdefault((pair.name, pair.kind), i)) != i:
            yield place, f"{pair.name} is there twice, first as pairs[{first}]"
        for inner, what in _faults_of_pair(pair):
            yield f"{place}{inner} ({pair.name})", what


def _faults_of_pair(pair: PairResult) -> Iterator[Fault]:
    if pair.kind not in KINDS:
        yield ".kind", f"blocks of {pair.kind} aren't compared"
    for side, case in (("a", pair.a), ("b", pair.b)):
        if case is not None and (what := fault_of_case(case)):
            yield f".{side}", what
    for i, (certificate, case) in enumerate(zip(pair.certificates or (), (pair.a, pair.b), strict=False)):
        if case is not None and (what := fault_of_refused(certificate, case)):
            yield f".certificates[{i}].refused", what
    if pair.verdict in ("faster", "slower", "same") and not pair.trial.logs:
        yield ".trial.logs", f"it is {pair.verdict}, without a restart"
    for i, restart in enumerate(pair.restarts):
        for j, played in enumerate(restart.rounds):
            for seconds, steps in zip((played.a_s, played.b_s), restart.steps, strict=True):
                if what := fault_of_time(seconds, steps):
                    yield f".restarts[{i}].rounds[{j}]", what
    with_rounds = sum(bool(restart.rounds) for restart in pair.restarts)
    if (n := len(pair.trial.logs)) > with_rounds:
        yield ".trial.logs", f"ratios of {n} restart{'s' * (n > 1)}, and {with_rounds} with rounds"
