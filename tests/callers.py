"""Functions that take as long as a test says, in place of what is compiled and timed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.calls import Kind, Start
from bench.measured import Block, Cost
from bench.paired import Compared, Plan
from bench.pairing import Pairing
from bench.verdict import Rule

START = Start(trace_s=0.01, lower_s=0.02, compile_s=0.3, compile_cached=False, first_call_s=0.001)


def old(x: Any) -> Any:
    return x


def new(x: Any) -> Any:
    return x


@dataclass
class World:
    """A clock, and what becomes of the functions that are called there."""

    call_s: dict[Callable[..., Any], Callable[[float], float]]
    """Seconds of a call at a time."""
    compiling_s: float = 0.04
    gives: dict[Callable[..., Any], Any] = field(default_factory=dict)
    found: dict[Callable[..., Any], list[str]] = field(default_factory=dict)
    recompiled: dict[Callable[..., Any], int] = field(default_factory=dict)
    carried: dict[Callable[..., Any], bool] = field(default_factory=dict)
    flops: dict[Callable[..., Any], float] = field(default_factory=dict)
    kinds: tuple[Kind, ...] = ("latency", "throughput")
    finite: bool = True
    now: float = 0.0
    begun: list[Callable[..., Any]] = field(default_factory=list)
    renewed: list[Callable[..., Any]] = field(default_factory=list)
    carry: list[bool | None] = field(default_factory=list)
    blocks: list[tuple[Callable[..., Any], Kind, int]] = field(default_factory=list)

    def again(self) -> World:
        """The same one, from its beginning."""
        return World(self.call_s, self.compiling_s)

    def clock(self) -> float:
        return self.now

    def begin(self, function: Callable[..., Any], args: Sequence[Any], **options: Any) -> Any:
        self.begun.append(function)
        self.carry.append(options["carry"])
        self.now += self.compiling_s
        return Called(self, function)

    def pairing(self, a: Callable[..., Any], b: Callable[..., Any], plan: Plan) -> Pairing:
        return Pairing((a, b), (), plan, begin=self.begin, clock=self.clock)

    def compared(self, *, only_slower: bool = False, threshold: float = 0.05, **options: Any) -> Compared:
        """`new` with `old`."""
        plan = Plan(rule=Rule(threshold=threshold, only_slower=only_slower), **{"seed": 0, **options})
        return self.pairing(old, new, plan).run()


class Called:
    """One function there, ready to be called."""

    def __init__(self, world: World, function: Callable[..., Any]) -> None:
        self.world, self.function = world, function
        self.start, self.jaxpr, self.devices, self.donated = START, None, 1, ()
        self.cost = Cost(world.flops.get(function, 1000.0), 2000.0, 400, 40, 4, 0, ())
        self.first = world.gives.get(function, np.float32(1))
        self.found = world.found.get(function, [])
        self.carried = world.carried.get(function, True)
        self.kinds, self.spent = world.kinds, ()
        self.recompiled = 0

    def renew(self) -> None:
        self.world.renewed.append(self.function)

    def is_finite(self) -> bool:
        return self.world.finite

    def block(self, kind: Kind, calls: int) -> Block:
        world = self.world
        world.blocks.append((self.function, kind, calls))
        self.recompiled = world.recompiled.get(self.function, 0)
        seconds = calls * world.call_s[self.function](world.now)
        world.now += seconds
        return Block(calls, seconds, seconds / 2 if kind == "latency" else None)


def steady(seconds: float) -> Callable[[float], float]:
    return lambda now: seconds


def world(old_s: float = 1e-4, new_s: float = 1e-4, **options: Any) -> World:
    """Where calls of `old` and `new` take that long, at any time."""
    return World({old: steady(old_s), new: steady(new_s)}, **options)
