"""How often changes in a history are false, found, and where: on simulated series whose truth is known."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
import numpy as np

from bench.changes import Change, trend
from bench.validate.archives import Timed
from toynet.errors import UsageError

SCHEMA = 1
# Of series without a change: those in which one may be found.
FALSE_AT_MOST = 0.01
# Of changes of 5% and more at a scatter of 1%: those to be found, and to be placed at most NEAR runs off.
FOUND_AT_LEAST = 0.99
NEAR = 2
# What `bench history` leaves out by itself; series without a change are searched for any.
LEAST = 0.01
LENGTHS = (6, 10, 20, 50, 100, 1000)
# (scatter, change, runs, runs after it: None for anywhere but the last and the first 10)
CHANGES = (
    *((0.01, change, 100, None) for change in (0.02, 0.05, 0.10)),
    *((0.03, change, 100, None) for change in (0.02, 0.05, 0.10)),
    (0.01, 0.05, 1000, None),
    (0.03, 0.10, 1000, None),
    *((0.01, change, 50, 3) for change in (0.05, 0.10)),
    *((0.01, change, 50, 6) for change in (0.05, 0.10)),
)
APART = 10
TOLD = ("found", "exact", "near", "placed", "covered", "more")
T = TypeVar("T")

Noise = Callable[[np.random.Generator, int, int], np.ndarray]
"""(generator, series, runs) to an array of logarithms (series, runs), of standard deviation 1."""


def normal(rng: np.random.Generator, series: int, runs: int) -> np.ndarray:
    """As textbooks have it."""
    return rng.standard_normal((series, runs))


def heavy(rng: np.random.Generator, series: int, runs: int) -> np.ndarray:
    """Student's t with 3 degrees of freedom."""
    return np.asarray(rng.standard_t(3, (series, runs))) / math.sqrt(3)


def outlying(share: float) -> Noise:
    """Normal, but that share of the runs is slower by 10 standard deviations."""

    def noise(rng: np.random.Generator, series: int, runs: int) -> np.ndarray:
        return normal(rng, series, runs) + 10.0 * (rng.uniform(size=(series, runs)) < share)

    return noise


def correlated(by: float) -> Noise:
    """Normal, but each run resembles the one before it."""

    def noise(rng: np.random.Generator, series: int, runs: int) -> np.ndarray:
        drawn = normal(rng, series, runs)
        for run in range(1, runs):
            drawn[:, run] = by * drawn[:, run - 1] + math.sqrt(1 - by * by) * drawn[:, run]
        return drawn

    return noise


NOISES: Mapping[str, Noise] = {
    "normal": normal,
    "heavy tails": heavy,
    "an outlier in 50": outlying(0.02),
    "an outlier in 20": outlying(0.05),
    "correlated, 0.1": correlated(0.1),
    "correlated, 0.3": correlated(0.3),
}
# No bar is set for the others: they warn of what runs may have in common.
BARRED = ("normal", "heavy tails", "an outlier in 50")


class Quiet(msgspec.Struct, frozen=True):
    """Series without a change."""

    noise: str
    runs: int
    series: int
    alarmed: int
    """Those in which one was found."""


class Planted(msgspec.Struct, frozen=True):
    """Series with one change."""

    noise: str
    scatter: float
    change: float
    runs: int
    after: int | None
    series: int
    found: int
    """Those with a change in the right direction, the nearest of which is counted in what follows."""
    exact: int
    """At the very run."""
    near: int
    """At most NEAR runs off."""
    placed: int
    """Between the runs that are said to be before and after it for sure."""
    covered: int
    """With its size in the interval."""
    more: int
    """Those with further changes."""

    @property
    def barred(self) -> bool:
        """Whether it is to be found."""
        return self.noise == "normal" and self.scatter == 0.01 and self.change >= 0.05 and self.after != 3


class Special(msgspec.Struct, frozen=True):
    """What else may happen: series with a change found, and how many of them at the median."""

    what: str
    series: int
    changed: int
    changes: float


class Validated(msgspec.Struct, frozen=True, kw_only=True, tag="history"):
    """All that was simulated."""

    schema: int = SCHEMA
    command: tuple[str, ...]
    quiet: tuple[Quiet, ...]
    planted: tuple[Planted, ...]
    special: tuple[Special, ...]
    timed: Timed | None = None
    """`bench history` itself, if that was asked for."""


def everything(series: int, seed: int, command: Sequence[str], say: Callable[[str], None]) -> Validated:
    """Every noise without a change and with one, in so many series each."""
    if series < 1:
        raise UsageError(f"series must be at least 1, got {series}.")

    def said(outcome: T) -> T:
        say(str(outcome))
        return outcome

    return Validated(
        command=tuple(command),
        quiet=tuple(said(quiet(name, runs, series, seed)) for name in NOISES for runs in LENGTHS),
        planted=tuple(
            said(planted(name, *change, series=series, seed=seed))
            for name in ("normal", "heavy tails")
            for change in CHANGES
        ),
        special=tuple(said(special(what, logs)) for what, logs in specials(series, seed).items()),
    )


def quiet(name: str, runs: int, series: int, seed: int) -> Quiet:
    """Series without a change, searched for any."""
    logs = 0.01 * NOISES[name](np.random.default_rng(seed), series, runs)
    return Quiet(name, runs, series, sum(bool(trend(own).changes) for own in logs.tolist()))


def planted(
    name: str, scatter: float, change: float, runs: int, after: int | None, *, series: int, seed: int
) -> Planted:
    """Series with one change each."""
    rng = np.random.default_rng(seed)
    logs = scatter * NOISES[name](rng, series, runs)
    at = rng.integers(APART, runs - APART + 1, series) if after is None else np.full(series, runs - after)
    logs += np.where(np.arange(runs) >= at[:, None], math.log1p(change), 0.0)
    told = [
        _told(trend(own, math.log1p(LEAST)).changes, truth, math.log1p(change))
        for own, truth in zip(logs.tolist(), at.tolist(), strict=True)
    ]
    counts = {what: sum(own.get(what, False) for own in told) for what in TOLD}
    return Planted(name, scatter, change, runs, after, series, **counts)


def _told(changes: Sequence[Change], truth: int, log: float) -> dict[str, bool]:
    """What is right of the changes found in one series."""
    upwards = [change for change in changes if change.log > 0]
    if not upwards:
        return {"more": bool(changes)}
    best = min(upwards, key=lambda change: abs(change.at - truth))
    return {
        "found": True,
        "exact": best.at == truth,
        "near": abs(best.at - truth) <= NEAR,
        "placed": best.earliest <= truth <= best.latest,
        "covered": abs(best.log - log) <= best.half,
        "more": len(changes) > 1,
    }


def specials(series: int, seed: int) -> dict[str, np.ndarray]:
    """A machine that becomes slower, in the ratio to the reference and in the time itself; a change that was undone;
    a drift."""
    rng, runs = np.random.default_rng(seed), 100
    case, reference = (0.01 * normal(rng, series, runs) for _ in range(2))
    machine = 0.05 * normal(rng, series, runs) + np.where(np.arange(runs) >= 60, math.log1p(0.3), 0.0)
    long = 0.01 * normal(rng, series, 1000)
    undone = long + np.where((np.arange(1000) >= 400) & (np.arange(1000) < 415), math.log1p(0.05), 0.0)
    return {
        "a machine 30% slower from run 60 of 100 on, the ratio to the reference": (case + machine)
        - (reference + machine),
        "the same, the step's time without a reference": case + machine,
        "5% slower for 15 of 1,000 runs, at a scatter of 1%": undone,
        "a drift by 10% over 100 runs, at a scatter of 1%": case + np.linspace(0, math.log1p(0.1), runs),
    }


def special(what: str, logs: np.ndarray) -> Special:
    """What is found in these series."""
    counts = [len(trend(own, math.log1p(LEAST)).changes) for own in logs.tolist()]
    return Special(what, len(counts), sum(map(bool, counts)), statistics.median(counts))
