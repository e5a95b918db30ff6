"""Where the time of a step goes, and what bounds it: from blocks of its parts, run in the same rounds.

With T the time of a step that is waited for, F that of one among many in one program, C that of the step
without its collectives and K that of its collectives alone: T = C + K + (T - F) + (F - C - K), which are
compute, collectives, dispatch, and what remains (below 0: what overlaps). Bandwidths as nccl-tests reckons
them; the roofline as in Williams, Waterman and Patterson (2009).
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench.hosts import oversubscribed
from bench.measured import Collective, Kind
from bench.record import CaseResult, Record
from bench.stats import Difference, Estimate, difference, over_restarts
from bench.summary import by_round, has_fused, in_restarts, medians, paired

Bound = Literal["dispatch-bound", "compute-bound", "memory-bound", "collective-bound", "near no limit"]
"""near no limit: compute is the largest part, and far from the peak of products and from that of memory."""
# A limit bounds a step of which it is this share at least.
NEAR = 0.5

WHAT_TO_TRY: dict[Bound, str] = {
    "dispatch-bound": "fuse steps (lax.scan), take a larger batch, or train an ensemble in one program",
    "compute-bound": "a smaller dtype, or more devices",
    "memory-bound": "fuse operations, take a smaller dtype or a larger batch: each byte has to be used more often",
    "collective-bound": "a larger batch on each device, fewer and larger collectives, or an ensemble, which has none",
    "near no limit": "larger operations (a larger batch, a wider network, an ensemble in one program), or fewer",
}


@dataclass(frozen=True)
class Bandwidth:
    """Of the collectives of a step, in bytes a second."""

    algorithm: Estimate
    """What is reduced or gathered, over the time."""
    bus: Estimate
    """What each link has to carry, over the time: what hardware is compared by."""


@dataclass(frozen=True)
class Breakdown:
    """One case. Times in seconds a step; shares from 0 to 1."""

    result: CaseResult
    step_s: Estimate
    compute_s: Estimate
    collectives_s: Estimate | None
    """None: there are none."""
    dispatch_s: Difference
    """What waiting for each step costs beyond its part of one program."""
    rest_s: Difference
    """Of a step in one program, beyond its compute and its collectives; below 0 where these overlap."""
    transfer_s: float
    """Of one batch from the host to its devices, the median of all starts; no part of the step, whose batches lie
    there already."""
    explained: Estimate | None
    """A step in one program over the sum of its compute and its collectives; None without collectives."""
    bandwidth: Bandwidth | None
    product_share: Estimate | None
    """MFU: FLOP/s of the step's matrix products, as a share of what a large one reaches on these devices."""
    stream_share: Estimate | None
    """Bytes a second that the compiler says are accessed, as a share of what a large array's reading and writing
    reaches; over 1 where caches answer."""
    peak_flops_per_s: Estimate | None
    """On one device."""
    stream_bytes_per_s: Estimate | None
    """On one device."""
    bound: Bound | None
    """Of a waited step. None: what remains is the largest part, or it is compute and there is no peak to tell by."""
    bound_within: Bound | None
    """Of a step in one program, which has no dispatch of its own."""
    oversubscribed: bool

    @property
    def product_dtype(self) -> str:
        """Of the large product. Records of before don't say it: what the layers' products are computed in."""
        told = self.result.parts
        return (told and told.product_dtype) or self.result.case.products


def breakdowns(record: Record) -> list[Breakdown]:
    """Of the cases that were taken apart, in the record's order."""
    apart = [r for r in record.cases if r.status == "measured" and r.parts is not None]
    return [found for result in apart if (found := _breakdown(record, result))]


def _breakdown(record: Record, result: CaseResult) -> Breakdown | None:
    within: Kind = "fused" if has_fused(result) else "latency"
    step, one_program = by_round(result, "latency"), by_round(result, within)
    collectives = by_round(result, "collectives")
    compute = by_round(result, "compute") if result.cost and result.cost.collectives else one_program
    if not (step and one_program and compute):
        return None
    dispatch_s = difference(medians({at: t - one_program[at] for at, t in step.items() if at in one_program}))
    rest = {at: one_program[at] - c - collectives.get(at, 0.0) for at, c in compute.items() if at in one_program}
    rest_s, compute_s = difference(medians(rest)), over_restarts(medians(compute))
    collectives_s = over_restarts(medians(collectives)) if collectives else None
    product_share, stream_share = share_of_peak(result, within, "product"), share_of_peak(result, within, "stream")
    arithmetic = _arithmetic(result, product_share, stream_share)
    parts = {
        "collectives": collectives_s.value if collectives_s else 0.0,
        "compute": compute_s.value,
        "rest": rest_s.value,
    }
    return Breakdown(
        result=result,
        step_s=over_restarts(medians(step)),
        compute_s=compute_s,
        collectives_s=collectives_s,
        dispatch_s=dispatch_s,
        rest_s=rest_s,
        transfer_s=statistics.median(start.stages.transfer_s for start in result.starts),
        explained=_explained(result, within),
        bandwidth=_bandwidth(result, collectives_s),
        product_share=product_share,
        stream_share=stream_share,
        peak_flops_per_s=_peak(result, "product"),
        stream_bytes_per_s=_peak(result, "stream"),
        bound=_bound({**parts, "dispatch": dispatch_s.value}, arithmetic),
        bound_within=_bound(parts, arithmetic),
        oversubscribed=oversubscribed(record, result.case),
    )


def _bound(parts: Mapping[str, float], arithmetic: Bound | None) -> Bound | None:
    """What the largest part is bound by."""
    bounds: dict[str, Bound | None] = {
        "dispatch": "dispatch-bound",
        "collectives": "collective-bound",
        "compute": arithmetic,
        "rest": None,
    }
    return bounds[max(parts, key=lambda part: parts[part])]


def _arithmetic(result: CaseResult, product_share: Estimate | None, stream_share: Estimate | None) -> Bound | None:
    """What compute is bound by: the peak that it comes nearer to, if it is near; never memory where caches answer.

    A fast path has no matrix products to come near to their peak, and loops whose bytes are counted once.
    """
    if not by_round(result, "product") or result.case.path == "fast":
        return None
    products, stream = (share.value if share else 0.0 for share in (product_share, stream_share))
    limits: dict[Bound, float] = {"compute-bound": products, "memory-bound": stream if stream <= 1 else 0.0}
    nearest = max(limits, key=lambda bound: limits[bound])
    return nearest if limits[nearest] >= NEAR else "near no limit"


def bus_factor(kind: str, n: int) -> float:
    """What a link carries of each byte, n devices together, as nccl-tests has it (PERFORMANCE.md there)."""
    return {
        "all-reduce": 2 * (n - 1) / n,
        "all-gather": (n - 1) / n,
        "reduce-scatter": (n - 1) / n,
        "all-to-all": (n - 1) / n,
    }.get(kind, 1.0)


def moved_bytes(one: Collective) -> int:
    """Its size as nccl-tests counts it: of all that is reduced or gathered, where the result is a part of it."""
    return one.bytes * one.group_size if one.kind == "reduce-scatter" else one.bytes


def bandwidth(collectives: tuple[Collective, ...], seconds: Estimate) -> Bandwidth:
    """Of all collectives of a step together, in the time that they take alone."""
    moved = sum(moved_bytes(one) for one in collectives)
    carried = sum(moved_bytes(one) * bus_factor(one.kind, one.group_size) for one in collectives)
    return Bandwidth(seconds.inverse().times(moved), seconds.inverse().times(carried))


def _bandwidth(result: CaseResult, seconds: Estimate | None) -> Bandwidth | None:
    collectives = result.cost.collectives if result.cost else ()
    moves = any(moved_bytes(one) and bus_factor(one.kind, one.group_size) for one in collectives if one.group_size)
    return bandwidth(collectives, seconds) if seconds and moves else None


def _explained(result: CaseResult, within: Kind) -> Estimate | None:
    compute, alone = by_round(result, "compute"), by_round(result, "collectives")
    both = {at: compute[at] + alone[at] for at in compute if at in alone}
    return paired(by_round(result, within), both)


def _amount(result: CaseResult, of: Kind, *, all_flops: bool = False) -> tuple[float, float]:
    """What a step does and what one pass of the peak's block does: FLOPs (of products), or bytes; on one device."""
    assert result.cost is not None
    assert result.parts is not None
    if of == "product":
        return result.cost.flops if all_flops else result.cost.product_flops, result.parts.product_flops
    return result.cost.accessed_bytes, result.parts.stream_bytes


def share_of_peak(result: CaseResult, within: Kind, of: Kind, *, all_flops: bool = False) -> Estimate | None:
    """Of a step in that kind of block, the time that its products, or its bytes (`of`: product, stream), would take at
    the rate of the peak's own blocks in the same rounds; None if there are none. With `all_flops`, that all its
    floating-point operations would take at the rate of products."""
    ratio = paired(by_round(result, of), by_round(result, within))
    if ratio is None:
        return None
    step, peak = _amount(result, of, all_flops=all_flops)
    return ratio.times(step / peak) if step and peak else None


def _peak(result: CaseResult, of: Kind) -> Estimate | None:
    seconds = in_restarts(result, of)
    return None if seconds is None else seconds.inverse().times(_amount(result, of)[1])
