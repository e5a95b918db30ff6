"""One function and its arguments, measured in this process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.calls import Calls, Kind, Start
from bench.handed import check_options
from bench.measured import Block, Cost
from bench.report import inline
from bench.stats import Estimate, over_restarts
from bench.timing import Clock, rough, uncollected
from toynet.errors import UsageError

BUDGET_S = 2.0
RESTARTS = 5
FEWEST_RESTARTS = 2
BLOCK_S = 0.01
FEWEST_BLOCKS = 3
# Of the budget: what takes longer than that to compile is compiled once.
COMPILING_SHARE = 0.2
# A chain of calls that are as long differs from waited ones by their dispatch, which is nothing beside that.
LONG_CALL_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a call takes and needs.

    Intervals come from restarts: compiled anew, with fresh copies of the arguments, so that code and data lie elsewhere
    as far as one process can make them. The process, its threads and the cores that they run on aren't drawn anew, so
    another process may find a time outside of them; `python -m bench run` draws these, too.
    """

    name: str
    start: Start
    """Of the first restart."""
    latency_s: Estimate
    """A call that is waited for."""
    throughput_s: Estimate | None
    """A call in a chain, bounded in flight; None for long calls, and where each needs arguments copied for it."""
    dispatch_s: Estimate | None
    """Until a call returns."""
    cost: Cost
    """Of a call on each device."""
    devices: int
    carried: bool
    """Whether what came out went in again as the first argument."""
    donated: tuple[int, ...]
    """The numbers of the arguments that it deletes."""
    recompiled: bool
    """Whether restarts compiled anew; else arguments alone were copied anew."""
    found: tuple[str, ...]
    """What to know of its calls, a sentence each."""
    seconds: float
    """That all of it took."""

    @property
    def restarts(self) -> int:
        return self.latency_s.restarts

    @property
    def flops_per_s(self) -> Estimate | None:
        """Of all devices together, in calls that are waited for; None where FLOPs aren't known."""
        return self.latency_s.inverse().times(self.cost.flops * self.devices) if self.cost.flops else None

    def __repr__(self) -> str:
        return inline.measured_line(self)

    def _repr_html_(self) -> str:
        return inline.measured_table(self)


def measure(
    function: Callable[..., Any],
    *args: Any,
    budget_s: float = BUDGET_S,
    carry: bool | None = None,
    **others: Any,
) -> Measured:
    """What a call of the function with these arguments takes, and what its program needs.

    It is jitted if it isn't, and compiled apart from its calls; every output is waited for. `budget_s`: seconds for all
    of it, about; two restarts are made in any case. `carry`: whether the first output goes in again as the first
    argument (None: if it looks like a state, as `bench.calls.Calls` says).

    Raises UsageError for what can't be asked so, and whatever the function raises.
    """
    check_options(others)
    return measured(function, args, budget_s=budget_s, carry=carry)


def measured(
    function: Callable[..., Any],
    args: Sequence[Any],
    *,
    budget_s: float,
    carry: bool | None,
    begin: Callable[..., Calls] = Calls,
    clock: Clock = time.perf_counter,
) -> Measured:
    """As `measure`; the clock, and what makes the function ready to be called, are handed in."""
    if not budget_s > 0:
        raise UsageError(f"a budget of more than 0 seconds was expected, got {budget_s}.")
    began = clock()
    calls = begin(function, args, carry=carry, clock=clock)
    start, found = calls.start, dict.fromkeys(calls.found)
    anew = clock() - began <= COMPILING_SHARE * budget_s
    steps = _calibrated(calls)
    restarts: list[dict[Kind, list[Block]]] = []
    while len(restarts) < FEWEST_RESTARTS or (len(restarts) < RESTARTS and clock() < began + budget_s):
        if restarts and anew:
            calls = begin(function, args, carry=carry, clock=clock)
        else:
            calls.renew()
        restarts.append(_blocks(calls, steps, clock, until_s=began + budget_s * (len(restarts) + 1) / RESTARTS))
        found |= _findings(calls)
    return Measured(
        name=inline.names([function], ["the function"])[0],
        start=start,
        latency_s=_estimate(restarts, "latency", lambda block: block.seconds / block.steps),
        throughput_s=_estimate(restarts, "throughput", lambda b: b.seconds / b.steps)
        if "throughput" in steps
        else None,
        dispatch_s=_dispatch(restarts),
        cost=calls.cost,
        devices=calls.devices,
        carried=calls.carried,
        donated=calls.donated,
        recompiled=anew,
        found=tuple(found),
        seconds=clock() - began,
    )


def _calibrated(calls: Calls) -> dict[Kind, int]:
    """Calls in a block of each kind that makes sense."""
    latency_s = rough(lambda n: calls.block("latency", n))
    steps: dict[Kind, int] = {"latency": max(1, round(BLOCK_S / latency_s))}
    if "throughput" in calls.kinds and latency_s < LONG_CALL_S:
        steps["throughput"] = max(2, round(BLOCK_S / rough(lambda n: calls.block("throughput", n))))
    return steps


def _blocks(calls: Calls, steps: dict[Kind, int], clock: Clock, *, until_s: float) -> dict[Kind, list[Block]]:
    """Blocks of each kind in turn until then, and a few at least."""
    found: dict[Kind, list[Block]] = {kind: [] for kind in steps}
    with uncollected():
        for kind in steps:
            calls.block(kind, steps[kind])  # the first after compiling, not counted
        while clock() < until_s or len(found["latency"]) < FEWEST_BLOCKS:
            for kind, blocks in found.items():
                blocks.append(calls.block(kind, steps[kind]))
    return found


def _findings(calls: Calls) -> dict[str, None]:
    said = list(calls.found)
    if calls.recompiled:
        said.append("It was compiled again while it was timed, which is in these times.")
    if not calls.is_finite():
        said.append("The state that is carried on doesn't stay finite, and its time may depend on that.")
    return dict.fromkeys(said)


def _estimate(restarts: Sequence[dict[Kind, list[Block]]], kind: Kind, of: Callable[[Block], float]) -> Estimate:
    return over_restarts([statistics.median(of(block) for block in blocks[kind]) for blocks in restarts])


def _dispatch(restarts: Sequence[dict[Kind, list[Block]]]) -> Estimate | None:
    if any(block.dispatch_s is None for blocks in restarts for block in blocks["latency"]):
        return None
    return _estimate(restarts, "latency", lambda block: (block.dispatch_s or 0.0) / block.steps)
