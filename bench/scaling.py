"""Strong and weak scaling: a case on one device against the same on n, asked in turn with it.

With T(n) the time of a step on n devices:
strong: the global batch, or the members, are fixed. Speed-up S(n) = T(1) / T(n), efficiency S(n) / n.
weak: the batch, or the members, of each device are fixed. Efficiency T(1) / T(n), speed-up n T(1) / T(n).
Where devices share cores, the speed-up over min(n, cores) stands beside the efficiency.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.cases import Case
from bench.measured import Kind
from bench.record import CaseResult, Record
from bench.stats import Estimate
from bench.summary import by_round, fair_devices, has_fused, paired
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
    in_order = sorted(chosen, key=lambda result: result.case.devices)
    return Series(scaling, mode, base, kind, tuple(_points(record, scaling, base, kind, in_order)))


def _points(
    record: Record, scaling: Scaling, base: CaseResult, kind: Kind, chosen: Sequence[CaseResult]
) -> Iterator[Point]:
    fair = fair_devices(record)
    for result in chosen:
        ratio = paired(by_round(base, kind), by_round(result, kind))
        if ratio is None:
            continue
        n = result.case.devices
        speedup = ratio.times(n) if scaling == "weak" else ratio
        shared = min(n, len(record.host.usable_cores)) if record.backend.simulated else n
        yield Point(result, speedup, speedup.times(1 / n), speedup.times(1 / shared), n > fair)
