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


def independent(a: Sequence[float], b: Sequence[float], confidence: float = 0.95) -> Estimate:
    """The median of `a` over that of `b`: one positive value for each restart, of two runs that share nothing.

    With Welch's t interval on the logarithms (Welch 1947), whose degrees of freedom needn't be whole; none where
    either has but one restart. `restarts` are those of whichever has fewer. What the two runs have unlike besides
    what is compared, such as the hour, isn't in it. Raises ValueError if either has no value.
    """
    value, fewest = over_restarts(a).value / over_restarts(b).value, min(len(a), len(b))
    if fewest == 1:
        return Estimate(value, None, None, 1)
    logs = [[math.log(x) for x in values] for values in (a, b)]
    centre = statistics.fmean(logs[0]) - statistics.fmean(logs[1])
    half = _welch_half([statistics.variance(each) / len(each) for each in logs], [len(a) - 1, len(b) - 1], confidence)
    return Estimate(value, min(math.exp(centre - half), value), max(math.exp(centre + half), value), fewest)


def _welch_half(variances: Sequence[float], degrees: Sequence[int], confidence: float) -> float:
    """Half of the interval of a difference of means with those variances, each known to so many degrees of freedom."""
    total = sum(variances)
    if total == 0:
        return 0.0
    # Shares first: the square of a small variance would be 0.
    together = 1 / sum((variance / total) ** 2 / known for variance, known in zip(variances, degrees, strict=True))
    return t_quantile(together, confidence) * math.sqrt(total)


@functools.cache
def t_quantile(degrees: float, confidence: float) -> float:
    """How far from 0 Student's t lies at most with that probability below 1, for 1 degree of freedom or more.

    It is scipy's `stdtrit(degrees, (1 + confidence) / 2)`, which takes longer to import than a report to print: found
    by halving an angle whose tangent is t / sqrt(degrees).
    """
    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if _t_within(degrees, middle) < confidence else (low, middle)
    return math.sqrt(degrees) * math.tan(middle)


def _t_within(degrees: float, angle: float) -> float:
    """The probability of a t within +-sqrt(degrees) tan(angle) (Abramowitz and Stegun, 26.7.1)."""
    return _incomplete_beta(0.5, degrees / 2, math.sin(angle) ** 2, math.cos(angle) ** 2)


def _incomplete_beta(a: float, b: float, x: float, rest: float) -> float:
    """The regularised I_x(a, b) by its series, where it converges quickly (26.5.4 there); `rest` is 1 - x."""
    if x > rest:
        return 1 - _incomplete_beta(b, a, rest, x)
    term = total = 1 / a
    n = 0
    while term > 1e-17 * total:
        term *= (a + b + n) / (a + 1 + n) * x
        total += term
        n += 1
    return total * x**a * rest**b * math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b))
