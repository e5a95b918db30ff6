"""Compile in its stages, and blocks of steps; the clock is handed in, and every output is waited for here."""

from __future__ import annotations

import contextlib
import gc
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax

from bench.measured import Block

Clock = Callable[[], float]
Wait = Callable[[Any], Any]
Step = Callable[[Any, Any], tuple[Any, Any]]

# Steps under way at once. On several CPU devices a queue of collectives can starve the threads that
# would answer them, and XLA then aborts the process; one step at a time is safe.
IN_FLIGHT = 32
IN_FLIGHT_ON_CPU_DEVICES = 1
# A rough time wants a block that the clock resolves well.
ROUGH_BLOCK_S = 0.002


def in_flight(devices: int) -> int:
    """Steps that may be under way at once on that many devices of the default backend."""
    return IN_FLIGHT_ON_CPU_DEVICES if jax.default_backend() == "cpu" and devices > 1 else IN_FLIGHT


def compiled(function: Any, args: Sequence[Any], clock: Clock) -> tuple[Any, Any, tuple[float, float, float], bool]:
    """A jitted function traced and compiled; the seconds of tracing, lowering, compiling; whether a cache answered.

    One that another library has jitted may offer `lower` only: then it is traced in that, and the first is None.
    """
    hits: list[str] = []

    def listen(event: str, **_: Any) -> None:
        if event == "/jax/compilation_cache/cache_hits":
            hits.append(event)

    start = clock()
    traced = function.trace(*args) if hasattr(function, "trace") else None
    after_trace = clock()
    lowered = function.lower(*args) if traced is None else traced.lower()
    after_lower = clock()
    jax.monitoring.register_event_listener(listen)
    try:
        program = lowered.compile()
    finally:
        jax.monitoring.unregister_event_listener(listen)
    seconds = (after_trace - start, after_lower - after_trace, clock() - after_lower)
    return traced, program, seconds, bool(hits)


def timed(function: Callable[[], Any], clock: Clock, wait: Wait = jax.block_until_ready) -> tuple[Any, float]:
    """What a call gives, all of it ready, and the seconds until then."""
    start = clock()
    result = wait(function())
    return result, clock() - start


def latency(
    step: Step, state: Any, batches: Sequence[Any], steps: int, clock: Clock, wait: Wait = jax.block_until_ready
) -> tuple[Any, Block]:
    """Steps of which each is waited for, the batches taken in turn."""
    times: list[float] = []  # reckoned with afterwards, for that would take longer than a hundredth of a small step
    note = times.append
    start = clock()
    for batch in itertools.islice(itertools.cycle(batches), steps):
        state, metrics = step(state, batch)
        note(clock())
        wait((state, metrics))
        note(clock())
    returned, ready = times[::2], times[1::2]
    began = [start, *ready[:-1]]
    dispatch_s = math.fsum(after - before for before, after in zip(began, returned, strict=True))
    fastest_s = min(after - before for before, after in zip(began, ready, strict=True))
    return state, Block(steps, ready[-1] - start, dispatch_s, fastest_s)


def throughput(
    step: Step,
    state: Any,
    batches: Sequence[Any],
    steps: int,
    clock: Clock,
    in_flight: int,
    wait: Wait = jax.block_until_ready,
) -> tuple[Any, Block]:
    """A chain of steps, at most `in_flight` of them under way, waited for at the end.

    Where the bound is reached, half of them are waited for at once, by the last of these, which needs the
    state of those before: to wait each time would cost a small step a tenth of its time.
    """
    pending: list[Any] = []
    half = -(-in_flight // 2)
    start = clock()
    for batch in itertools.islice(itertools.cycle(batches), steps):
        if len(pending) == in_flight:
            wait(pending[half - 1])
            del pending[:half]
        state, metrics = step(state, batch)
        pending.append(metrics)
    wait((state, pending))
    return state, Block(steps, clock() - start)


def fused(
    epoch: Callable[[Any, Any, int], tuple[Any, Any]],
    state: Any,
    stacked: Any,
    times: int,
    clock: Clock,
    wait: Wait = jax.block_until_ready,
) -> tuple[Any, Block]:
    """One call that runs a stack of batches so many times over."""
    steps = times * jax.tree.leaves(stacked)[0].shape[0]
    (state, _), seconds = timed(lambda: epoch(state, stacked, times), clock, wait)
    return state, Block(steps, seconds)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Python's garbage collector waits meanwhile: how long it takes depends on the rest of the process."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def rough(block: Callable[[int], Block]) -> float:
    """Seconds a call, roughly, from blocks of more and more calls until one takes what the clock resolves well."""
    found = block(1)
    while found.seconds < ROUGH_BLOCK_S:
        found = block(4 * found.steps)
    return found.seconds / found.steps
