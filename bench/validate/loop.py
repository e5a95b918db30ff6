"""The harness's time of a step against a loop written by hand, in one process, asked in turn."""

from __future__ import annotations

import math
import multiprocessing
import statistics
import time
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from bench.cases import PRESET_BATCH, Case
from bench.stats import interval

Way = Literal["waited", "chained"]
WAYS: tuple[Way, ...] = ("waited", "chained")
BLOCK_S = 0.05


class Compared(msgspec.Struct, frozen=True):
    """One workload and way of running its steps: the harness's step time over the loop's, by restart."""

    workload: str
    way: Way
    ratios: tuple[float, ...]
    low: float
    high: float
    """Ends of the 95% interval, from restarts."""

    @property
    def value(self) -> float:
        return math.exp(statistics.fmean(math.log(ratio) for ratio in self.ratios))


def compared(workloads: Sequence[str], restarts: int, rounds: int) -> tuple[Compared, ...]:
    """Each restart is a process of its own, on a core of its own."""
    found = []
    for workload in workloads:
        context = multiprocessing.get_context("spawn")
        by_restart = []
        for _ in range(restarts):
            with context.Pool(1) as pool:
                by_restart.append(pool.apply(_restart, (workload, rounds)))
        for way in WAYS:
            ratios = tuple(one[way] for one in by_restart)
            mean = interval([math.log(ratio) for ratio in ratios])
            found.append(Compared(workload, way, ratios, mean.low or 0.0, mean.high or math.inf))
    return tuple(found)


def _restart(name: str, rounds: int) -> dict[Way, float]:
    """The median ratio of couples of rounds, in which each of both comes first once."""
    from bench import environment

    environment.pin(environment.usable_cores()[-1:])
    import jax

    from bench.holder import Holder, epoch_of
    from bench.lookup import workload
    from bench.reference import unstacked

    case = Case(workload=name, mode="single", batch=PRESET_BATCH[name])
    of = workload(case)
    holder = Holder(case, of)
    holder.compile()
    step = jax.jit(of.step, donate_argnums=0)
    state = of.init(jax.random.PRNGKey(42))
    batches = [jax.device_put(batch) for batch in unstacked(epoch_of(of, case.batch))]

    def by_hand(way: Way, steps: int) -> float:
        nonlocal state
        began = time.perf_counter()
        for i in range(steps):
            state, metrics = step(state, batches[i % len(batches)])
            if way == "waited":
                jax.block_until_ready((state, metrics))
        jax.block_until_ready(state)
        return (time.perf_counter() - began) / steps

    def by_harness(way: Way, steps: int) -> float:
        block = holder.block("latency" if way == "waited" else "throughput", steps)
        return block.seconds / block.steps

    return {way: _ratio(by_harness, by_hand, way, rounds) for way in WAYS}


def _ratio(by_harness: Any, by_hand: Any, way: Way, rounds: int) -> float:
    for _ in range(3):  # compiles, and compiles again for what a first step gave
        by_hand(way, 1)
    steps = 1
    while steps * by_hand(way, steps) < BLOCK_S:
        steps *= 2
    by_harness(way, steps)
    logs = []
    for _ in range(rounds):
        first = math.log(by_harness(way, steps) / by_hand(way, steps))
        hand, harness = by_hand(way, steps), by_harness(way, steps)
        logs.append((first + math.log(harness / hand)) / 2)
    return math.exp(statistics.median(logs))
