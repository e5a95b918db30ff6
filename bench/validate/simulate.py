"""Thousands of comparisons simulated on noise whose truth is known: how often verdicts are wrong, found, covered."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np
from scipy.special import stdtrit

from bench.validate.noise_models import MODELS, Model, recorded
from bench.validate.real import Real
from bench.verdict import LOOKS, Rule, Trial, judged
from toynet.errors import UsageError

# Changes of the step time that are planted, with thresholds to judge them by.
SCENARIOS = ((0.0, 0.01), (0.0, 0.03), (0.02, 0.01), (0.05, 0.01), (0.05, 0.03), (0.20, 0.03))
# There are so many times fewer comparisons with a change than without: bars there are shares, not rare events.
PLANTED_SHARE = 5
RESTARTS = LOOKS[-1]
CHUNK = 200
# A change has to be beyond its threshold by this many times the scatter of a restart, to be asked to be found. A
# bar of our own: what lies nearer is simulated and shown as well.
ROOM = 0.85
BOOTSTRAPS = 999


class Outcome(msgspec.Struct, frozen=True):
    """What came of simulated comparisons with one noise and one planted change."""

    noise: str
    planted: float
    threshold: float
    asked: bool
    """Whether the threshold leaves room for the change to be found in the restarts that there are."""
    comparisons: int
    slower: int
    faster: int
    same: int
    inconclusive: int
    covered: int
    """Comparisons whose 95% interval, as reported, has the truth in it."""
    median_restarts: float


class Interval(msgspec.Struct, frozen=True):
    """How often intervals from a fixed number of restarts have the truth in them; 0.95 is meant."""

    noise: str
    restarts: int
    comparisons: int
    t: float
    bootstrap: float
    """Studentised."""


class Simulated(msgspec.Struct, frozen=True, kw_only=True, tag="simulation"):
    """All that was simulated."""

    schema: int = 1
    command: tuple[str, ...]
    seconds: float
    scatter: dict[str, float]
    """Standard deviation of a restart's log-ratio, by noise."""
    outcomes: tuple[Outcome, ...]
    intervals: tuple[Interval, ...]


def everything(
    comparisons: int, seed: int, real: Real | None, command: Sequence[str], say: Callable[[str], None]
) -> Simulated:
    """Every noise with every planted change, and intervals of both kinds; raises UsageError if `real` has no A/A."""
    if comparisons < PLANTED_SHARE:
        raise UsageError(f"comparisons must be at least {PLANTED_SHARE}, got {comparisons}.")
    began = time.monotonic()
    models: dict[str, Model] = dict(MODELS)
    if real is not None:
        models["recorded"] = recorded(real)
    outcomes, scatter = [], {}
    for name, model in models.items():
        scatter[name] = float(model(np.random.default_rng(seed), 50, 40).std())
        for planted, threshold in SCENARIOS:
            count = comparisons if planted == 0 else comparisons // PLANTED_SHARE
            found = outcome(name, model, planted, Rule(threshold=threshold), count, seed, scatter[name])
            say(f"{name}, {100 * planted:g}% planted, threshold {100 * threshold:g}%: {found}")
            outcomes.append(found)
    fixed = [
        intervals(name, models[name], restarts, comparisons // PLANTED_SHARE, seed)
        for name in ("quiet", "heavy tails")
        for restarts in LOOKS[:5]
    ]
    return Simulated(
        command=tuple(command),
        seconds=round(time.monotonic() - began, 1),
        scatter=scatter,
        outcomes=tuple(outcomes),
        intervals=tuple(fixed),
    )


def replay(logs: Sequence[float], rule: Rule) -> Trial:
    """The trial of a comparison whose restarts give those log-ratios, one after another, until its verdict."""
    trial = Trial()
    for n in range(1, len(logs) + 1):
        trial = judged({"": replace(trial, logs=tuple(logs[:n]))}, rule)[""]
        if trial.verdict:
            break
    return trial


def outcome(
    name: str, model: Model, planted: float, rule: Rule, comparisons: int, seed: int, scatter: float
) -> Outcome:
    """Simulates so many comparisons; `scatter` is that of a restart."""
    rng = np.random.default_rng(seed)
    truth = math.log1p(planted)
    verdicts: Counter[str] = Counter()
    restarts: list[int] = []
    covered = 0
    for start in range(0, comparisons, CHUNK):
        logs = model(rng, min(CHUNK, comparisons - start), RESTARTS) + truth
        for row in logs.tolist():
            trial = replay(row, rule)
            verdicts[trial.verdict or "inconclusive"] += 1
            restarts.append(len(trial.logs))
            estimate = trial.ratio
            assert estimate is not None
            covered += (estimate.low or 0.0) <= 1 + planted <= (estimate.high or math.inf)
    counts: Mapping[str, int] = {v: verdicts[v] for v in ("slower", "faster", "same", "inconclusive")}
    middle = float(np.median(restarts))
    asked = planted > 0 and math.log1p(planted) - rule.margin >= ROOM * scatter
    return Outcome(name, planted, rule.threshold, asked, comparisons, **counts, covered=covered, median_restarts=middle)


def intervals(name: str, model: Model, restarts: int, comparisons: int, seed: int) -> Interval:
    """The coverage of a t interval and of a studentised bootstrap interval for the mean log-ratio, which is 0."""
    rng = np.random.default_rng(seed)
    logs = model(rng, comparisons, restarts)
    mean, error = _mean_and_error(logs)
    t = np.abs(mean) <= stdtrit(restarts - 1, 0.975) * error
    drawn = logs[
        np.arange(comparisons)[:, None, None], rng.integers(restarts, size=(comparisons, BOOTSTRAPS, restarts))
    ]
    their_mean, their_error = _mean_and_error(drawn)
    with np.errstate(divide="ignore", invalid="ignore"):  # a draw of one value again and again has no error
        studentised = np.nan_to_num((their_mean - mean[:, None]) / their_error, nan=0.0)
    low, high = np.quantile(studentised, [0.025, 0.975], axis=1)
    bootstrap = (mean - high * error <= 0) & (mean - low * error >= 0)
    return Interval(name, restarts, comparisons, float(t.mean()), float(bootstrap.mean()))


def _mean_and_error(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return logs.mean(axis=-1), logs.std(axis=-1, ddof=1) / math.sqrt(logs.shape[-1])
