"""How two functions are compared in one process, and what became of it, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from bench.calls import Kind, Start
from bench.measured import Cost
from bench.report import inline
from bench.stats import Estimate
from bench.verdict import Rule, Trial, Verdict
from toynet.errors import UsageError

BUDGET_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How two functions are compared; `compare` says what each means."""

    rule: Rule
    kind: Kind = "latency"
    budget_s: float = BUDGET_S
    carry: bool | None = None
    equal: bool = True
    tolerance: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if not self.rule.threshold > 0:
            raise UsageError(f"a threshold above 0 such as 0.05 was expected, got {self.rule.threshold}.")
        if not self.budget_s > 0:
            raise UsageError(f"a budget of more than 0 seconds was expected, got {self.budget_s}.")
        if self.kind not in get_args(Kind):
            raise UsageError(f"kind='latency' or 'throughput' was expected, got {self.kind!r}.")
        if self.tolerance is not None and not self.tolerance >= 0:
            raise UsageError(f"a tolerance of 0 or more was expected, got {self.tolerance}.")


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What became of a comparison of B's calls with A's.

    Its interval comes from restarts: both compiled anew, with fresh copies of their arguments, in an order drawn anew.
    The process, its threads and the cores that they run on aren't drawn anew; `python -m bench ab` does that.
    """

    names: tuple[str, str]
    verdict: Verdict
    rule: Rule
    trial: Trial
    kind: Kind
    call_s: tuple[Estimate, Estimate] | None
    """Of A and B; these two can't be compared as well as `ratio`."""
    starts: tuple[Start, Start]
    """Of the first restart."""
    costs: tuple[Cost, Cost]
    devices: int
    seconds: float
    """That all of it took."""
    ready_s: float = 0.0
    """Until the first restart: both compiled and called, their results compared, a call's time known roughly."""
    recompiled: bool
    """Whether restarts compiled anew; else arguments alone were copied anew."""
    why: str = ""
    """Of what is broken."""
    unlike: str = ""
    """How results differ, where that was allowed."""
    found: tuple[str, ...] = ()
    """What to know of their calls, a sentence each."""

    @property
    def ratio(self) -> Estimate | None:
        """The time of a call of B over that of A, with a 95% interval from restarts."""
        return self.trial.ratio

    @property
    def restarts(self) -> int:
        return len(self.trial.logs)

    def __str__(self) -> str:
        return inline.sentence(self)

    def __repr__(self) -> str:
        return inline.compared_line(self)

    def _repr_html_(self) -> str:
        return inline.compared_table(self)
