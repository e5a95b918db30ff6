"""A report as a picture: every case against `single`, with its interval."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench.measured import Kind
from bench.record import Record
from bench.report import names
from bench.report.drawing import COLOURS, limits, reaches
from bench.summary import Summary, summaries

STYLES: dict[Kind, tuple[str, str, str]] = {
    "latency": ("o", COLOURS[0], "each step waited for"),
    "fused": ("D", COLOURS[1], "many steps in one program"),
}


def save(record: Record, path: Path) -> bool:
    """Writes a PNG; False if the record has nothing to compare with `single`."""
    cases = [summary for summary in summaries(record) if summary.speedup]
    workloads = list(dict.fromkeys(summary.case.workload for summary in cases))
    if not cases:
        return False
    groups = [[s for s in cases if s.case.workload == name] for name in workloads]
    heights = [len(group) + 1 for group in groups]
    figure = Figure(figsize=(9, 0.34 * sum(heights) + 1.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
    for ax, name, group in zip(axes, workloads, groups, strict=True):
        _draw(ax, name, group)
    intervals = any(e.low is not None for s in cases for e in s.speedup.values())
    figure.suptitle(
        "Samples a second, as a multiple of single's" + (" (95% interval)" if intervals else " (one restart)"),
        fontsize=12,
    )
    grey = "\ngrey: more simulated devices than cores, which isn't hardware scaling"
    axes[-1].set_xlabel("times single (log scale)" + grey * any(s.oversubscribed for s in cases))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(STYLES), frameon=False)
    figure.savefig(path, dpi=120)
    return True


def _draw(ax: Axes, workload: str, group: list[Summary]) -> None:
    ax.set_title(workload, loc="left", fontsize=11)
    for kind, (marker, colour, label) in STYLES.items():
        offset = -0.14 if kind == "latency" else 0.14
        rows = [(i, s.speedup[kind]) for i, s in enumerate(group) if kind in s.speedup]
        values, places = [e.value for _, e in rows], [i + offset for i, _ in rows]
        ax.errorbar(
            values, places, xerr=reaches([e for _, e in rows]), fmt=marker, color=colour, ms=5, capsize=2, label=label
        )
    for i, summary in enumerate(group):
        if summary.oversubscribed:
            ax.axhspan(i - 0.5, i + 0.5, color="0.9", lw=0)
    ax.axvline(1, color="0.4", lw=1)
    ax.set_xscale("log")
    low, high = limits([estimate for s in group for kind, estimate in s.speedup.items() if kind in STYLES])
    ax.set_xlim(low, high)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 10 * low else (1, 1.2, 1.5, 2, 3, 4, 5, 6, 7, 8)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}x"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_yticks(range(len(group)), [names.label(summary.case) for summary in group], fontsize=9)
    ax.set_ylim(len(group) - 0.5, -0.5)
    ax.grid(axis="x", color="0.85", lw=0.6)
    ax.set_axisbelow(True)
