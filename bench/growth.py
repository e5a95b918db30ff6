"""How the cost of a step grows with one quantity, and how far a step is from what it can't be shorter than.

A series is the cases of one workload in one mode that differ in that quantity alone. The limits are those that
`bench.breakdown` reckons with, measured in the same rounds: the step's products at the FLOP/s of a large one, its
accessed bytes at the bandwidth of a large array, and what waiting for a step costs, where it is waited for.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.breakdown import NEAR, Bound, Breakdown, breakdowns, share_of_peak
from bench.cases import Case
from bench.hosts import oversubscribed
from bench.measured import Kind
from bench.record import CaseResult, Record
from bench.scaling import same_family
from bench.stats import Difference, Estimate, over_restarts
from bench.summary import by_round, has_fused, in_restarts, medians, ratio
from toynet import modes
from toynet.config import PRESETS

Quantity = Literal["members", "hidden_layers", "hidden_dim", "batch", "devices"]
QUANTITIES: tuple[Quantity, ...] = ("members", "hidden_layers", "hidden_dim", "batch", "devices")
Limit = Literal["arithmetic", "memory", "dispatch"]
# Fewer show no law.
VALUES_AT_LEAST = 3


@dataclass(frozen=True)
class Point:
    """One value of what grows."""

    value: int
    result: CaseResult
    step_s: Estimate
    shares: Mapping[Limit, Estimate]
    """What of the step each limit alone would take; empty where no peak was measured."""
    dispatch_s: float | None
    """What waiting for a step takes beyond it as one of many in one program; None if that is nothing, or not known."""
    bound: Bound | None
    """None: what was measured doesn't say, or no limit is near."""
    oversubscribed: bool

    @property
    def peak_bytes(self) -> int:
        """Memory on one device."""
        assert self.result.cost is not None
        return self.result.cost.peak_bytes

    @property
    def limit(self) -> Limit | None:
        """The largest of the limits."""
        return max(self.shares, key=lambda limit: self.shares[limit].value, default=None)

    @property
    def distance(self) -> Estimate | None:
        """How many times its largest limit the step takes."""
        return self.shares[self.limit].inverse() if self.limit else None

    def limit_s(self, limit: Limit) -> float | None:
        """Seconds that a limit alone would take."""
        share = self.shares.get(limit)
        return None if share is None else share.value * self.step_s.value


@dataclass(frozen=True)
class Growth:
    """A series, in rising order of what grows."""

    quantity: Quantity
    mode: str
    kind: Kind
    """The blocks of which the time is: fused if every case ran them, else latency."""
    points: tuple[Point, ...]

    @property
    def case(self) -> Case:
        """The last, of which all but the quantity is that of the others."""
        return self.points[-1].result.case

    @property
    def fair(self) -> tuple[Point, ...]:
        """Those on devices that share no core."""
        return tuple(point for point in self.points if not point.oversubscribed)


def growths(record: Record) -> list[Growth]:
    """Every series that a record has, by quantity."""
    measured = [result for result in record.cases if result.status == "measured" and in_restarts(result, "latency")]
    apart = {one.result.case: one for one in breakdowns(record)}
    return [
        _growth(record, apart, quantity, mode, some)
        for quantity in QUANTITIES
        for mode in dict.fromkeys(result.case.mode for result in measured)
        for some in _series(measured, quantity, mode)
    ]


def grown(first: Point, last: Point, kind: Kind) -> tuple[Estimate, Difference] | None:
    """The time at the last over that at the first, paired by round, and the exponent: time ~ value ** exponent.

    None if they share no round.
    """
    times = ratio(last.result, first.result, kind)
    if times is None:
        return None
    scale = math.log(last.value / first.value)
    half = None if times.low is None or times.high is None else math.log(times.high / times.low) / scale / 2
    return times, Difference(math.log(times.value) / scale, half)


def network(case: Case) -> tuple[int, int] | None:
    """Hidden layers and their width; None for a workload that isn't a preset."""
    if case.workload not in PRESETS:
        return None
    own = PRESETS[case.workload]
    layers = own.hidden_layers if case.hidden_layers is None else case.hidden_layers
    return layers, own.hidden_dim if case.hidden_dim is None else case.hidden_dim


def _series(measured: Sequence[CaseResult], quantity: Quantity, mode: str) -> Iterator[list[CaseResult]]:
    """The cases of a mode that differ in the quantity alone, each series in rising order."""
    found: dict[Case, dict[int, CaseResult]] = {}
    for result in sorted(measured, key=lambda result: _preference(result.case, mode)):
        if result.case.mode == mode or (quantity == "devices" and _begins(result.case, mode)):
            value = _value(result.case, quantity)
            if value:  # a network without hidden layers has no place on a logarithmic axis
                found.setdefault(_without(result.case, quantity, mode), {}).setdefault(value, result)
    for of_value in found.values():
        if len(of_value) >= VALUES_AT_LEAST:
            yield [of_value[value] for value in sorted(of_value)]


def _begins(case: Case, mode: str) -> bool:
    """Whether it is what a mode divides over devices, on one."""
    return case.mode in ("single", "ensemble") and modes.by_name(mode).sharded and same_family(case, mode)


def _preference(case: Case, mode: str) -> tuple[bool, int]:
    """Of two cases with one value: that of the mode itself, and of meshes the squarest."""
    return case.mode != mode, max(case.member_shards, case.data_shards)


def _value(case: Case, quantity: Quantity) -> int | None:
    if quantity in ("hidden_layers", "hidden_dim"):
        layers, width = network(case) or (None, None)
        return layers if quantity == "hidden_layers" else width
    return getattr(case, quantity)


def _without(case: Case, quantity: Quantity, mode: str) -> Case:
    """What cases have in common that differ in the quantity alone."""
    layers, width = network(case) or (None, None)
    case = dataclasses.replace(case, mode=mode, hidden_layers=layers, hidden_dim=width)
    if quantity == "devices":
        return dataclasses.replace(case, member_shards=1, data_shards=1)
    return dataclasses.replace(case, **{quantity: 1})


def _growth(
    record: Record, apart: Mapping[Case, Breakdown], quantity: Quantity, mode: str, some: Sequence[CaseResult]
) -> Growth:
    kind: Kind = "fused" if all(has_fused(result) for result in some) else "latency"
    return Growth(quantity, mode, kind, tuple(_point(record, quantity, r, kind, apart.get(r.case)) for r in some))


def _point(record: Record, quantity: Quantity, result: CaseResult, kind: Kind, apart: Breakdown | None) -> Point:
    value, step_s = _value(result.case, quantity), in_restarts(result, kind)
    assert value is not None
    assert step_s is not None
    shares = _shares(result, kind)
    crowded = oversubscribed(record, result.case)
    dispatch_s = apart.dispatch_s.value if apart and apart.dispatch_s.value > 0 else None
    return Point(value, result, step_s, shares, dispatch_s, _bound(apart, kind, shares), crowded)


def _shares(result: CaseResult, kind: Kind) -> dict[Limit, Estimate]:
    """Of each limit; none without a peak. Memory is none where caches answer, faster than a large array is read.

    Of a fast path arithmetic is all of XLA's FLOPs, for it has no matrix products; memory is none, for the bodies of
    its loops are counted once.
    """
    if result.case.path == "fast":
        arithmetic, memory = share_of_peak(result, kind, "product", all_flops=True), None
    else:
        arithmetic, memory = share_of_peak(result, kind, "product"), share_of_peak(result, kind, "stream")
    if arithmetic is None and memory is None:
        return {}
    found: dict[Limit, Estimate | None] = {
        "arithmetic": arithmetic,
        "memory": memory if memory and memory.value <= 1 else None,
        "dispatch": _dispatch(result) if kind == "latency" else None,
    }
    return {limit: share for limit, share in found.items() if share}


def _dispatch(result: CaseResult) -> Estimate | None:
    """What of a waited step it takes more than one of many in one program; None if that is nothing."""
    within = by_round(result, "fused")
    shares = medians({at: 1 - within[at] / s for at, s in by_round(result, "latency").items() if at in within})
    return over_restarts(shares) if shares and min(shares) > 0 else None


def _bound(apart: Breakdown | None, kind: Kind, shares: Mapping[Limit, Estimate]) -> Bound | None:
    """What the largest part of the step is bound by; arithmetic and memory bound it only if they are near."""
    if apart is None:
        return None
    found = apart.bound if kind == "latency" else apart.bound_within
    if found == "near no limit":
        return None
    share = {"compute-bound": shares.get("arithmetic"), "memory-bound": shares.get("memory")}
    if found in share and ((near := share[found]) is None or near.value < NEAR):
        return None
    return found
