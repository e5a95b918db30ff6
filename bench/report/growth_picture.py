"""How cost grows as a picture: time over what grows, its limits, and below it the memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from bench.growth import Growth, Limit, Point, Quantity, growths
from bench.measured import Kind
from bench.record import Record
from bench.report import quantity
from bench.report.drawing import COLOURS, MARKERS, grey_beyond, limits, reaches
from bench.report.growth import fixed, in_brackets
from bench.stats import Estimate
from bench.summary import fair_devices

AXES: dict[Quantity, str] = {
    "members": "members",
    "hidden_layers": "hidden layers",
    "hidden_dim": "width of each hidden layer (units)",
    "batch": "global batch (examples)",
    "devices": "devices",
}
LIMIT_STYLES: dict[Limit, tuple[str, str]] = {
    "arithmetic": ("--", "limit: its products at the measured peak FLOP/s"),
    "memory": (":", "limit: its bytes at the measured bandwidth"),
    "dispatch": ("-.", "limit of a step that is waited for: one dispatch"),
}
HOW: dict[Kind, str] = {"fused": "many in one program", "latency": "each waited for"}
# Labels nearer to each other than this share of the axis would overlap.
TICKS_APART = 0.065
# Of an axis, so that two of 1, 2 and 5 are on it.
LEAST_SPAN = 6.0


def save(record: Record, path: Path, over: Quantity) -> bool:
    """Writes a PNG; False if the record has no series over that quantity."""
    found = [one for one in growths(record) if one.quantity == over]
    if not found:
        return False
    draw(found, fair_devices(record)).savefig(path, dpi=110)
    return True


def draw(found: Sequence[Growth], fair: int) -> Figure:
    """Series over one quantity: a column for each workload, time above memory."""
    workloads = list(dict.fromkeys(one.case.workload for one in found))
    columns = [[one for one in found if one.case.workload == name] for name in workloads]
    labels = {id(one): _label(one, some) for some in columns for one in some}
    numbers = {label: i for i, label in enumerate(dict.fromkeys(labels.values()))}
    keys = [Line2D([], [], label=label, **_style(i)) for label, i in numbers.items()] + _limit_keys(found)
    figure = Figure(figsize=(max(7.5, 6.0 * len(columns)), 7.4 + 0.12 * len(keys)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(2, len(columns), squeeze=False, sharex="col", height_ratios=(3, 2))
    for time, memory, name, some in zip(*grid, workloads, columns, strict=True):
        time.set_title(in_brackets(name, _common(some)), loc="left", fontsize=11)
        for one in some:
            _draw(time, memory, one, numbers[labels[id(one)]])
        _scales(time, memory, some, fair)
    figure.legend(handles=keys, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def _label(one: Growth, some: Sequence[Growth]) -> str:
    """The mode, and what not all of the series drawn together have."""
    own = [said for said in fixed(one) if said not in _common(some)]
    shared = ["oversubscribed"] * (one.quantity != "devices" and not one.fair)
    how = [] if _how(some) else [HOW[one.kind]]
    return ", ".join([one.mode, *own, *how, *shared])


def _common(some: Sequence[Growth]) -> list[str]:
    return [said for said in fixed(some[0]) if all(said in fixed(one) for one in some)]


def _style(number: int) -> dict[str, Any]:
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)], "ms": 5, "lw": 1.4}


def _limit_keys(found: Sequence[Growth]) -> list[Line2D]:
    points = [point for one in found for point in one.points]
    there = [key for limit, key in LIMIT_STYLES.items() if any(_limit_s(point, limit) for point in points)]
    if not there:
        return [Line2D([], [], lw=0, label="no limit lines: measured without --parts")]
    return [Line2D([], [], color="0.35", lw=1.2, ls=dashes, label=label) for dashes, label in there]


def _limit_s(point: Point, limit: Limit) -> float | None:
    """Seconds; a dispatch is shown beside steps of one program, too, which have none, for what waiting would add."""
    return point.dispatch_s if limit == "dispatch" else point.limit_s(limit)


def _draw(time: Axes, memory: Axes, one: Growth, number: int) -> None:
    """A series: its times with intervals, its limits as thin lines of its colour, its memory."""
    values, style = [point.value for point in one.points], _style(number)
    steps = [point.step_s for point in one.points]
    time.errorbar(values, [e.value for e in steps], reaches(steps), capsize=2, **style)
    for limit, (dashes, _) in LIMIT_STYLES.items():
        limits_s = [_limit_s(point, limit) or math.nan for point in one.points]
        time.plot(values, limits_s, ls=dashes, color=style["color"], lw=1.2, marker=".", ms=3)
    memory.plot(values, [point.peak_bytes for point in one.points], **style)


def _scales(time: Axes, memory: Axes, some: Sequence[Growth], fair: int) -> None:
    """Logarithmic axes with units; grey where devices share cores."""
    points = [point for one in some for point in one.points]
    limits_s = [_exact(s) for point in points for limit in LIMIT_STYLES if (s := _limit_s(point, limit))]
    _scale(time, [*limits_s, *(point.step_s for point in points)], "s")
    _scale(memory, [_exact(point.peak_bytes) for point in points], "B")
    values = sorted({point.value for point in points})
    shown, margin = _apart(values), (values[-1] / values[0]) ** 0.05
    for ax in (time, memory):
        ax.set_xscale("log", base=2)
        ax.set_xlim(values[0] / margin, values[-1] * margin)
        ax.set_xticks(shown, [str(value) for value in shown])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.tick_params(labelbottom=ax is memory)
        ax.grid(color="0.88", lw=0.6)
        ax.set_axisbelow(True)
    if some[0].quantity == "devices":
        grey_beyond(time, values, fair)
    memory.set_xlabel(AXES[some[0].quantity])
    intervals = any(point.step_s.low is not None for point in points)
    time.set_ylabel(f"time of a step{_how(some)}" + "\n95% intervals" * intervals)
    memory.set_ylabel("peak memory of one device")


def _scale(ax: Axes, drawn: Sequence[Estimate], unit: str) -> None:
    """A logarithmic axis of seconds or bytes with room for what is drawn; ticks at 1, 2 and 5, or at 1 alone."""
    low, high = limits(drawn, least=LEAST_SPAN)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [n * 10.0**k for k in decades for n in ((1,) if high > 100 * low else (1, 2, 5))]
    ax.set_ylim(low, high)
    ax.set_yscale("log")
    ax.set_yticks([tick for tick in ticks if low <= tick <= high])
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: quantity.on_axis(y, unit)))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _how(some: Sequence[Growth]) -> str:
    """What steps all series are of; empty if that differs."""
    same = all(one.kind == some[0].kind for one in some)
    return f", {HOW[some[0].kind]}" if same else ""


def _exact(value: float) -> Estimate:
    return Estimate(value, None, None, 1)


def _apart(values: Sequence[int]) -> list[int]:
    """The values whose labels have room beside each other on a logarithmic axis."""
    least = TICKS_APART * math.log(values[-1] / values[0])
    shown = [values[0]]
    for value in values[1:]:
        if math.log(value / shown[-1]) >= least:
            shown.append(value)
    return shown
