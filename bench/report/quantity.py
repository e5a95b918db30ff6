"""Numbers as text, with no more digits than their interval supports; the text knows its number."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TypeVar

from bench.stats import Difference, Estimate

T = TypeVar("T")

_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))
_COUNTS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
_BYTES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))
_FLOPS = tuple((unit, f"{name}FLOP") for unit, name in _COUNTS)
_TICKS = {"s": (_SECONDS, ""), "B": (_BYTES, ""), "FLOP/s": (_FLOPS, "/s"), "1/s": (_COUNTS, "/s")}

DIGITS_WITHOUT_INTERVAL = 2
_LEAST_S = 1e-10
DIGITS_AT_MOST = 4


class Number(str):
    """A text that knows the number behind it, in base units, and the ends of its 95% interval (None: it has none).

    So a table's cell is sorted, and exported, by what it says.
    """

    value: float
    low: float | None
    high: float | None
    unit: str

    def __new__(
        cls, text: str, value: float, low: float | None = None, high: float | None = None, *, unit: str = ""
    ) -> Number:
        made = super().__new__(cls, text)
        made.value, made.low, made.high, made.unit = value, low, high, unit
        return made


def relabelled(number: str, text: str) -> str:
    """Another text for the same number, if it is one."""
    if not isinstance(number, Number):
        return text
    return Number(text, number.value, number.low, number.high, unit=number.unit)


def numbered(unit: str) -> Callable[[Callable[[T], str]], Callable[[T | None], str]]:
    """Decorates what shows a quantity of that unit as text: the text then knows its number; None is shown as empty."""

    def decorate(show: Callable[[T], str]) -> Callable[[T | None], str]:
        def shown(of: T | None) -> str:
            return "" if of is None else Number(show(of), *_numbers(of), unit=unit)

        return functools.wraps(show)(shown)

    return decorate


def _numbers(of: object) -> tuple[float, float | None, float | None]:
    if isinstance(of, Estimate):
        return of.value, of.low, of.high
    if isinstance(of, Difference):
        return (of.value, None, None) if of.half is None else (of.value, of.value - of.half, of.value + of.half)
    assert isinstance(of, int | float)
    return of, None, None


@numbered("s")
def seconds(estimate: Estimate) -> str:
    """A time such as `82 us ±5%`."""
    return _scaled(estimate, _SECONDS)


@numbered("s")
def plain_seconds(value: float) -> str:
    """A time that has no interval, such as `550 ms`."""
    return seconds(Estimate(value, None, None, 1))


@numbered("s")
def difference(of: Difference) -> str:
    """A time of either sign, such as `-12 us ±3 us`, with no more digits than half of its interval has."""
    largest = max(abs(of.value), of.half or 0.0)
    if largest < _LEAST_S:
        return "0 s"
    unit, name = next(((u, n) for u, n in _SECONDS if largest >= u), _SECONDS[-1])
    if of.half is None:
        return f"{'-' * (of.value < 0)}{plain_seconds(abs(of.value))}"
    decimals = max(0, -math.floor(math.log10(of.half / unit))) if of.half else 1
    return f"{of.value / unit:.{decimals}f} ±{of.half / unit:.{decimals}f} {name}"


@numbered("B/s")
def bandwidth(estimate: Estimate) -> str:
    """Bytes a second, such as `9.1 GB/s ±3%`."""
    return _scaled(estimate, _BYTES, "/s")


@numbered("FLOP/s")
def flops(estimate: Estimate) -> str:
    """Floating-point operations a second, such as `110 GFLOP/s ±3%`."""
    return _scaled(estimate, _FLOPS, "/s")


@numbered("1/s")
def rate(estimate: Estimate) -> str:
    """A number a second, such as `5.3 M/s ±2%`."""
    return _scaled(estimate, _COUNTS, "/s")


@numbered("")
def factor(estimate: Estimate) -> str:
    """A ratio such as `1.4x ±3%`."""
    return f"{rounded(estimate.value, digits(estimate))}x{_interval(estimate)}"


@numbered("")
def percent(estimate: Estimate) -> str:
    """A share with the ends of its interval, such as `91% (89 to 92)`."""
    n = digits_of_ends(estimate)
    value, low, high = (x and rounded(100 * x, n) for x in (estimate.value, estimate.low, estimate.high))
    return f"{value}%" if low is None else f"{value}% ({low} to {high})"


@numbered("")
def plain_percent(share: float) -> str:
    """A share that has no interval, such as `3%`."""
    return f"{rounded(100 * share, DIGITS_WITHOUT_INTERVAL)}%"


@numbered("")
def between(estimate: Estimate) -> str:
    """A ratio with the ends of its interval, for sentences: `1.41x (1.37 to 1.45)`."""
    n = digits_of_ends(estimate)
    if estimate.low is None or estimate.high is None:
        return f"{rounded(estimate.value, n)}x (one restart, so no interval)"
    return f"{rounded(estimate.value, n)}x ({rounded(estimate.low, n)} to {rounded(estimate.high, n)})"


@numbered("")
def count(number: int) -> str:
    """As many as there are, such as `4096`."""
    return str(number)


@numbered("B")
def size(count: int) -> str:
    """Bytes, such as `26 MB`."""
    return _in_units(count, DIGITS_WITHOUT_INTERVAL, _BYTES)


def on_axis(value: float, unit: str) -> str:
    """A tick of a quantity in that unit, such as `10 us`; `x` is a ratio, and `%` a share."""
    if unit in ("", "x", "%"):
        return f"{100 * value if unit == '%' else value:.4g}{unit}"
    units, suffix = _TICKS[unit]
    size, name = next(((u, n) for u, n in units if abs(value) >= u * (1 - 1e-9)), units[-1])
    return f"{value / size:.4g} {name}{suffix}" if value else "0"


def digits(estimate: Estimate) -> int:
    """Significant digits that the interval supports: down to the first one of half its width, as 140 of 144.9 ±20%.

    So what is shown is never off by more than half of that.
    """
    if estimate.spread is None:
        return DIGITS_WITHOUT_INTERVAL
    if estimate.spread <= 0:
        return DIGITS_AT_MOST
    first, uncertain = (math.floor(math.log10(x)) for x in (estimate.value, estimate.value * estimate.spread))
    return min(max(first - uncertain + 1, 1), DIGITS_AT_MOST)


def digits_of_ends(estimate: Estimate) -> int:
    """Significant digits where the ends of the interval stand beside the value: enough to tell them from it."""
    if estimate.spread is None:
        return DIGITS_WITHOUT_INTERVAL + 1
    if estimate.spread <= 0:
        return DIGITS_AT_MOST
    return min(max(math.floor(-math.log10(estimate.spread)) + 2, 2), DIGITS_AT_MOST)


def rounded(value: float, significant: int) -> str:
    """A positive number with so many significant digits, never in scientific notation."""
    nearest = _nearest(value, significant)
    if nearest == 0:
        return "0"
    decimals = significant - 1 - math.floor(math.log10(abs(nearest)))
    return f"{nearest:.{max(decimals, 0)}f}"


def _scaled(estimate: Estimate, units: tuple[tuple[float, str], ...], suffix: str = "") -> str:
    return f"{_in_units(estimate.value, digits(estimate), units)}{suffix}{_interval(estimate)}"


def _in_units(value: float, significant: int, units: tuple[tuple[float, str], ...]) -> str:
    nearest = _nearest(value, significant)
    unit, name = next(((u, n) for u, n in units if nearest >= u), units[-1])
    return f"{rounded(nearest / unit, significant)} {name}"


def _nearest(value: float, significant: int) -> float:
    """With two digits, 9.96 is 10: a decimal fewer, or a larger unit."""
    return float(f"{value:.{significant - 1}e}")


def _interval(estimate: Estimate) -> str:
    if estimate.spread is None:
        return ""
    if estimate.spread > 1:
        return " ±>100%"
    if 0 < estimate.spread < 10**-DIGITS_AT_MOST:
        return f" ±<{100 * 10**-DIGITS_AT_MOST:g}%"
    return f" ±{rounded(100 * estimate.spread, 1 if estimate.spread < 0.1 else 2)}%"
