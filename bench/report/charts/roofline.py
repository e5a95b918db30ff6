"""The roofline (Williams, Waterman and Patterson 2009): FLOP/s over arithmetic intensity, under measured peaks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import altair as alt

from bench.breakdown import Breakdown, breakdowns
from bench.record import CaseResult, Record
from bench.report import names, quantity
from bench.report.charts import axes
from bench.report.charts.axes import same
from bench.report.charts.view import GREY, bounds, by_workload, chart, colour, drawn, shape, table, tips
from bench.report.document import Chart
from bench.stats import Estimate
from bench.summary import has_fused, in_restarts

# How far the axis reaches beyond the points and the ridge.
MARGIN = 2.0
# Of the axis above the roof, for what is written on it.
HEADROOM = 2.0


@dataclass(frozen=True)
class Roofs:
    """What one device reaches at most, in FLOPs and bytes a second."""

    flops_per_s: Estimate
    bytes_per_s: Estimate

    @property
    def ridge(self) -> float:
        """The intensity, in FLOPs a byte, from which arithmetic bounds rather than memory."""
        return self.flops_per_s.value / self.bytes_per_s.value


@dataclass(frozen=True)
class Spot:
    """What a step does on one device."""

    result: CaseResult
    intensity: float
    """FLOPs a byte that the compiler counts as accessed."""
    flops_per_s: Estimate


def charts(record: Record) -> list[Chart]:
    """Of each workload, and each dtype of its products, whose peaks were measured on one device."""
    found = [one for one in breakdowns(record) if not one.oversubscribed]
    drawn = [
        (name if len(by_dtype) == 1 else f"{name} in {dtype}", roofs, spots)
        for _, name, own in by_workload(record, found, lambda one: one.result.case)
        for by_dtype in [_by_dtype(own)]
        for dtype, some in by_dtype.items()
        if (roofs := _roofs(some)) and (spots := list(_spots(some)))
    ]
    return [_chart(number, *one) for number, one in enumerate(drawn, start=1)]


def _by_dtype(own: Sequence[Breakdown]) -> dict[str, list[Breakdown]]:
    """By that of the product whose FLOP/s were measured beside them: a roof is no limit in another."""
    found: dict[str, list[Breakdown]] = {}
    for one in own:
        found.setdefault(one.product_dtype, []).append(one)
    return found


def _roofs(some: Sequence[Breakdown]) -> Roofs | None:
    """Of the first case on one device that has both."""
    for one in some:
        if one.result.case.devices == 1 and one.peak_flops_per_s and one.stream_bytes_per_s:
            return Roofs(one.peak_flops_per_s, one.stream_bytes_per_s)
    return None


def _spots(some: Sequence[Breakdown]) -> Iterator[Spot]:
    """Of the steps whose FLOPs and bytes are both counted: loops count their bytes once, so they are left out."""
    for one in some:
        result, cost = one.result, one.result.cost
        step_s = in_restarts(result, "fused" if has_fused(result) else "latency")
        loops = result.case.path == "fast" or (cost is not None and cost.unknown_loops)
        if cost and step_s and not loops and cost.flops > 0 and cost.accessed_bytes > 0:
            yield Spot(result, cost.flops / cost.accessed_bytes, step_s.inverse().times(cost.flops))


def _chart(number: int, name: str, roofs: Roofs, spots: Sequence[Spot]) -> Chart:
    title = f"{name}: roofline of one device"
    modes = list(dict.fromkeys(spot.result.case.mode for spot in spots))
    points = [
        {
            "series": spot.result.case.mode,
            "case": names.label(spot.result.case, batch=True),
            "x": spot.intensity,
            "y": spot.flops_per_s.value,
            **bounds(spot.flops_per_s),
            "text": quantity.flops(spot.flops_per_s),
            "intensity": _intensity(spot.intensity),
        }
        for spot in spots
    ]
    ends = [spot.intensity for spot in spots] + [roofs.ridge]
    low, high = min(ends) / MARGIN, MARGIN * max(ends)
    edges = [
        Estimate(value, None, None, 1) for value in (roofs.bytes_per_s.value * low, HEADROOM * roofs.flops_per_s.value)
    ]
    x = alt.X("x:Q", **axes.between("FLOPs a byte accessed (log scale)", "", low, high, {}))
    y = alt.Y(
        "y:Q",
        **axes.logarithmic("FLOP/s (log scale)", "FLOP/s", [*(s.flops_per_s for s in spots), *edges]),
    )
    base = drawn(points).encode(
        x=x, color=colour(modes), tooltip=tips(case="case", text="does", intensity="FLOPs a byte")
    )
    layers = [
        *_lines(roofs, low, high, x, y),
        base.transform_filter("isValid(datum.low)").mark_rule().encode(y=same(y, "low"), y2="high:Q"),
        base.mark_point(filled=True, size=60, opacity=1).encode(y=y, shape=shape(modes)),
    ]
    product, array = quantity.flops(roofs.flops_per_s), quantity.bandwidth(roofs.bytes_per_s)
    said = (
        f"FLOP/s of steps of {name} on one device over their FLOPs a byte accessed, under what a large product "
        f"({product}) and a large array ({array}) reach. Above the latter, caches answer."
    )
    shown = [(point["case"], point["intensity"], point["text"]) for point in points]
    return chart(f"roofline-{number}", title, said, table(title, ("case", "FLOPs a byte", "FLOP/s"), shown), layers)


def _lines(roofs: Roofs, low: float, high: float, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    peak = roofs.flops_per_s.value
    corners = [(low, low * roofs.bytes_per_s.value), (roofs.ridge, peak), (high, peak)]
    roof = drawn([{"x": at, "y": value} for at, value in corners]).encode(x=x, y=y)
    product = drawn([{"x": high, "y": peak, "text": f"large product: {quantity.flops(roofs.flops_per_s)}"}])
    array = drawn([{"x": low, "y": corners[0][1], "text": f"large array: {quantity.bandwidth(roofs.bytes_per_s)}"}])
    words = {"x": x, "y": y, "text": alt.Text("text:N")}
    return [
        roof.mark_line(color=GREY, strokeDash=[6, 4], strokeWidth=1.5, clip=True),
        product.mark_text(align="right", baseline="bottom", dx=-4, dy=-4, fontSize=10).encode(**words),
        array.mark_text(align="left", baseline="top", dx=10, dy=6, fontSize=10).encode(**words),
    ]


def _intensity(value: float) -> str:
    return quantity.Number(quantity.rounded(value, 2), value)
