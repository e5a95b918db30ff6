"""What a record's model says of more devices: step time, throughput, efficiency, and where efficiency halves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench import cost_model
from bench.cases import Case
from bench.cost_model import EFFICIENT, LEAST_S, MOST_DEVICES, Fit, Model, Term, fitted, rows
from bench.hosts import oversubscribed
from bench.links import BETWEEN, WITHIN, LinkTerm, Spread, spread
from bench.measured import Kind
from bench.record import CaseResult, Record
from bench.scaling import same_family
from bench.stats import Estimate
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
    spreads: Mapping[Case, Spread]
    """Of all these."""

    @property
    def each(self) -> int | None:
        """Devices on a host, of the largest case that is on several; None: none is."""
        over = [spread for spread in self.spreads.values() if spread.hosts > 1]
        return max(over, key=lambda spread: (spread.devices, spread.each)).each if over else None

    def spread(self, devices: int, each: int | None = None) -> Spread:
        """So many devices, `each` on a host, or as many as in what was measured; None there, too: all on one.

        They talk as those that were measured on several hosts.
        """
        each = each or self.each or devices
        hosts = -(-devices // each)
        return Spread(devices, hosts, hosts > 1 and any(spread.ring for spread in self.spreads.values()))


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

    over: Spread
    job: Job
    step_s: Estimate
    samples_per_s: Estimate
    strong: Estimate
    """Efficiency against one device with the same global batch."""
    weak: Estimate
    """Efficiency against one device with the same batch for each device."""


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
    one = [r for r in measured if r.case == replace(base.case, batch=r.case.batch, members=r.case.members)]
    divided = [r for r in measured if r.case.mode == mode and r.case.devices > 1 and _divides(base.case, r.case)]
    spreads = {r.case: found for r in (*one, *divided) if (found := spread(record, r.case))}
    several = [r for r in divided if r.case in spreads]
    return Source(
        base.case.workload,
        mode,
        base,
        tuple(one),
        several=tuple(r for r in several if not oversubscribed(record, r.case)),
        left_out=tuple(r for r in several if oversubscribed(record, r.case)),
        spreads=spreads,
    )


def _divides(base: Case, case: Case) -> bool:
    """Whether it is the same work divided along one axis only."""
    mesh = {"member_shards": case.member_shards, "data_shards": case.data_shards, "processes": case.processes}
    same = replace(base, mode=case.mode, batch=case.batch, members=case.members, **mesh) == case
    ensemble = modes.by_name(case.mode).ensemble
    return same and case.data_shards == 1 if ensemble else same


def model_of(source: Source, link: Mapping[Term, float] = {}) -> Model:
    """The model of a source; `link` are coefficients given by hand. Raises UsageError, saying what is missing."""
    counted = [*source.several, *source.left_out]
    by_hand = any(set(of_one) <= set(link) for of_one in (WITHIN, BETWEEN))
    if not source.several and not (counted and by_hand):
        raise UsageError(
            f"{source.workload} in mode {source.mode} was measured on one device only where each has a core of its "
            "own, from which more devices can't be foretold; measure it where there are more cores or devices, or give "
            "--link-latency and --link-bandwidth."
        )
    # Where they were timed, for another number of devices may divide other leaves.
    collectives = max(source.several or source.left_out, key=lambda r: r.case.devices).cost
    assert collectives is not None
    data = rows([*source.one, *source.several], source.spreads)
    if len({row.terms["work"] for row in data if "work" in row.terms}) < 2:
        raise UsageError(
            f"{source.workload} in mode {source.mode} was measured with one batch per device only, and a line needs "
            "two points: measure it with several --batch, or with --scaling strong,weak where no devices share cores."
        )
    found = fitted(data, collectives.collectives, link)
    apart = by_hand or any(row.over.devices > 1 and row.kind != "latency" for row in data)
    known = any(found.whole.coefficients.get(term) for term in (*WITHIN, *BETWEEN))
    if collectives.collectives and not (apart and known):
        raise UsageError(
            f"what collectives cost {source.workload} in mode {source.mode} can't be told from the rest of its steps: "
            "measure it with --scaling strong,weak or --parts, or give --link-latency and --link-bandwidth."
        )
    return found


def unknown_link(found: Model, over: Spread) -> tuple[LinkTerm, ...]:
    """The terms of a link that devices spread so need, and that was neither measured nor given; empty: of none."""
    known = {*found.whole.coefficients, *(term for row in found.rows for term in row.terms)}
    needed = [of_one for of_one in (WITHIN, BETWEEN) if found.collectives and set(of_one) <= set(over.links)]
    return next((of_one for of_one in needed if not known & set(of_one)), ())


def projected(found: Model, over: Spread, job: Job, kind: Kind) -> Projected:
    """What the model says of a job on devices that are spread so."""
    devices, alone = over.devices, Spread(1)
    work, share = job.work, job.share(devices)

    def time(fit: Fit, over: Spread, share: float) -> float:
        return max(fit.seconds(cost_model.terms(kind, over, share, found.collectives)), LEAST_S)

    step_s = found.predicted(cost_model.terms(kind, over, share, found.collectives))
    return Projected(
        over,
        job,
        step_s,
        step_s.inverse().times(work),
        strong=found.estimated(lambda fit: time(fit, alone, work) / (devices * time(fit, over, share))),
        weak=found.estimated(lambda fit: time(fit, alone, share) / time(fit, over, share)),
    )


def reach(found: Model, spread: Callable[[int], Spread], job: Job, kind: Kind) -> tuple[int, int, int]:
    """The largest number of devices with an efficiency of EFFICIENT at least, and the ends of its interval.

    The job is fixed, and every device needs a part of it; `spread` says how so many devices are spread.
    """
    most = min(job.divisible, MOST_DEVICES)

    def largest(efficiency: Callable[[Projected], float]) -> int:
        return _last(lambda n: efficiency(projected(found, spread(n), job, kind)) >= EFFICIENT, most)

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
