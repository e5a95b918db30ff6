"""Strong and weak scaling: a case on one device against the same on n, asked in turn with it.

With T(n) the time of a step on n devices:
strong: the global batch, or the members, are fixed. Speed-up S(n) = T(1) / T(n), efficiency S(n) / n.
weak: the batch, or the members, of each device are fixed. Efficiency T(1) / T(n), speed-up n T(1) / T(n).
Where devices share cores, the speed-up over min(n, cores) stands beside the efficiency.
Over h hosts with d devices each the efficiency is the product of two. Within a host: that of d devices of one host.
Over hosts: strong T(d) / (h T(n)), weak T(d) / T(n).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.cases import Case
from bench.hosts import cores, groups, hosts, in_each, oversubscribed
from bench.measured import Kind
from bench.record import CaseResult, Record
from bench.stats import Estimate
from bench.summary import by_round, has_fused, paired
from toynet import modes

Scaling = Literal["strong", "weak"]


@dataclass(frozen=True)
class Point:
    """One number of devices against one device."""

    result: CaseResult
    speedup: Estimate
    efficiency: Estimate
    of_cores: Estimate
    """The speed-up over as many cores as the devices have, at most one each; elsewhere than on a CPU the efficiency."""
    oversubscribed: bool
    hosts: int = 1
    within: Estimate | None = None
    """Efficiency of the devices of one host alone, against one of them; None where that wasn't measured. Where all
    processes are on one host, of those of one process."""
    over: Estimate | None = None
    """Efficiency over hosts: against one of them, likewise."""

    @property
    def devices(self) -> int:
        return self.result.case.devices


@dataclass(frozen=True)
class Series:
    """One workload in one mode over numbers of devices, in rising order."""

    scaling: Scaling
    mode: str
    base: CaseResult
    """On one device: `single`, or `ensemble` with its members."""
    kind: Kind
    """The blocks that are compared: fused if every case ran them, else latency."""
    points: tuple[Point, ...]


def series(record: Record) -> list[Series]:
    """What a record has of scaling, in the order of its cases."""
    measured = [result for result in record.cases if result.status == "measured"]
    bases = [result for result in measured if result.case.devices == 1 and result.case.mode in ("single", "ensemble")]
    found = [
        _series(record, scaling, mode, base, chosen)
        for base in bases
        for mode in dict.fromkeys(result.case.mode for result in measured)
        for scaling in ("strong", "weak")
        if (
            chosen := [
                result for result in measured if result.case.mode == mode and fits(base.case, result.case, scaling)
            ]
        )
    ]
    return [one for one in found if one.points]


def fits(base: Case, case: Case, scaling: Scaling) -> bool:
    """Whether a case on several devices belongs to that scaling of one on one device."""
    if case.devices == 1 or case.deterministic or not same_family(base, case.mode):
        return False
    mesh = {"member_shards": case.member_shards, "data_shards": case.data_shards, "processes": case.processes}
    wanted = dataclasses.replace(base, mode=case.mode, **mesh)
    if scaling == "weak":
        wanted = dataclasses.replace(
            wanted, members=base.members * case.member_shards, batch=base.batch * case.data_shards
        )
    return case == wanted


def same_family(base: Case, mode: str) -> bool:
    """Whether a mode divides what `base` does on one device: an ensemble's members, or the batch of one."""
    return modes.by_name(mode).ensemble == (base.mode == "ensemble")


def _series(record: Record, scaling: Scaling, mode: str, base: CaseResult, chosen: Sequence[CaseResult]) -> Series:
    kind: Kind = "fused" if all(has_fused(result) for result in (base, *chosen)) else "latency"
    in_order = sorted(chosen, key=lambda result: (result.case.devices, result.case.processes))
    return Series(scaling, mode, base, kind, tuple(_points(record, scaling, base, kind, in_order)))


def _points(
    record: Record, scaling: Scaling, base: CaseResult, kind: Kind, chosen: Sequence[CaseResult]
) -> Iterator[Point]:
    for result in chosen:
        ratio = paired(by_round(base, kind), by_round(result, kind))
        if ratio is None:
            continue
        n = result.case.devices
        speedup = ratio.times(n) if scaling == "weak" else ratio
        shared = min(n, cores(record, result.case)) if record.backend.simulated else n
        crowded = oversubscribed(record, result.case)
        within, over = _of_hosts(record, scaling, base, result, chosen, kind) if record.processes else (None, None)
        on = hosts(record, result.case)
        yield Point(result, speedup, speedup.times(1 / n), speedup.times(1 / shared), crowded, on, within, over)


def _of_hosts(
    record: Record, scaling: Scaling, base: CaseResult, result: CaseResult, chosen: Sequence[CaseResult], kind: Kind
) -> tuple[Estimate | None, Estimate | None]:
    """Efficiency within a host and over hosts, as far as what they need was measured."""
    count = groups(record, result.case)
    if count == 1:
        return _efficiency(scaling, base, result, kind, result.case.devices), None
    each = in_each(record, result.case)
    if each == 1:
        return None, _efficiency(scaling, base, result, kind, count)
    one = _on_one_host(record, result.case, chosen, each)
    if one is None or each is None:
        return None, None
    return _efficiency(scaling, base, one, kind, each), _efficiency(scaling, one, result, kind, count)


def _on_one_host(record: Record, case: Case, chosen: Sequence[CaseResult], each: int | None) -> CaseResult | None:
    """The case on the devices of one host alone; of several that with as many processes there."""
    found = [r for r in chosen if r.case.devices == each and groups(record, r.case) == 1 and _part(r.case, case)]
    wanted = case.processes // groups(record, case)
    return min(found, key=lambda r: abs(r.case.processes - wanted), default=None)


def _part(one: Case, case: Case) -> bool:
    """Whether a mesh is another's, divided along one axis or both."""
    return case.member_shards % one.member_shards == 0 == case.data_shards % one.data_shards


def _efficiency(scaling: Scaling, a: CaseResult, b: CaseResult, kind: Kind, times: int) -> Estimate | None:
    """Of `b`, which has so many times the devices of `a`."""
    ratio = paired(by_round(a, kind), by_round(b, kind))
    return ratio and (ratio if scaling == "weak" else ratio.times(1 / times))
