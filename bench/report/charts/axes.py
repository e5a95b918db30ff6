"""Axes whose ticks read as numbers do in tables, with their units."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import altair as alt

from bench.report import quantity
from bench.stats import Estimate

Axis = TypeVar("Axis", alt.X, alt.Y)

TICKS_AT_MOST = 7
# A title above its axis, where it takes no width.
ABOVE = {"titleAngle": 0, "titleAlign": "left", "titleAnchor": "end", "titleX": 0, "titleY": -8}
# From here on, ticks are as far apart as 1, 2 and 5.
FAR = 8.0


def logarithmic(
    title: str, unit: str, found: Sequence[Estimate], *, least: float = 1.0, style: Mapping[str, Any] = ABOVE
) -> dict[str, Any]:
    """A scale that has room for them, and its axis."""
    return between(title, unit, *limits(found, least), style)


def between(title: str, unit: str, low: float, high: float, style: Mapping[str, Any] = ABOVE) -> dict[str, Any]:
    """A logarithmic scale from one end to the other, and its axis."""
    return {"scale": alt.Scale(type="log", domain=[low, high]), "axis": _axis(title, unit, ticks(low, high), style)}


def linear(title: str, unit: str, low: float, high: float, style: Mapping[str, Any] = ABOVE) -> dict[str, Any]:
    """A scale from one end to the other, and its axis."""
    evenly = _evenly(low, high)
    return {"scale": alt.Scale(domain=[low, high], nice=False), "axis": _axis(title, unit, evenly, style)}


def counts(title: str, values: Sequence[int]) -> dict[str, Any]:
    """A logarithmic scale with a tick at each of the values, which are given in rising order."""
    axis = alt.Axis(title=title, values=list(values), format=",", labelOverlap="greedy", grid=False)
    return {"scale": alt.Scale(type="log", base=2, domain=list(ends(values))), "axis": axis}


def ends(values: Sequence[int]) -> tuple[float, float]:
    """Of a logarithmic axis, with room beside the least and the greatest of the values."""
    margin = max((values[-1] / values[0]) ** 0.06, 1.08)
    return values[0] / margin, values[-1] * margin


def limits(found: Sequence[Estimate], least: float = 1.0) -> tuple[float, float]:
    """The ends of a logarithmic axis: room for every value, and for its interval as far as that is no wider than the
    values are apart; the greater end is `least` times the other, or more."""
    lowest, highest = min(e.value for e in found), max(e.value for e in found)
    room = max(highest / lowest, 2.0) ** 0.5
    low = max(min(e.low or e.value for e in found), lowest / room)
    high = min(max(e.high or e.value for e in found), highest * room)
    margin = max(1.07 * (high / low) ** 0.03, (least * low / high) ** 0.5)
    return low / margin, high * margin


def ticks(low: float, high: float) -> list[float]:
    """Round numbers between the ends of a logarithmic axis."""
    if high < FAR * low:
        return _evenly(low, high)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1,)):
        found = [float(f"{digit}e{decade}") for decade in decades for digit in digits]
        shown = [tick for tick in found if low <= tick <= high]
        if len(shown) <= TICKS_AT_MOST:
            return shown
    return shown[:: math.ceil(len(shown) / TICKS_AT_MOST)]


def same(channel: Axis, field: str) -> Axis:
    """The same axis for another field of a row."""
    other = channel.copy()
    other.shorthand = f"{field}:Q"
    return other


def _evenly(low: float, high: float) -> list[float]:
    rough = (high - low) / TICKS_AT_MOST
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= rough)
    return [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _axis(title: str, unit: str, at: Sequence[float], style: Mapping[str, Any]) -> alt.Axis:
    """Labels are written here, so that a tick reads as a number in a table; they are of numbers alone."""
    labels = [quantity.on_axis(tick, unit) for tick in at]
    shown = f"{json.dumps(labels)}[indexof({json.dumps(list(at))}, datum.value)]"
    return alt.Axis(title=title, values=list(at), labelExpr=shown, labelOverlap="greedy", **style)
