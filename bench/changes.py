"""Where a series of logarithms changes its level: seeded binary segmentation, made robust. Pure Python.

Outliers are drawn in to the median of those around them. Then the means before and after each place are compared within
intervals of many lengths (Kovács et al. 2023, seeded binary segmentation), so that a change that was soon undone is
found as well; the greatest difference beyond a threshold divides the series, and so on in both parts. At last each
change is placed anew between its neighbours, and left out if it doesn't hold there. `docs/history.md` says how often
that is wrong.
"""

from __future__ import annotations

import functools
import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.stats import t_quantile

# Values on either side of a change.
FEWEST = 3
# A value may lie so many times the scatter from the median of those around it, itself among them.
AROUND = 7
OUTLYING = 2.0
# Of neighbours, in units of the scatter of their difference: more is a change of level, and no scatter.
STEPPED = 3.0
# The scatter is taken for this at least: less than anyone asks about.
LEAST_SCATTER = 1e-3
# The median of the absolute values of normal noise, in standard deviations.
MEDIAN_OF_NORMAL = 0.6745
# Where twice the log-likelihood is less than this below its greatest, a change may lie as well, 95% (Hansen 2000).
LIKELY = 7.35
# Beyond so many degrees of freedom, quantiles of t hardly differ, and take long.
DEGREES_AT_MOST = 200


@dataclass(frozen=True)
class Change:
    """Another level from a value on, until the next change; places are positions in the series."""

    at: int
    """Of the first value after."""
    earliest: int
    latest: int
    """Between which it lies, as far as the values can tell (95%)."""
    log: float
    """By how much the logarithm rose."""
    half: float
    """Half of its 95% interval."""


@dataclass(frozen=True)
class Trend:
    """The changes of a series, in order."""

    changes: tuple[Change, ...] = ()
    scatter: float | None = None
    """Standard deviation of its noise; None: too few values to look for changes."""


class _Division(NamedTuple):
    """Of the values from start to end: where the means before and after differ most, by how many standard errors."""

    start: int
    end: int
    at: int
    score: float


def trend(logs: Sequence[float], least: float = 0.0) -> Trend:
    """The changes of level by more than `least`."""
    if len(logs) < 2 * FEWEST:
        return Trend()
    drawn, scatter = drawn_in(logs)
    sums = [0.0, *itertools.accumulate(drawn)]
    enough = threshold(len(logs))
    seeded = [_division(sums, *interval, scatter) for interval in _intervals(len(logs))]
    places = _places([division for division in seeded if division.score > enough], 0, len(logs))
    while places:
        divisions = _placed(sums, places, scatter)
        found = [_change(drawn, sums, division, scatter) for division in divisions]
        scores = [d.score for d, c in zip(divisions, found, strict=True) if d.score <= enough or abs(c.log) <= least]
        if not scores:
            return Trend(tuple(found), scatter)
        places = [division.at for division in divisions if division.score != min(scores)]
    return Trend((), scatter)


def drawn_in(logs: Sequence[float]) -> tuple[list[float], float]:
    """The series without the excess of its outliers, and the standard deviation of its noise, whatever its levels."""
    rough = max(statistics.median(map(abs, _steps(logs))) / MEDIAN_OF_NORMAL / math.sqrt(2), LEAST_SCATTER)
    side = AROUND // 2
    padded = [*logs[side:0:-1], *logs, *logs[-2 : -side - 2 : -1]]
    middles = [sorted(padded[i : i + AROUND])[side] for i in range(len(logs))]
    far = OUTLYING * rough
    drawn = [min(max(log, middle - far), middle + far) for log, middle in zip(logs, middles, strict=True)]
    most = STEPPED * math.sqrt(2) * rough
    squares = [min(abs(step), most) ** 2 for step in _steps(drawn)]
    return drawn, max(math.sqrt(statistics.fmean(squares) / 2), LEAST_SCATTER)


def threshold(values: int) -> float:
    """What the greatest score stays below in a series of so many values, in 99.5% of those without a change.

    Fitted to 6,000 series and more of each of 14 lengths from 6 to 2,000, with normal noise, and noise of Student's t
    with 3 degrees of freedom; for either it is the larger of both.
    """
    return max(5.0, 3.9 + 0.28 * math.log(values))


def visible(values: int, scatter: float) -> float:
    """About the least rise of the logarithm that is found half-way through so many values."""
    return threshold(values) * scatter * 2 / math.sqrt(values)


def _steps(values: Sequence[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(values)]


@functools.cache
def _intervals(values: int) -> tuple[tuple[int, int], ...]:
    """From the whole series down to the shortest that can have a change: half as long each time, half overlapping."""
    found: dict[tuple[int, int], None] = {}
    length = float(values)
    while True:
        whole = max(math.ceil(length), 2 * FEWEST)
        count = 2 * math.ceil(values / length) - 1
        for i in range(count):
            start = round(i * (values - whole) / max(count - 1, 1))
            found[start, start + whole] = None
        if whole == 2 * FEWEST:
            return tuple(found)
        length /= 2


def _division(sums: Sequence[float], start: int, end: int, scatter: float) -> _Division:
    scores = _scores(sums, start, end)
    greatest = max(scores)
    return _Division(start, end, start + FEWEST + scores.index(greatest), greatest / scatter)


def _scores(sums: Sequence[float], start: int, end: int) -> list[float]:
    """How much the means before and after each place differ, in units in which noise of scatter 1 gives 1."""
    base, count = sums[start], end - start
    mean = (sums[end] - base) / count
    places = zip(sums[start + FEWEST : end - FEWEST + 1], _weights(count), strict=True)
    return [abs(total - base - mean * k) * weight for k, (total, weight) in enumerate(places, start=FEWEST)]


@functools.cache
def _weights(count: int) -> tuple[float, ...]:
    return tuple(math.sqrt(count / k / (count - k)) for k in range(FEWEST, count - FEWEST + 1))


def _places(divisions: Sequence[_Division], start: int, end: int) -> list[int]:
    """Of divisions beyond the threshold, the greatest, and those within the two parts that it makes."""
    inside = [division for division in divisions if start <= division.start and division.end <= end]
    if not inside:
        return []
    at = max(inside, key=lambda division: division.score).at
    return [*_places(inside, start, at), at, *_places(inside, at, end)]


def _placed(sums: Sequence[float], places: Sequence[int], scatter: float) -> list[_Division]:
    """Each place anew, between the one before it and the one after."""
    placed: list[_Division] = []
    for end in (*places[1:], len(sums) - 1):
        placed.append(_division(sums, placed[-1].at if placed else 0, end, scatter))
    return placed


def _change(drawn: Sequence[float], sums: Sequence[float], division: _Division, scatter: float) -> Change:
    start, end, at = division.start, division.end, division.at
    least = division.score**2 - LIKELY
    scores = enumerate(_scores(sums, start, end), start=start + FEWEST)
    likely = [place for place, score in scores if (score / scatter) ** 2 >= least]
    before, after = drawn[start:at], drawn[at:end]
    degrees = end - start - 2
    squares = statistics.pvariance(before) * len(before) + statistics.pvariance(after) * len(after)
    spread = max(math.sqrt(squares / degrees), scatter)
    return Change(
        at=at,
        earliest=likely[0],
        latest=likely[-1],
        log=statistics.fmean(after) - statistics.fmean(before),
        half=t_quantile(min(degrees, DEGREES_AT_MOST), 0.95) * spread * math.sqrt(1 / len(before) + 1 / len(after)),
    )
