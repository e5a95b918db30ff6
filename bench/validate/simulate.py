"""Thousands of comparisons simulated on noise whose truth is known: how often verdicts are wrong, found, covered."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np
from scipy.special import stdtrit

from bench.validate.noise_models import Model
from bench.verdict import LOOKS, Rule, Trial, judged

# Of B against A, as changes of the step time.
PLANTED = (0.0, 0.02, 0.05, 0.20)
RESTARTS = LOOKS[-1]
CHUNK = 200
BOOTSTRAPS = 999


class Outcome(msgspec.Struct, frozen=True):
    """What came of simulated comparisons with one noise and one planted change."""

    noise: str
    planted: float
    threshold: float
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


def replay(logs: Sequence[float], rule: Rule) -> Trial:
    """The trial of a comparison whose restarts give those log-ratios, one after another, until its verdict."""
    trial = Trial()
    for n in range(1, len(logs) + 1):
        trial = judged({"": replace(trial, logs=tuple(logs[:n]))}, rule)[""]
        if trial.verdict:
            break
    return trial


def outcome(name: str, model: Model, planted: float, rule: Rule, comparisons: int, seed: int) -> Outcome:
    """Simulates so many comparisons."""
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
    return Outcome(name, planted, rule.threshold, comparisons, **counts, covered=covered, median_restarts=middle)


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
