"""Two functions of the same arguments, asked in turn in this process until a verdict is clear."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from bench.calls import Calls, Kind
from bench.equality import coarse, unequal
from bench.measured import Block
from bench.paired import BUDGET_S, Compared, Plan
from bench.report import inline
from bench.rounds import A, B, alternating
from bench.stats import over_restarts
from bench.timing import Clock, rough, uncollected
from bench.verdict import LOOKS, Rule, Trial, Verdict, judged, log_ratio
from toynet.errors import UsageError

Function = Callable[..., Any]
Pair = tuple[Calls, Calls]

BLOCK_S = 0.005
# Of a restart, for its rounds.
ROUNDS_S = 0.12
FEWEST_ROUNDS = 6
# Where a single call is as long, its time scatters less, and there had better be more restarts.
LONG_CALL_S = 0.1
FEWEST_LONG_ROUNDS = 2
# Of the budget: where it takes longer than that to compile both, their programs stay.
COMPILING_SHARE = 0.1


def compare(
    a: Function,
    b: Function,
    *args: Any,
    threshold: float = 0.05,
    budget_s: float = BUDGET_S,
    kind: Kind = "latency",
    carry: bool | None = None,
    equal: bool = True,
    tolerance: float | None = None,
    seed: int | None = None,
) -> Compared:
    """Whether B is slower or faster than A by more than the threshold, called with the same arguments.

    Both are jitted if they aren't. Their results are compared; then blocks of their calls are asked in turn, A B, B A,
    and so on. A restart compiles both anew and copies the arguments anew. There are as many as it takes, with the error
    control of `bench ab`, or as end within the budget of seconds: then it may be inconclusive.

    `kind`: calls that are waited for (`latency`), or a chain of them (`throughput`). `carry`: whether the first output
    goes in again as the first argument (None: if it looks like a state, as `bench.calls.Calls` says). `equal`: whether
    results must be the same, but for `tolerance` of each leaf's largest entry (None: what its dtype rounds to).
    `seed`: of the order (None: another one each time).

    Raises UsageError for what can't be asked so, and whatever the functions raise.
    """
    rule = Rule(threshold=threshold)
    return Pairing(
        (a, b),
        args,
        Plan(rule=rule, kind=kind, budget_s=budget_s, carry=carry, equal=equal, tolerance=tolerance, seed=seed),
    ).run()


class Pairing:
    """Compares two functions; the clock, and what makes them ready to be called, are handed in."""

    def __init__(
        self,
        functions: tuple[Function, Function],
        args: Sequence[Any],
        plan: Plan,
        *,
        names: tuple[str, str] = ("A", "B"),
        begin: Callable[..., Calls] = Calls,
        clock: Clock = time.perf_counter,
    ) -> None:
        """`names` are those of functions that have none to tell them apart by."""
        self._functions = functions
        self._names = inline.names(functions, names)
        self._args = args
        self._plan = plan
        self._begin = begin
        self._clock = clock
        self._random = random.Random(plan.seed)
        self._order = self._turned(0)
        self._carry = plan.carry
        self._trial = Trial()
        self._call_s: tuple[list[float], list[float]] = ([], [])
        self._found: dict[str, None] = {}
        self._ready_s = 0.0

    def run(self) -> Compared:
        """Restarts until the verdict is clear, or the next one would end beyond the budget."""
        began = self._clock()
        self._calls = self._begun()
        a, b = self._calls
        starts, costs, devices = (a.start, b.start), (a.cost, b.cost), b.devices
        anew = self._clock() - began <= COMPILING_SHARE * self._plan.budget_s
        unlike = self._unlike(a, b)
        why = f"their results differ: {unlike}" if unlike and self._plan.equal else ""
        del a, b  # so that a restart's arrays are gone before the next one's are made
        if not why:
            steps, fewest = self._calibrated()
            self._ready_s = self._clock() - began
            why = self._restarts(steps, fewest, end=began + self._plan.budget_s, anew=anew)
        return Compared(
            names=self._names,
            verdict="broken" if why else self._verdict(),
            rule=self._plan.rule,
            trial=self._trial,
            kind=self._plan.kind,
            call_s=(over_restarts(self._call_s[A]), over_restarts(self._call_s[B])) if self._trial.logs else None,
            starts=starts,
            costs=costs,
            devices=devices,
            seconds=self._clock() - began,
            ready_s=self._ready_s,
            recompiled=anew,
            why=why,
            unlike="" if why else unlike,
            found=tuple(self._found),
        )

    def _begun(self) -> Pair:
        """Both for the first time, which settles whether their state is carried on."""
        calls = self._started(keep=True)
        if self._carry is None and calls[A].carried != calls[B].carried:
            self._carry = True  # one of them donates what is a state for both, then
            calls = self._started(keep=True)
        return calls

    def _started(self, *, keep: bool = False) -> Pair:
        """Both compiled anew, in turn."""
        made = {
            side: self._begin(self._functions[side], self._args, carry=self._carry, keep=keep, clock=self._clock)
            for side in self._order
        }
        for side, name in enumerate(self._names):
            self._found |= dict.fromkeys(f"{name}: {said}" for said in made[side].found)
            if self._plan.kind not in made[side].kinds:
                raise UsageError(
                    f"{name} deletes arguments that nothing it gives can take the place of, so its calls can't be "
                    "chained: compare their latency."
                )
        a, b = made[A], made[B]
        a.spent = b.spent = tuple(sorted({*a.spent, *b.spent}))  # what one needs copied is copied for both
        return a, b

    def _turned(self, restart: int) -> list[int]:
        """Who comes first in a restart: drawn, and the other one in the next, so that chance doesn't favour a side.

        Who is compiled first, and has its arguments copied first, may have the better memory.
        """
        return self._random.sample((A, B), 2) if restart % 2 == 0 else self._order[::-1]

    def _unlike(self, a: Calls, b: Calls) -> str:
        tolerance = self._plan.tolerance
        if tolerance is None:
            tolerance = coarse(a.jaxpr, b.jaxpr)
        unlike = unequal(b.first, a.first, tolerance)
        a.first = b.first = None
        return unlike

    def _restarts(self, steps: int, fewest: int, *, end: float, anew: bool) -> str:
        """Adds log-ratios to the trial; gives what breaks it, if something does."""
        restart_s = 0.0
        for restart in range(LOOKS[-1]):
            if self._verdict() != "inconclusive" or (restart and self._clock() + restart_s > end):
                break
            began = self._clock()
            self._order = self._turned(restart) if restart else self._order
            if restart and anew:
                del self._calls
                self._calls = self._started()
            else:
                for side in self._order:
                    self._calls[side].renew()
            self._restart(steps, fewest)
            if why := self._recompiled():
                return why
            restart_s = self._clock() - began
        self._found |= dict.fromkeys(
            f"{name}: the state that is carried on doesn't stay finite, and its time may depend on that."
            for name, call in zip(self._names, self._calls, strict=True)
            if not call.is_finite()
        )
        return ""

    def _calibrated(self) -> tuple[int, int]:
        """Calls in a block, the same on both sides: as many as the quicker one makes in its time. The fewest rounds."""
        kind = self._plan.kind
        call_s = min(rough(partial(self._calls[side].block, kind)) for side in self._order)
        steps = max(1 if kind == "latency" else 2, round(BLOCK_S / call_s))
        return steps, FEWEST_LONG_ROUNDS if call_s > LONG_CALL_S else FEWEST_ROUNDS

    def _restart(self, steps: int, fewest: int) -> None:
        def ask(side: int) -> Block:
            return self._calls[side].block(self._plan.kind, steps)

        first = self._random.choice((A, B))
        with uncollected():
            for side in (first, 1 - first):
                ask(side)  # the first after compiling, not counted
            rounds = list(alternating(ask, first, self._clock, fewest=fewest, seconds=ROUNDS_S))
        for side in (A, B):
            self._call_s[side].append(statistics.median(r.blocks[side].seconds / r.blocks[side].steps for r in rounds))
        logs = (*self._trial.logs, log_ratio([one.log for one in rounds]))
        self._trial = judged({None: replace(self._trial, logs=logs)}, self._plan.rule)[None]

    def _verdict(self) -> Verdict:
        """Where being slower is all that matters, a claim of the opposite needn't be confirmed."""
        claim = self._trial.claim
        if claim and claim.direction == "faster" and self._plan.rule.only_slower:
            return "same"
        return self._trial.verdict or "inconclusive"

    def _recompiled(self) -> str:
        for name, call in zip(self._names, self._calls, strict=True):
            if call.recompiled:
                return f"{name} was compiled {call.recompiled} more times while it was timed"
        return ""
