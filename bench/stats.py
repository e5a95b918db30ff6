"""Summaries and intervals, from restarts; no I/O, no JAX."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A positive quantity, its 95% interval, and how many restarts it comes from."""

    value: float
    low: float | None
    high: float | None
    restarts: int

    @property
    def spread(self) -> float | None:
        """Half the interval's width, relative to the value: 0.05 for 5%; None without an interval."""
        if self.low is None or self.high is None:
            return None
        return math.sqrt(self.high / self.low) - 1

    def inverse(self) -> Estimate:
        """Of one over the quantity."""
        low, high = (None if bound is None else 1 / bound for bound in (self.high, self.low))
        return Estimate(1 / self.value, low, high, self.restarts)

    def times(self, factor: float) -> Estimate:
        """Of the quantity times a known positive factor."""
        low, high = (None if bound is None else bound * factor for bound in (self.low, self.high))
        return Estimate(self.value * factor, low, high, self.restarts)


@dataclass(frozen=True)
class Difference:
    """A quantity of either sign, and half the width of its 95% interval (None: from one restart)."""

    value: float
    half: float | None


def difference(values: Sequence[float]) -> Difference:
    """The median of one value for each restart, with a t interval on them as they are."""
    middle = statistics.median(values)
    if len(values) == 1:
        return Difference(middle, None)
    return Difference(middle, t_quantile(len(values) - 1, 0.95) * statistics.stdev(values) / math.sqrt(len(values)))


def over_restarts(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """Their median, with a t interval on their logarithms: one positive value for each restart.

    Steps and blocks within a restart share its memory layout and placement, so they don't count as
    repetitions; a single restart has no interval. Raises ValueError if there is no value.
    """
    if not values:
        raise ValueError("at least one restart is needed")
    middle = statistics.median(values)
    mean = interval([math.log(value) for value in values], confidence)
    if mean.low is None or mean.high is None:
        return Estimate(middle, None, None, 1)
    # The interval is the mean's; it is widened where the median lies outside.
    return Estimate(middle, min(mean.low, middle), max(mean.high, middle), len(values))


def scatter(logs: Sequence[float]) -> float:
    """The standard deviation of log-ratios, as a share: 0.011 for 1.1%."""
    return math.expm1(statistics.stdev(logs))


def interval(logs: Sequence[float], confidence: float = 0.95) -> Estimate:
    """The exponential of the mean of logarithms, with a t interval; one value has none."""
    centre = statistics.fmean(logs)
    if len(logs) == 1:
        return Estimate(math.exp(centre), None, None, 1)
    half = t_quantile(len(logs) - 1, confidence) * statistics.stdev(logs) / math.sqrt(len(logs))
    return Estimate(math.exp(centre), math.exp(centre - half), math.exp(centre + half), len(logs))


@functools.cache
def t_quantile(degrees: int, confidence: float) -> float:
    """How far from 0 Student's t lies at most with that probability below 1, for a whole number of degrees of freedom.

    It is scipy's `stdtrit(degrees, (1 + confidence) / 2)`, which takes longer to import than a report to print: found
    by halving an angle whose tangent is t / sqrt(degrees), in which the distribution is a finite sum.
    """
    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if _t_within(degrees, middle) < confidence else (low, middle)
    return math.sqrt(degrees) * math.tan(middle)


def _t_within(degrees: int, angle: float) -> float:
    """The probability of a t within +-sqrt(degrees) tan(angle) (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    odd = degrees % 2
    term, total = math.cos(angle) if odd else 1.0, 0.0
    for power in range(odd, degrees - 1, 2):
        total += term
        term *= (power + 1) / (power + 2) * math.cos(angle) ** 2
    found = math.sin(angle) * total
    return (angle + found) * 2 / math.pi if odd else found
