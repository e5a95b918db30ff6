"""What a record's model says of more devices: step time, throughput, efficiency, and where efficiency halves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench import cost_model
from bench.cases import Case
from bench.cost_model import EFFICIENT, LEAST_S, LINK, MOST_DEVICES, Fit, Model, Row, Term, fitted, rows
from bench.measured import Kind
from bench.record import CaseResult, Record
from bench.scaling import same_family
from bench.stats import Estimate
from bench.summary import fair_devices, in_restarts
from toynet import modes
from toynet.errors import UsageError

# A projection in which work is divided otherwise would need another model.
DIVIDED = ("data_parallel", "fsdp", "zero1", "ensemble_data")


@dataclass(frozen=True)
class Source:
    """What a projection is made from: cases of one workload on one device, and in one mode on several."""

    workload: str
    mode: str
    base: CaseResult
    one: tuple[CaseResult, ...]
    several: tuple[CaseResult, ...]
    """None of them oversubscribed."""
    left_out: tuple[CaseResult, ...]
    """Oversubscribed: their times say nothing of hardware."""


@dataclass(frozen=True)
class Job:
    """What is to be done: a global batch of each member, in a mode that divides the one or the others."""

    batch: int
    members: int = 1
    by_members: bool = False
    """Whether members are divided over devices, and not the batch."""

    @property
    def divided(self) -> str:
        """What is divided, in words."""
        return "members" if self.by_members else "examples"

    @property
    def divisible(self) -> int:
        """Into how many parts it can be divided at most."""
        return self.members if self.by_members else self.batch

    @property
    def work(self) -> int:
        return self.batch * self.members

    def share(self, devices: int) -> int:
        """Examples x members of a device, padding included."""
        return -(-self.divisible // devices) * (self.work // self.divisible)


@dataclass(frozen=True)
class Projected:
    """One number of devices and one global batch, not measured."""

    devices: int
    job: Job
    step_s: Estimate
    samples_per_s: Estimate
    strong: Estimate
    """Efficiency against one device with the same global batch."""
    weak: Estimate
    """Efficiency against one device with the same batch for each device."""


@dataclass(frozen=True)
class HeldOut:
    """A case that was measured, as the model foretells it from fewer devices."""

    result: CaseResult
    kind: Kind
    measured: Estimate
    predicted: Estimate

    @property
    def error(self) -> float:
        """Of the prediction, relative to what was measured."""
        return self.predicted.value / self.measured.value - 1


def sources(record: Record) -> list[Source]:
    """What a record can be projected from, by workload and mode."""
    measured = [r for r in record.cases if r.status == "measured" and not r.case.deterministic]
    found = []
    for base in (r for r in measured if r.case.mode in ("single", "ensemble")):
        for mode in (mode for mode in DIVIDED if same_family(base.case, mode)):
            if any(s.base.case == replace(base.case, batch=s.base.case.batch) and s.mode == mode for s in found):
                continue  # another batch of what stands there already
            source = _source(record, measured, base, mode)
            if source.several or source.left_out:
                found.append(source)
    return found


def _source(record: Record, measured: Sequence[CaseResult], base: CaseResult, mode: str) -> Source:
    fair = fair_devices(record)
    one = [r for r in measured if r.case == replace(base.case, batch=r.case.batch, members=r.case.members)]
    several = [r for r in measured if r.case.mode == mode and r.case.devices > 1 and _divides(base.case, r.case)]
    return Source(
        base.case.workload,
        mode,
        base,
        tuple(one),
        several=tuple(r for r in several if r.case.devices <= fair),
        left_out=tuple(r for r in several if r.case.devices > fair),
    )


def _divides(base: Case, case: Case) -> bool:
    """Whether it is the same work divided along one axis only."""
    mesh = {"member_shards": case.member_shards, "data_shards": case.data_shards}
    same = replace(base, mode=case.mode, batch=case.batch, members=case.members, **mesh) == case
    ensemble = modes.by_name(case.mode).ensemble
    return same and case.data_shards == 1 if ensemble else same


def model_of(source: Source, link: Mapping[Term, float] = {}) -> Model:
    """The model of a source; `link` are coefficients given by hand. Raises UsageError, saying what is missing."""
    counted = [*source.several, *source.left_out]
    if not source.several and not (counted and set(LINK) <= set(link)):
        raise UsageError(
            f"{source.workload} in mode {source.mode} was measured on one device only where each has a core of its "
            "own, from which more devices can't be foretold; measure it where there are more cores or devices, or give "
            "--link-latency and --link-bandwidth."
        )
    # Where they were timed, for another number of devices may divide other leaves.
    collectives = max(source.several or source.left_out, key=lambda r: r.case.devices).cost
    assert collectives is not None
    data = rows([*source.one, *source.several])
    if len({row.terms["work"] for row in data if "work" in row.terms}) < 2:
        raise UsageError(
            f"{source.workload} in mode {source.mode} was measured with one batch per device only, and a line needs "
            "two points: measure it with several --batch, or with --scaling strong,weak where no devices share cores."
        )
    found = fitted(data, collectives.collectives, link)
    apart = set(LINK) <= set(link) or any(row.devices > 1 and row.kind != "latency" for row in data)
    if collectives.collectives and not (apart and any(found.whole.coefficients.get(term) for term in LINK)):
        raise UsageError(
            f"what collectives cost {source.workload} in mode {source.mode} can't be told from the rest of its steps: "
            "measure it with --scaling strong,weak or --parts, or give --link-latency and --link-bandwidth."
        )
    return found


def projected(found: Model, devices: int, job: Job, kind: Kind) -> Projected:
    """What the model says of a job on that many devices."""
    work, share = job.work, job.share(devices)

    def time(fit: Fit, n: int, share: float) -> float:
        return max(fit.seconds(cost_model.terms(kind, n, share, found.collectives)), LEAST_S)

    step_s = found.predicted(cost_model.terms(kind, devices, share, found.collectives))
    return Projected(
        devices,
        job,
        step_s,
        step_s.inverse().times(work),
        strong=found.estimated(lambda fit: time(fit, 1, work) / (devices * time(fit, devices, share))),
        weak=found.estimated(lambda fit: time(fit, 1, share) / time(fit, devices, share)),
    )


def reach(found: Model, job: Job, kind: Kind) -> tuple[int, int, int]:
    """The largest number of devices with an efficiency of EFFICIENT at least, and the ends of its interval.

    The job is fixed, and every device needs a part of it.
    """
    most = min(job.divisible, MOST_DEVICES)

    def largest(efficiency: Callable[[Projected], float]) -> int:
        return _last(lambda n: efficiency(projected(found, n, job, kind)) >= EFFICIENT, most)

    return (
        largest(lambda p: p.strong.low or p.strong.value),
        largest(lambda p: p.strong.value),
        largest(lambda p: p.strong.high or p.strong.value),
    )


def _last(holds: Callable[[int], bool], most: int) -> int:
    """The last number up to `most` for which it holds; it holds for 1, and not any more after the first that fails."""
    low, high = 1, 2
    while high <= most and holds(high):
        low, high = high, 2 * high
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def held_out(source: Source) -> list[HeldOut]:
    """The steps on the largest number of devices, foretold without them; the link's own blocks there are kept
    where no smaller number of devices has one."""
    largest = max(result.case.devices for result in source.several)
    fewer = [r for r in source.several if r.case.devices < largest]
    apart = [r for r in source.several if r.case.devices == largest]
    data = rows([*source.one, *fewer])
    if not fewer:
        data += [row for row in rows(apart) if row.kind in ("collectives", "rendezvous")]
    cost = apart[0].cost
    assert cost is not None
    found = fitted(data, cost.collectives, {})
    return [_foretold(found, result, kind) for result in apart for kind in _stepping(result, found.rows)]


def _stepping(result: CaseResult, data: Sequence[Row]) -> tuple[Kind, ...]:
    """What can be foretold: `latency` only if the time to dispatch to several devices is known."""
    known = any("dispatch to several" in row.terms for row in data)
    kinds: tuple[Kind, ...] = ("fused", "latency") if known else ("fused",)
    return tuple(kind for kind in kinds if in_restarts(result, kind)) or ("latency",)


def _foretold(found: Model, result: CaseResult, kind: Kind) -> HeldOut:
    case = result.case
    assert result.cost is not None
    measured = in_restarts(result, kind)
    assert measured is not None
    return HeldOut(
        result,
        kind,
        measured,
        found.predicted(cost_model.terms(kind, case.devices, cost_model.share(case), result.cost.collectives)),
    )
