"""Scaling as a picture: efficiency over devices by workload, and where the time of a step goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullLocator

from bench.breakdown import Breakdown, breakdowns
from bench.record import Record
from bench.report import names
from bench.report.drawing import COLOURS, MARKERS, grey_beyond, reaches
from bench.scaling import Series, series
from bench.stats import Estimate
from bench.summary import fair_devices

# From an axis down to its legend.
LEGEND_INCHES = 0.55
PARTS = (
    ("compute", "#0072B2", ""),
    ("collectives", "#D55E00", "//"),
    ("dispatch", "#E69F00", ".."),
    ("rest", "#999999", "xx"),
)


def save(record: Record, path: Path) -> bool:
    """Writes a PNG; False if the record has no scaling and no parts."""
    scaled, apart = series(record), breakdowns(record)
    workloads = list(dict.fromkeys([s.base.case.workload for s in scaled] + [b.result.case.workload for b in apart]))
    if not record.schedule.parts or not workloads:
        return False
    bars = [[b for b in apart if b.result.case.workload == name] for name in workloads]
    heights = [max(3.2, 0.3 * len(some) + 1.2) for some in bars]
    figure = Figure(figsize=(12, sum(heights) + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(workloads), 2, squeeze=False, height_ratios=heights)
    for (left, right), name, some, height in zip(grid, workloads, bars, heights, strict=True):
        below_axes = -LEGEND_INCHES / height
        own = [s for s in scaled if s.base.case.workload == name]
        _efficiency(left, name, own, fair_devices(record), below_axes)
        _stacks(right, name, some, below_axes)
    figure.savefig(path, dpi=110)
    return True


def _efficiency(ax: Axes, workload: str, some: Sequence[Series], fair: int, below_axes: float) -> None:
    """Efficiency of each series with its interval; grey where devices share cores."""
    ax.set_title(f"{workload}: parallel efficiency", loc="left", fontsize=11)
    counts = sorted({1, *(point.devices for one in some for point in one.points)})
    grey_beyond(ax, counts, fair)
    for i, one in enumerate(some):
        devices = [1, *(point.devices for point in one.points)]
        found = [Estimate(1.0, None, None, 1), *(point.efficiency for point in one.points)]
        values = [e.value for e in found]
        style = "-" if one.scaling == "strong" else "--"
        marker, colour = MARKERS[i % len(MARKERS)], COLOURS[i % len(COLOURS)]
        ax.errorbar(
            devices, values, reaches(found), fmt=marker + style, color=colour, ms=5, capsize=2, label=_series(one)
        )
    ax.axhline(1, color="0.4", lw=1)
    ax.set_xscale("log", base=2)
    ax.set_xticks(counts, [str(n) for n in counts])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_ylim(0, 1.18 * max([1.0, *(point.efficiency.value for one in some for point in one.points)]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:.0f}%"))
    ax.set_xlabel("devices (95% intervals; the line at 100% is ideal)")
    ax.grid(color="0.88", lw=0.6)
    if some:
        ax.legend(fontsize=8, frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, below_axes))


def _series(one: Series) -> str:
    case = one.base.case
    what = f"{case.members} members" if case.members > 1 else f"batch {case.batch}"
    return f"{one.mode}, {one.scaling}, {what}" + (" a device" if one.scaling == "weak" else "")


def _stacks(ax: Axes, workload: str, some: Sequence[Breakdown], below_axes: float) -> None:
    """Each case's parts, as shares of its step; what overlaps stands left of 0."""
    ax.set_title(f"{workload}: where the time of a step goes", loc="left", fontsize=11)
    for row, one in enumerate(some):
        start = 0.0
        for name, colour, hatch in PARTS:
            share = _seconds(one, name) / one.step_s.value
            left = start if share >= 0 else 0.0
            ax.barh(row, share, left=left, color=colour, hatch=hatch, edgecolor="white", lw=0.4, height=0.72)
            start += max(share, 0.0)
        if one.oversubscribed:
            ax.axhspan(row - 0.5, row + 0.5, color="0.92", lw=0, zorder=0)
    ax.set_yticks(range(len(some)), [names.label(one.result.case, batch=True) for one in some], fontsize=8)
    ax.set_ylim(len(some) - 0.5, -0.5)
    ax.axvline(1, color="0.4", lw=1)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:.0f}%"))
    grey = "; grey rows: oversubscribed" * any(one.oversubscribed for one in some)
    ax.set_xlabel(f"share of a waited step{grey}")
    shares = [[_seconds(one, name) / one.step_s.value for name, *_ in PARTS] for one in some]
    ax.set_xlim(min([0.0, *(min(row) for row in shares)]) - 0.02, max([1.0, *(sum(row) for row in shares)]) + 0.1)
    keys = [Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=name) for name, colour, hatch in PARTS]
    ax.legend(
        handles=keys, fontsize=8, frameon=False, ncols=len(PARTS), loc="upper center", bbox_to_anchor=(0.5, below_axes)
    )


def _seconds(one: Breakdown, part: str) -> float:
    if part == "compute":
        return one.compute_s.value
    if part == "collectives":
        return one.collectives_s.value if one.collectives_s else 0.0
    return one.dispatch_s.value if part == "dispatch" else one.rest_s.value
