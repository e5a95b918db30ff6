"""What a block is charged, with a device that finishes when the clock says so and a wait that moves the clock."""

import gc
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench import timing
from bench.measured import Block


@dataclass
class Device:
    """Runs one step after another; a call returns long before its step is done."""

    now: float = 0.0
    call_s: float = 1.0
    step_s: float = 10.0
    free_at: float = 0.0
    ready_at: dict[Any, float] = field(default_factory=dict)
    given: list[tuple[Any, Any]] = field(default_factory=list)
    waits: list[Any] = field(default_factory=list)
    most_unfinished: int = 0

    def clock(self) -> float:
        return self.now

    def step(self, state: str, batch: str) -> tuple[str, str]:
        """A state and metrics, named after their number; the metrics of a step are ready before its state."""
        self.given.append((state, batch))
        self.now += self.call_s
        self.free_at = max(self.free_at, self.now) + self.step_s
        number = len(self.given)
        self.ready_at[f"state {number}"] = self.free_at
        self.ready_at[f"metrics {number}"] = self.free_at - self.step_s / 2
        unfinished = sum(at > self.now for name, at in self.ready_at.items() if name.startswith("metrics"))
        self.most_unfinished = max(self.most_unfinished, unfinished)
        return f"state {number}", f"metrics {number}"

    def wait(self, results: Any) -> Any:
        """Until all of them are ready."""
        leaves = jax.tree.leaves(results)
        self.waits.append(leaves)
        self.now = max([self.now, *(self.ready_at[leaf] for leaf in leaves)])
        return results


def test_a_step_that_returns_before_it_is_done_is_charged_until_it_is() -> None:
    device = Device()
    state, block = timing.latency(device.step, "start", ["a"], 3, device.clock, device.wait)
    assert state == "state 3"
    # Each call takes 1 s and each step 10 s more; the call alone is what dispatch counts.
    assert block == Block(steps=3, seconds=33, dispatch_s=3, fastest_s=11)


def test_latency_waits_for_every_output_of_every_step() -> None:
    device = Device()
    timing.latency(device.step, "start", ["a"], 3, device.clock, device.wait)
    assert device.waits == [[f"state {i}", f"metrics {i}"] for i in (1, 2, 3)]
    assert device.most_unfinished == 1


def test_the_fastest_step_is_the_fastest_one() -> None:
    device = Device()

    def faster_each_time(state: str, batch: str) -> tuple[str, str]:
        device.step_s -= 2
        return device.step(state, batch)

    _, block = timing.latency(faster_each_time, "start", ["a"], 3, device.clock, device.wait)
    assert (block.seconds, block.fastest_s) == (9 + 7 + 5, 5)


@pytest.mark.parametrize("in_flight", [1, 2, 5])
def test_throughput_never_has_more_steps_unfinished_than_may_be_in_flight(in_flight: int) -> None:
    device = Device()
    state, block = timing.throughput(device.step, "start", ["a"], 8, device.clock, in_flight, device.wait)
    assert state == "state 8"
    assert block.steps == 8
    assert device.most_unfinished == in_flight


def test_throughput_is_charged_until_the_last_output_of_the_chain_is_ready() -> None:
    device = Device()
    _, block = timing.throughput(device.step, "start", ["a"], 4, device.clock, 32, device.wait)
    assert block == Block(steps=4, seconds=41)  # one call, then four steps back to back
    assert "state 4" in device.waits[-1]
    assert {f"metrics {i}" for i in (1, 2, 3, 4)} <= {leaf for wait in device.waits for leaf in wait}


@pytest.mark.parametrize("kind", ["latency", "throughput"])
def test_batches_are_taken_in_turn_and_each_step_gets_the_state_of_the_one_before(kind: str) -> None:
    device = Device()
    if kind == "latency":
        timing.latency(device.step, "start", ["a", "b"], 5, device.clock, device.wait)
    else:
        timing.throughput(device.step, "start", ["a", "b"], 5, device.clock, 2, device.wait)
    assert device.given == list(zip(["start", *(f"state {i}" for i in range(1, 5))], "ababa", strict=True))


def test_fused_counts_the_steps_of_every_epoch_and_is_charged_until_all_is_ready() -> None:
    device, calls = Device(), []

    def epoch(state: str, stacked: Any, times: int) -> tuple[str, str]:
        calls.append((state, times))
        return device.step(state, "all")

    stacked = {"x": np.zeros((25, 32, 2)), "y": np.zeros((25, 32))}
    state, block = timing.fused(epoch, "start", stacked, 4, device.clock, device.wait)
    assert state == "state 1"
    assert calls == [("start", 4)]
    assert block == Block(steps=100, seconds=11)  # 4 epochs of 25 steps
    assert device.waits == [["state 1", "metrics 1"]]


def test_a_call_is_timed_until_what_it_gives_is_ready() -> None:
    device = Device()
    result, seconds = timing.timed(lambda: device.step("start", "a"), device.clock, device.wait)
    assert (result, seconds) == (("state 1", "metrics 1"), 11)


def test_the_wait_that_is_used_where_none_is_handed_in_waits_for_jax() -> None:
    def step(state: jax.Array, batch: jax.Array) -> tuple[jax.Array, jax.Array]:
        return state + batch, state

    ticks = iter(range(100))
    state, block = timing.latency(step, jnp.zeros(()), [jnp.ones(())], 3, lambda: float(next(ticks)))
    assert float(state) == 3
    assert block == Block(steps=3, seconds=6, dispatch_s=3, fastest_s=2)  # the clock is read twice a step


class Stage:
    """A jitted step, traced, lowered and compiled: each stage moves the clock."""

    def __init__(self, device: Device, hits: int) -> None:
        self.device, self.hits = device, hits

    def trace(self, state: str, batch: str) -> "Stage":
        self.device.now += 1
        return self

    def lower(self) -> "Stage":
        self.device.now += 2
        return self

    def compile(self) -> str:
        self.device.now += 4
        for _ in range(self.hits):
            jax.monitoring.record_event("/jax/compilation_cache/cache_hits")
        jax.monitoring.record_event("/jax/compilation_cache/compile_requests_use_cache")
        return "program"


def test_tracing_lowering_and_compiling_are_timed_apart() -> None:
    device = Device(now=100)
    stage = Stage(device, 0)
    assert timing.compiled(stage, ("state", "batch"), device.clock) == (stage, "program", (1, 2, 4), False)


def test_a_compilation_that_a_cache_answered_is_said_to_be_one_and_later_ones_are_not() -> None:
    device = Device()
    assert timing.compiled(Stage(device, 1), ("state", "batch"), device.clock)[3] is True
    jax.monitoring.record_event("/jax/compilation_cache/cache_hits")  # of something else, between the two
    assert timing.compiled(Stage(device, 0), ("state", "batch"), device.clock)[3] is False


def test_a_compiled_step_is_one_that_runs() -> None:
    step = jax.jit(lambda state, batch: (state + batch, state))
    traced, program, stages, cached = timing.compiled(step, (jnp.zeros(3), jnp.ones(3)), iter(range(10)).__next__)
    assert program(jnp.zeros(3), jnp.ones(3))[0].tolist() == [1, 1, 1]
    assert len(traced.jaxpr.eqns) == 1
    assert stages == (1, 1, 1)  # the clock is read at the four ends of three stages
    assert cached is False


def test_chains_on_several_cpu_devices_keep_one_step_in_flight() -> None:
    # More of them than the threads that answer collectives can starve, and XLA aborts the process (jax-facts).
    assert timing.in_flight(1) > 1
    assert timing.in_flight(2) == timing.in_flight(8) == 1


def test_a_rough_time_comes_from_a_block_that_the_clock_resolves() -> None:
    asked: list[int] = []

    def block(calls: int) -> Block:
        asked.append(calls)
        return Block(calls, 1e-5 * calls)

    assert timing.rough(block) == pytest.approx(1e-5)
    assert asked == [1, 4, 16, 64, 256]


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_waits_and_is_then_as_it_was(*, enabled: bool) -> None:
    was = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with timing.uncollected():
            assert not gc.isenabled()
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if was else gc.disable)()
