"""The scatter of step-time ratios, drawn: of independent runs, and of live workers asked in turn."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.report.quantity import rounded
from bench.validate.real import Case, Real

INDEPENDENT, PAIRED = "#D55E00", "#0072B2"  # of Okabe and Ito's palette


def independent(cases: Sequence[Case]) -> list[float]:
    """Log-ratios of B's median step in one comparison over A's in the one before, which weren't alive together."""
    return [
        math.log(statistics.median(one.b_s)) - math.log(statistics.median(other.a_s))
        for other, one in itertools.pairwise(cases)
    ]


def scatter(found: Real, path: Path) -> bool:
    """Writes a PNG of the A/A comparisons; False if there are fewer than three."""
    cases = [case for case in found.cases if case.planted.share == 0]
    if len(cases) < 3:
        return False
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    _draw(above, "independent runs: B of one comparison against A of the one before", independent(cases), INDEPENDENT)
    paired = [log for case in cases for log in case.logs]
    _draw(below, "the same work, paired: live workers asked in turn, each restart of them", paired, PAIRED)
    below.set_xlabel("B's step time against A's, which is the same program (%)")
    figure.savefig(path, dpi=120)
    return True


def _draw(ax: Axes, title: str, logs: Sequence[float], colour: str) -> None:
    spread = rounded(100 * statistics.stdev(logs), 2)
    ax.set_title(f"{title} (n = {len(logs)}, standard deviation {spread}%)", loc="left", fontsize=10)
    heights = [(7 * i % 11) / 10 for i in range(len(logs))]  # spread out, so that points don't hide each other
    ax.plot([100 * math.expm1(log) for log in logs], heights, "o", ms=3.5, mew=0, alpha=0.6, color=colour)
    ax.axvline(0, color="0.4", lw=1)
    ax.set_yticks([])
    ax.grid(axis="x", color="0.85", lw=0.6)
    ax.set_axisbelow(True)
