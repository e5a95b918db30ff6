"""Scaling, and where the time goes, as tables and sentences; and projections, which are a report of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.breakdown import WHAT_TO_TRY, Bound, Breakdown
from bench.cases import Case
from bench.record import CaseResult, Record
from bench.report import quantity, spread
from bench.report.document import Column, Table
from bench.report.names import in_prose
from bench.scaling import Point, Series
from bench.stats import Difference, Estimate
from bench.summary import in_restarts

SCALING_COLUMNS = (
    Column("scaling", numeric=False),
    Column("mode", numeric=False),
    Column("devices"),
    Column("members", expendable=3, tells=True),
    Column("batch"),
    Column("step", expendable=1),
    Column("speed-up"),
    Column("efficiency"),
    Column("of cores", expendable=2),
    Column("remarks", numeric=False),
)
PARTS_COLUMNS = (
    Column("mode", numeric=False),
    Column("devices"),
    Column("members", expendable=4, tells=True),
    Column("batch", expendable=3, tells=True),
    Column("step"),
    Column("compute"),
    Column("collectives", expendable=1),
    Column("dispatch", expendable=1),
    Column("rest", expendable=2),
    Column("transfer", expendable=5),
    Column("explained", expendable=3),
    Column("collectives of a step", expendable=6, numeric=False),
    Column("algorithm", expendable=5),
    Column("bus", expendable=2),
    Column("MFU", expendable=1),
    Column("memory", expendable=1),
    Column("bound", numeric=False),
    Column("in one program", expendable=2, numeric=False),
    Column("remarks", numeric=False),
)
SCALING_LEGEND = (
    "scaling: T(n) is the time of a step on n devices, of one program where every case has it, else waited for. "
    "strong: the batch (of ensembles, the members) is fixed; speed-up T(1) / T(n), efficiency T(1) / (n T(n)). weak: "
    "each device has as much as the one; efficiency T(1) / T(n), speed-up n T(1) / T(n). of cores: the speed-up over "
    "min(n, cores). Both were asked in turn; 95% intervals from restarts."
)
PARTS_LEGEND = (
    "where the time goes: step, waited for = compute (the same program without its collectives) + collectives (they "
    "alone) + dispatch (what waiting costs beyond a step of one program) + rest (below 0: overlap), each with its "
    "share. transfer: a batch from the host, no part of the step. explained: a step of one program over compute + "
    "collectives. algorithm, bus: bytes of collectives a "
    "second, as nccl-tests reckons them. MFU: the step's matrix products, as a share of a large one's FLOP/s on the "
    "same devices. memory: bytes that the compiler counts as accessed, as a share of what reading and writing a large "
    "array reaches there; over 100% where caches answer. bound: the largest part of a waited step; in one program: of "
    "one without dispatch; near no limit: it is compute, and reaches half of neither peak."
)


def scaling_tables(record: Record, found: Sequence[Series]) -> list[Table]:
    """One for each workload."""
    workloads = dict.fromkeys(series.base.case.workload for series in found)
    return [
        spread.shown(
            record,
            f"{name}: strong and weak scaling",
            SCALING_COLUMNS,
            [row for series in found if series.base.case.workload == name for row in _series(record, series)],
        )
        for name in workloads
    ]


def _series(record: Record, series: Series) -> list[tuple[str, ...]]:
    case = series.base.case
    what = (series.scaling, series.mode, quantity.count(1), *spread.counts(record, case))
    sizes = (quantity.count(case.members), quantity.count(case.batch))
    step = quantity.seconds(in_restarts(series.base, series.kind))
    one, whole = quantity.Number("1x", 1.0), quantity.Number("100%", 1.0)
    base = (*what, *sizes, step, one, whole, "", "", whole, _remarks(case))
    return [base, *(_point(record, series, point) for point in series.points)]


def _point(record: Record, series: Series, point: Point) -> tuple[str, ...]:
    case = point.result.case
    return (
        series.scaling,
        series.mode,
        quantity.Number(case.mesh, case.devices),
        *spread.counts(record, case),
        quantity.count(case.members),
        quantity.count(case.batch),
        quantity.seconds(in_restarts(point.result, series.kind)),
        quantity.factor(point.speedup),
        quantity.percent(point.efficiency),
        quantity.percent(point.within),
        quantity.percent(point.over),
        quantity.percent(point.of_cores),
        _remarks(case, oversubscribed=point.oversubscribed),
    )


def _remarks(case: Case, *, oversubscribed: bool = False) -> str:
    return ", ".join([*case.variant, *["oversubscribed"] * oversubscribed])


def parts_tables(record: Record, found: Sequence[Breakdown]) -> list[Table]:
    """One for each workload."""
    workloads = dict.fromkeys(one.result.case.workload for one in found)
    return [
        spread.shown(
            record,
            f"{name}: where the time goes",
            PARTS_COLUMNS,
            [_parts(record, one) for one in found if one.result.case.workload == name],
        )
        for name in workloads
    ]


def _parts(record: Record, one: Breakdown) -> tuple[str, ...]:
    case, step_s = one.result.case, one.step_s.value

    def part(value: Estimate | Difference | None) -> str:
        if value is None:
            return ""
        shown = quantity.seconds(value) if isinstance(value, Estimate) else quantity.difference(value)
        return quantity.relabelled(shown, f"{shown} ({100 * value.value / step_s:.0f}%)")

    return (
        case.mode + (" deterministic" if case.deterministic else ""),
        quantity.Number(case.mesh, case.devices),
        *spread.counts(record, case),
        quantity.count(case.members),
        quantity.count(case.batch),
        quantity.seconds(one.step_s),
        part(one.compute_s),
        part(one.collectives_s),
        part(one.dispatch_s),
        part(one.rest_s),
        quantity.plain_seconds(one.transfer_s),
        quantity.factor(one.explained),
        _collectives(one),
        quantity.bandwidth(one.bandwidth.algorithm if one.bandwidth else None),
        quantity.bandwidth(one.bandwidth.bus if one.bandwidth else None),
        quantity.percent(one.product_share),
        quantity.percent(one.stream_share),
        one.bound or "",
        one.bound_within or "",
        _remarks(case, oversubscribed=one.oversubscribed),
    )


def _collectives(one: Breakdown) -> str:
    assert one.result.cost is not None
    return ", ".join(
        f"{c.count} {c.kind} of {quantity.size(c.bytes)} over {c.group_size}" for c in one.result.cost.collectives
    )


def scaling_sentences(record: Record, found: Sequence[Series]) -> list[str]:
    """How each series scales, as far as each device has a core of its own; formulas stand in the legend."""
    return [_scales(record, series, point) for series in found for point in series.points if not point.oversubscribed]


def _scales(record: Record, series: Series, point: Point) -> str:
    base, case = series.base.case, point.result.case
    what = f"{case.members} members" if base.members > 1 else f"a batch of {case.batch}"
    how = "a step of one program" if series.kind == "fused" else "a waited step"
    devices = f"{case.devices} devices{spread.over(record, case)}"
    efficiency = quantity.percent(point.efficiency)
    if series.scaling == "strong":
        return (
            f"{case.workload}: {case.mode} with {what} over {devices} makes {how} "
            f"{quantity.between(point.speedup)} as fast: {efficiency} parallel efficiency (strong scaling)."
        )
    return (
        f"{case.workload}: {case.mode} with {what} on {devices}, as much for each as the one has, does "
        f"{quantity.between(point.speedup)} the work in the same time: {efficiency} parallel efficiency (weak scaling)."
    )


def parts_sentences(found: Sequence[Breakdown]) -> list[str]:
    """What bounds the cases, by workload, and what to try; and what the devices reach at most."""
    said = []
    fair = [one for one in found if not one.oversubscribed]
    for workload in dict.fromkeys(one.result.case.workload for one in fair):
        own = [one for one in fair if one.result.case.workload == workload]
        bounds: list[Bound] = list(dict.fromkeys(one.bound for one in own if one.bound))
        for bound in bounds:
            cases = [in_prose(one.result.case, batch=True) for one in own if one.bound == bound]
            said.append(f"{workload}: a waited step is {bound}: {'; '.join(cases)}. To try: {WHAT_TO_TRY[bound]}.")
        said += _peaks(workload, own)
    return said


def _peaks(workload: str, own: Sequence[Breakdown]) -> Iterator[str]:
    """Of the first case on one device in each dtype."""
    first: dict[str, Breakdown] = {}
    for one in own:
        if one.result.case.devices == 1 and one.peak_flops_per_s and one.stream_bytes_per_s:
            first.setdefault(one.product_dtype, one)
    for dtype, one in first.items():
        product, stream = quantity.flops(one.peak_flops_per_s), quantity.bandwidth(one.stream_bytes_per_s)
        rounded = one.result.certificate.products if one.result.certificate else ""
        how = f" (rounded to {rounded})" if dtype == "float32" and rounded not in ("", dtype) else ""
        yield (
            f"{workload}: one device reaches {product} in a large matrix product of {dtype}{how}, and {stream} in "
            "reading and writing a large array."
        )


def not_apart_sentences(results: Sequence[CaseResult]) -> list[str]:
    """Which cases couldn't be taken apart, and why."""
    whys = dict.fromkeys(result.parts.why_not for result in results if result.parts and result.parts.why_not)
    named = {why: [r.case.name for r in results if r.parts and r.parts.why_not == why] for why in whys}
    return [f"Not taken apart: {', '.join(names)}: {why}." for why, names in named.items()]
