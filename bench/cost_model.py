"""A model of the time of a step over devices and batch, fitted to a record, and what it says of more devices.

    T = work * w  +  start  +  for each link (latency * h + bytes / bandwidth)  +  [waited for] * dispatch

w: examples x members of one device. The links: within a host, and between hosts. h: how often a message goes over
one, one after another, and bytes: what it carries, both as `bench.links` says.
Every coefficient is 0 or more (non-negative least squares on relative residuals). Of the sets of terms that
the data can tell apart, that with the lowest Bayesian information criterion (Schwarz 1978) is kept.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bench.cases import Case
from bench.links import BETWEEN, WITHIN, LinkTerm, Spread, amounts
from bench.measured import Collective, Kind
from bench.record import CaseResult
from bench.stats import Estimate, over_restarts
from bench.summary import by_round
from toynet.errors import UsageError

DispatchTerm = Literal["dispatch", "dispatch to several", "dispatch over hosts"]
Term = Literal["work", "start"] | LinkTerm | DispatchTerm
# One that wasn't timed takes as long as that before it.
DISPATCHES: tuple[DispatchTerm, ...] = ("dispatch", "dispatch to several", "dispatch over hosts")
TERMS: tuple[Term, ...] = ("work", "start", *WITHIN, *BETWEEN, *DISPATCHES)
# What a block of each kind consists of; "waited" where each step is.
COMPUTES: frozenset[Kind] = frozenset({"latency", "fused", "compute"})
COMMUNICATES: frozenset[Kind] = frozenset({"latency", "fused", "collectives", "rendezvous"})
WAITED: frozenset[Kind] = frozenset({"latency"})
FITTED: tuple[Kind, ...] = ("latency", "fused", "compute", "collectives", "rendezvous")
EFFICIENT = 0.5
# No step takes less, whatever a fit to few points says.
LEAST_S = 1e-9
MOST_DEVICES = 2**20


@dataclass(frozen=True)
class Row:
    """One kind of block of one case: its terms, and seconds a step in each restart."""

    case: str
    kind: Kind
    over: Spread
    terms: Mapping[Term, float]
    seconds: Mapping[int, float]

    @property
    def median_s(self) -> float:
        return float(np.median(list(self.seconds.values())))


@dataclass(frozen=True)
class Fit:
    """Coefficients, in seconds for each of its term, and how far they miss what was measured."""

    coefficients: Mapping[Term, float]
    residual: float
    """Root mean square of relative residuals, over degrees of freedom; 0 where there are none left."""

    def seconds(self, terms: Mapping[Term, float]) -> float:
        return sum(self.coefficients.get(term, 0.0) * amount for term, amount in terms.items())


@dataclass(frozen=True)
class Model:
    """What a mode of a workload costs: one fit to medians over restarts, and one to each restart."""

    rows: tuple[Row, ...]
    whole: Fit
    restarts: tuple[Fit, ...]
    collectives: tuple[Collective, ...]
    """Of one step, as compiled for several devices."""

    def predicted(self, terms: Mapping[Term, float]) -> Estimate:
        """Seconds a step, as `estimated` says."""
        return self.estimated(lambda fit: max(fit.seconds(terms), LEAST_S))

    def estimated(self, of: Callable[[Fit], float]) -> Estimate:
        """What the whole fit says; the interval has both what restarts scatter and what the model misses.

        None where there is neither: one restart, and no more points than terms.
        """
        value, each = of(self.whole), over_restarts([of(fit) for fit in self.restarts])
        error = 1.96 * self.whole.residual
        if each.low is None or each.high is None:
            ends = (value * math.exp(-error), value * math.exp(error)) if error else (None, None)
            return Estimate(value, *ends, each.restarts)
        low, high = max(math.log(value / each.low), 0.0), max(math.log(each.high / value), 0.0)
        below, above = math.exp(-math.hypot(low, error)), math.exp(math.hypot(high, error))
        return Estimate(value, value * below, value * above, each.restarts)


def terms(kind: Kind, over: Spread, work: float, collectives: Sequence[Collective]) -> dict[Term, float]:
    """The amounts of each term in one kind of block; `work` is examples x members of one device."""
    found: dict[Term, float] = {}
    if kind in COMPUTES:
        found |= {"work": work, "start": 1.0}
    if kind in COMMUNICATES:
        found |= amounts(collectives, over)
    if kind == "rendezvous":
        found |= dict.fromkeys([term for term in ("bytes", "host bytes") if term in found], 0.0)
    if kind in WAITED:
        found[dispatch(over)] = 1.0
    return found


def dispatch(over: Spread) -> DispatchTerm:
    """What waiting for each step costs devices that are spread so."""
    return DISPATCHES[2 if over.hosts > 1 else 1 if over.devices > 1 else 0]


def rows(results: Sequence[CaseResult], spreads: Mapping[Case, Spread]) -> list[Row]:
    """What was measured of those cases, each kind of block a row."""
    found = []
    for result in results:
        case, cost = result.case, result.cost
        assert cost is not None
        for kind in FITTED:
            if blocks := by_round(result, kind):
                over = spreads[case]
                needed = terms(kind, over, share(case), cost.collectives)
                found.append(Row(case.name, kind, over, needed, _by_restart(blocks)))
    return found


def share(case: Case) -> float:
    """Examples x members of a device, padding included."""
    layout = case.layout
    return layout.padded_batch() / layout.data_shards * layout.padded_members / layout.member_shards


def _by_restart(blocks: Mapping[tuple[int, int], float]) -> dict[int, float]:
    restarts = sorted({restart for restart, _ in blocks})
    return {r: float(np.median([value for (restart, _), value in blocks.items() if restart == r])) for r in restarts}


def fitted(data: Sequence[Row], collectives: tuple[Collective, ...], link: Mapping[Term, float]) -> Model:
    """The model of some rows; coefficients in `link` take the place of those that were fitted.

    Raises UsageError if the rows can't tell the work of a step from the rest of it.
    """
    chosen = _chosen(data)
    whole = _fit(chosen, data, [row.median_s for row in data])
    restarts = sorted(set.union(*(set(row.seconds) for row in data)))
    # Of a case that a restart left out, its median.
    each = [_fit(chosen, data, [row.seconds.get(restart, row.median_s) for row in data]) for restart in restarts]
    fits = [_completed(fit, link) for fit in (whole, *each)]
    return Model(tuple(data), fits[0], tuple(fits[1:]), collectives)


def _completed(fit: Fit, link: Mapping[Term, float]) -> Fit:
    """With links of another kind; a call to several devices that wasn't timed takes as long as one to one."""
    found = {**fit.coefficients, **link}
    for known, another in itertools.pairwise(DISPATCHES):
        if known in found:
            found.setdefault(another, found[known])
    return replace(fit, coefficients=found)


def _chosen(data: Sequence[Row]) -> tuple[Term, ...]:
    """The simplest set of terms that the data carry."""
    present: list[Term] = [term for term in TERMS if any(row.terms.get(term) for row in data)]
    best: tuple[float, tuple[Term, ...]] | None = None
    for size in range(1, len(present) + 1):
        some: tuple[Term, ...]
        for some in itertools.combinations(present, size):
            if "work" not in some or np.linalg.matrix_rank(_matrix(some, data)) < size or len(data) < size:
                continue
            fit = _fit(some, data, [row.median_s for row in data])
            misses = max(_squares(fit, data), 1e-8 * len(data))  # a hundredth of a percent is as good as none
            score = len(data) * math.log(misses / len(data)) + size * math.log(len(data))
            if best is None or score < best[0]:
                best = score, some
    if best is None:
        raise UsageError("the record has no step whose time could be fitted.")
    return best[1]


def _matrix(some: Sequence[Term], data: Sequence[Row]) -> np.ndarray:
    """Terms of each row over its seconds, so that residuals are relative; columns of like size."""
    matrix = np.array([[row.terms.get(term, 0.0) / row.median_s for term in some] for row in data])
    return matrix / np.maximum(np.abs(matrix).max(axis=0), 1e-300)


def _fit(some: Sequence[Term], data: Sequence[Row], seconds: Sequence[float]) -> Fit:
    from scipy.optimize import nnls

    matrix = np.array([[row.terms.get(term, 0.0) / s for term in some] for row, s in zip(data, seconds, strict=True)])
    scale = np.maximum(np.abs(matrix).max(axis=0), 1e-300)
    found, _ = nnls(matrix / scale, np.ones(len(data)))
    fit = Fit(dict(zip(some, (found / scale).tolist(), strict=True)), 0.0)
    freedom = len(data) - len(some)
    return replace(fit, residual=math.sqrt(_squares(fit, data) / freedom) if freedom > 0 else 0.0)


def _squares(fit: Fit, data: Sequence[Row]) -> float:
    return sum((fit.seconds(row.terms) / row.median_s - 1) ** 2 for row in data)
