"""What several pictures draw alike."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from bench.stats import Estimate

# Okabe and Ito's palette, told apart by the colour-blind; markers and hatches differ as well.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX*"


def reaches(found: Sequence[Estimate]) -> tuple[list[float], list[float]]:
    """How far the intervals reach below and above their values; 0 where there is none."""
    return [e.value - (e.low or e.value) for e in found], [(e.high or e.value) - e.value for e in found]


def grey_beyond(ax: Axes, counts: Sequence[int], fair: int) -> None:
    """Shades the numbers of devices, in rising order on a logarithmic axis, that share cores."""
    others = [n for n in counts if n > fair]
    if not others:
        return
    between = (max(n for n in counts if n <= fair) * others[0]) ** 0.5 if counts[0] <= fair else others[0] / 1.3
    ax.axvspan(between, counts[-1] * 1.3, color="0.92", lw=0)
    at = {"x": 0.97, "y": 0.97, "ha": "right", "va": "top", "transform": ax.transAxes}
    ax.text(s="oversubscribed: not hardware scaling", fontsize=8, color="0.35", **at)


def limits(found: Sequence[Estimate], least: float = 1.0) -> tuple[float, float]:
    """The ends of a logarithmic axis: room for every value, and for its interval as far as that is no wider than the
    values are apart; the greater end is `least` times the other, or more."""
    lowest, highest = min(e.value for e in found), max(e.value for e in found)
    room = max(highest / lowest, 2.0) ** 0.5
    low = max(min(e.low or e.value for e in found), lowest / room)
    high = min(max(e.high or e.value for e in found), highest * room)
    margin = max(1.07 * (high / low) ** 0.03, (least * low / high) ** 0.5)
    return low / margin, high * margin
