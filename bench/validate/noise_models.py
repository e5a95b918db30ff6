"""Noise as machines make it: log-ratios of restarts, from models of block times or from recorded A/A comparisons.

Every model gives an array (comparisons, restarts) of log-ratios, B over A, with a true log-ratio added.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.validate.real import Real
from toynet.errors import UsageError

ROUNDS = 24
BLOCK_S = 0.02
# Of a restart, for starting its workers: it only matters for what happens as time goes on.
START_S = 1.5

# Restarts of a comparison that tell the shape of their scatter.
LONG = 12

Model = Callable[[np.random.Generator, int, int], np.ndarray]
"""(generator, comparisons, restarts) to log-ratios without any true difference."""


@dataclass(frozen=True)
class Machine:
    """How block times scatter on a machine."""

    worker: float = 0.006
    """Standard deviation of what a start gives a worker, log scale; log-ratios have root two times that."""
    block: float = 0.02
    """Of a block."""
    switch: float = 0.04
    """How much longer the second block of a round takes."""
    tails: float = math.inf
    """Degrees of freedom of both scatters: 3 has heavy tails, infinity is normal."""
    drift: float = 0.0
    """By how much the machine slows in a second, log scale."""
    daemon_s: float = 0.0
    """What a daemon that wakes every second takes from the block that it hits."""
    step: float = 0.0
    """How much slower the machine becomes at one moment of the comparison, which all others keep."""

    def __call__(self, rng: np.random.Generator, comparisons: int, restarts: int) -> np.ndarray:
        shape = (comparisons, restarts, ROUNDS, 2)  # the last axis: the block that comes first, then the other
        start = self._scattered(rng, (comparisons, restarts, 1, 2)) * self.worker  # of A, and of B
        b_first = (np.arange(ROUNDS) + rng.integers(2, size=(comparisons, restarts, 1))) % 2
        side = np.stack([b_first, 1 - b_first], axis=-1)
        logs = np.take_along_axis(np.broadcast_to(start, shape), side, axis=-1)
        logs = logs + self._scattered(rng, shape) * self.block
        logs[..., 1] += self.switch
        logs += self._moments(rng, shape)
        ratio = np.where(b_first, logs[..., 0] - logs[..., 1], logs[..., 1] - logs[..., 0])
        return of_rounds(ratio)

    def _scattered(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        if math.isinf(self.tails):
            return rng.standard_normal(shape)
        return np.asarray(rng.standard_t(self.tails, shape)) / math.sqrt(self.tails / (self.tails - 2))

    def _moments(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """What depends on when a block is run."""
        comparisons, restarts, rounds, _ = shape
        restart_s = START_S + 2 * rounds * BLOCK_S
        when = START_S + np.arange(restarts)[:, None] * restart_s + np.arange(2 * rounds) * BLOCK_S
        added = self.drift * when.reshape(restarts, rounds, 2) * np.ones((comparisons, 1, 1, 1))
        phase = rng.uniform(size=(comparisons, 1, 1, 1))
        hit = (when.reshape(restarts, rounds, 2) + phase) % 1.0 < BLOCK_S
        added += np.where(hit, math.log1p(self.daemon_s / BLOCK_S), 0.0)
        moment = rng.uniform(0, 12 * restart_s, size=(comparisons, 1, 1, 1))
        return added + np.where(when.reshape(restarts, rounds, 2) > moment, self.step, 0.0)


def of_rounds(ratios: np.ndarray) -> np.ndarray:
    """`verdict.log_ratio` of arrays (..., rounds)."""
    return np.median((ratios[..., ::2] + ratios[..., 1::2]) / 2, axis=-1)


MODELS: dict[str, Model] = {
    "quiet": Machine(),
    "heavy tails": Machine(tails=3),
    "loaded": Machine(worker=0.010, block=0.03),
    "linear drift, 1% a second": Machine(drift=0.01),
    "a daemon every second, 10 ms": Machine(daemon_s=0.01),
    "20% slower from some moment on": Machine(step=math.log(1.2)),
    "second block 15% longer": Machine(switch=0.15),
}


def recorded(found: Real) -> Model:
    """Noise of the A/A comparisons of a validation on a machine.

    A simulated comparison has the scatter of one of them, and its restarts deviate as those of the long
    ones did, in units of their scatter; sides are swapped at random. Raises UsageError if there is none
    of LONG restarts.
    """
    logs = [case.logs for case in found.cases if case.planted.share == 0]
    scatters = [statistics.stdev(some) for some in logs]
    long = [np.array(some) for some in logs if len(some) >= LONG]
    if not long:
        raise UsageError(f"no A/A comparison of {LONG} restarts is recorded there; `bench.validate real` makes some.")
    deviations = np.concatenate([(some - some.mean()) / some.std(ddof=1) for some in long])

    def model(rng: np.random.Generator, comparisons: int, restarts: int) -> np.ndarray:
        sign = rng.choice((-1.0, 1.0), (comparisons, restarts))
        return sign * rng.choice(scatters, (comparisons, 1)) * rng.choice(deviations, (comparisons, restarts))

    return model
