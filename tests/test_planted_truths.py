"""Truths that are planted into real steps, compiled by JAX, and told for what they are.

No time is real: what a step takes is what it tells a clock from within, by a callback, so it is known exactly.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import planted
import pytest
from jax.experimental import io_callback
from jax.sharding import NamedSharding, PartitionSpec

from bench import cli, timing
from bench.cases import Case
from bench.comparison import read
from bench.duet import Duets, Event, Judged, Pace, Pair
from bench.holder import Holder
from bench.live import PRELOAD, LiveWorker, Pipe, nursery
from bench.measured import KINDS, Block, Certificate, Compiled, Kind
from bench.verdict import Rule, judged
from toynet.mesh import make_mesh
from toynet.workload import Workload

CASE = Case(workload="planted:right", mode="single", batch=8)
LIMIT_S = 300.0


@dataclass
class Clock:
    """A clock that stands still but for what steps tell it."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def lasting(clock: Clock, step_s: Callable[[float], float]) -> Workload:
    """The right workload, each of whose steps moves the clock on by what it takes at that time."""

    def tell(steps: np.ndarray) -> np.ndarray:
        clock.now += step_s(clock.now)
        return steps

    def step(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        # What is told goes into the state, or the step would be ready before it was told.
        count = jax.ShapeDtypeStruct((), jnp.int32)
        state = {**state, "steps": io_callback(tell, count, state["steps"])}
        return planted.step(state, batch, axis_name)

    return dataclasses.replace(planted.right, step=step)


def test_a_step_of_known_length_is_told_as_that_length_whatever_the_kind_of_block() -> None:
    clock = Clock()
    holder = Holder(CASE, lasting(clock, lambda _: 0.25), clock=clock)
    assert holder.compile().stages.first_step_s == 0.25
    assert holder.block("latency", 3) == Block(steps=3, seconds=0.75, dispatch_s=0.75, fastest_s=0.25)
    assert holder.block("throughput", 40) == Block(steps=40, seconds=10.0)
    assert holder.block("fused", 8) == Block(steps=8, seconds=2.0)  # two epochs of four steps in one program


def test_a_short_step_is_sized_up_by_blocks_that_the_clock_resolves() -> None:
    clock = Clock()
    holder = Holder(CASE, lasting(clock, lambda _: 2.0**-10), clock=clock)
    holder.compile()
    assert holder.rough() == dict.fromkeys(KINDS, 2.0**-10)


class Gate:
    """A clock, and steps of 10 s on two devices that can't be done before the call that started them has returned.

    Each waits until the clock is read a second time, which `latency` does when the call has returned.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.readings = 0
        self._returned = threading.Semaphore(0)
        self._moving = threading.Lock()

    def clock(self) -> float:
        now = self.now
        if self.readings % 2:
            self._returned.release(2)
        self.readings += 1
        return now

    def work(self, shard: np.ndarray) -> np.ndarray:
        if not self._returned.acquire(timeout=LIMIT_S):
            raise TimeoutError("the call didn't return before its step was done")
        with self._moving:
            self.now += 5.0
        return shard


def test_a_step_that_returns_before_it_is_done_is_charged_until_all_devices_are() -> None:
    gate, mesh, halves = Gate(), make_mesh(1, 2), PartitionSpec("data")

    @jax.jit
    @functools.partial(jax.shard_map, mesh=mesh, in_specs=halves, out_specs=(halves, halves))
    def step(state: jax.Array, batch: jax.Array) -> tuple[jax.Array, jax.Array]:
        done = jax.pure_callback(gate.work, jax.ShapeDtypeStruct(state.shape, state.dtype), state)
        return done + batch, done

    placed = jax.device_put(jnp.zeros(4), NamedSharding(mesh, halves))
    program = step.lower(placed, placed).compile()
    _, block = timing.latency(program, placed, [placed], 3, gate.clock)
    assert block == Block(steps=3, seconds=30.0, dispatch_s=0.0, fastest_s=10.0)


class Held:
    """A real case, held without a process."""

    def __init__(self, clock: Clock, workload: Workload) -> None:
        self._clock, self._workload = clock, workload

    def begin_prepare(self, case: Case, cores: Sequence[int], *others: Sequence[int]) -> None:
        self._holder = Holder(case, self._workload, clock=self._clock)

    def end_prepare(self) -> None: ...
    def begin_compile(self) -> None: ...

    def end_compile(self) -> Compiled:
        return self._holder.compile()

    def begin_check(self, fused: bool | None = None) -> None:
        self._fused = fused

    def end_check(self) -> Certificate:
        return self._holder.check(self._fused)

    def rough(self, kinds: Sequence[Kind] = KINDS) -> dict[Kind, float]:
        return self._holder.rough(kinds)

    def traces(self) -> int:
        return self._holder.traces()

    def block(self, kind: Kind, steps: int) -> Block:
        return self._holder.block(kind, steps)

    def close(self) -> None: ...


PAIR = Pair("right", CASE, CASE)


def compared(clock: Clock, a: Workload, b: Workload, **pace: Any) -> list[Event]:
    """What happens when both are asked in turn, on one clock, until the verdict is clear."""
    judge = functools.partial(judged, rule=Rule(threshold=0.03))
    started = nullcontext((lambda: Held(clock, a), lambda: Held(clock, b)))
    return list(Duets(lambda: started, clock, Pace(**pace), judge, [0], pinned=False).run([PAIR]))


def test_a_step_that_takes_a_fifth_more_is_slower_by_that_although_the_machine_drifts() -> None:
    clock = Clock()

    def drifting(step_s: float) -> Workload:
        return lasting(clock, lambda now: step_s * (1 + 0.02 * now))  # 2% slower every second

    events = compared(clock, drifting(2e-3), drifting(2.4e-3), rounds_s=0.2)
    trial = [event.trial for event in events if isinstance(event, Judged)][-1]
    assert trial.verdict == "slower"
    assert trial.ratio is not None
    assert trial.ratio.value == pytest.approx(1.2, abs=1e-4)


def test_a_cold_compilation_cache_is_told_from_a_warm_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    with nursery(LIMIT_S, tmp_path, PRELOAD) as start:
        assert [compile_cached(start) for _ in range(3)] == [False, True, True]


def compile_cached(start: Callable[[], LiveWorker[Pipe]]) -> bool:
    with closing(start()) as worker:
        worker.begin_prepare(CASE, [0])
        worker.end_prepare()
        worker.begin_compile()
        return worker.end_compile().stages.compile_cached


def test_a_step_that_is_traced_again_in_the_middle_of_its_blocks_breaks_its_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for side, name in (("a", "slow"), ("b", "retraced")):
        (tmp_path / side).mkdir()
        (tmp_path / side / "mine.py").write_text(f"from planted import {name} as workload")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    sides = [f"path={tmp_path / side}" for side in "ab"]
    out = tmp_path / "ab.json"
    brief = ["--workloads", "mine:workload", "--rounds-s", "0.1", "--restarts", "3", "--quiet", "--out", str(out)]
    assert cli.main(["ab", *sides, *brief]) == 4
    (pair,) = read(out).pairs
    assert re.fullmatch(r"B: its step was traced \d+ more times while it was timed", pair.why or "")
