"""Two sides asked in turn: with workers that only count, and a clock that they move. Planted truths are told."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from bench.cases import Case
from bench.duet import Agreed, Broke, Duets, Event, Judged, Opened, Pace, Pair, Played, unlike
from bench.measured import KINDS, Block, Certificate, Check, Compiled, Cost, Kind, Stages
from bench.verdict import Rule, Trial, judged
from bench.workers import WorkerFailed
from toynet.errors import UsageError

SINGLE = Case(workload="tutorial", mode="single")
TWO = Case(workload="tutorial", mode="data_parallel", data_shards=2)
PAIR = Pair("single", SINGLE, SINGLE)
OTHER = Pair("other", TWO, TWO)
RULE = Rule(threshold=0.03)
COST = Cost(1.0, 2.0, 3, 4, 5, 1, ())
STAGES = Stages(0.1, 0.2, 0.3, False, 0.4, 0.5)


@dataclass
class World:
    """Both sides' workers, what was asked of them, and a clock that blocks move."""

    step_s: tuple[Callable[[float], float], Callable[[float], float]] = (lambda _: 1e-3, lambda _: 1e-3)
    """Seconds a step of a side at a time."""
    start_s: float = 1.0
    failing: dict[tuple[str, str], Exception] = field(default_factory=dict)
    """Of a side, in a phase."""
    losses: tuple[tuple[float, ...], tuple[float, ...]] = ((0.7, 0.6), (0.7, 0.6))
    checks: dict[str, Check] = field(default_factory=dict)
    retraces: dict[str, int] = field(default_factory=dict)
    rough: tuple[Kind, ...] = KINDS
    now: float = 0.0
    asked: list[tuple[str, str]] = field(default_factory=list)
    cores: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    alive: int = 0
    most_alive: int = 0
    nurseries: int = 0

    @contextmanager
    def nursery(self) -> Iterator[tuple[Callable[[], Fake], Callable[[], Fake]]]:
        self.nurseries += 1
        yield lambda: Fake(self, "A"), lambda: Fake(self, "B")
        assert not self.alive

    def duets(self, rule: Rule = RULE, cores: Sequence[int] = (0, 1), **more: Any) -> Duets:
        pace = {name: more.pop(name) for name in list(more) if name in Pace.__dataclass_fields__}
        judge = functools.partial(judged, rule=rule)
        return Duets(self.nursery, lambda: self.now, Pace(**pace), judge, cores, **more)

    def run(self, pairs: Sequence[Pair] = (PAIR,), **more: Any) -> list[Event]:
        events = list(self.duets(**more).run(pairs))
        assert not self.alive
        return events


class Fake:
    """A worker of one side."""

    def __init__(self, world: World, side: str) -> None:
        self.world, self.side = world, side
        self._asked("start")
        world.alive += 1
        world.most_alive = max(world.most_alive, world.alive)
        self.blocks = 0

    def _asked(self, phase: str) -> None:
        self.world.asked.append((phase, self.side))
        if error := self.world.failing.get((self.side, phase)):
            raise error

    def begin_prepare(self, case: Case, cores: Sequence[int], *others: Sequence[int]) -> None:
        self.world.cores.append((self.side, tuple(cores)))
        self._asked("begin_prepare")

    def end_prepare(self) -> None:
        self.world.now += self.world.start_s / 2
        self._asked("prepare")

    def begin_compile(self) -> None: ...

    def end_compile(self) -> Compiled:
        self._asked("compile")
        return Compiled(STAGES, COST, self.world.losses["AB".index(self.side)][0])

    def begin_check(self, fused: bool | None = None) -> None:
        self._asked("fused check" if fused else "check")

    def end_check(self) -> Certificate:
        check = self.world.checks.get(self.side, Check("raw gradients", True, "off by 1e-7", "1e-4"))
        return Certificate((check,), (0,), self.world.losses["AB".index(self.side)])

    def rough(self, kinds: Sequence[Kind] = KINDS) -> dict[Kind, float]:
        self._asked("rough")
        return {kind: self._step_s() for kind in kinds if kind in self.world.rough}

    def traces(self) -> int:
        self._asked("traces")
        return 1 + (self.world.retraces.get(self.side, 0) if self.blocks > 1 else 0)

    def block(self, kind: Kind, steps: int) -> Block:
        self._asked("block")
        began = self.world.now
        for _ in range(steps):
            self.world.now += self._step_s()
        self.blocks += 1
        return Block(steps, self.world.now - began)

    def _step_s(self) -> float:
        return self.world.step_s["AB".index(self.side)](self.world.now)

    def close(self) -> None:
        self.world.alive -= 1


def constant(seconds: float) -> Callable[[float], float]:
    return lambda _: seconds


def verdict(events: Sequence[Event], pair: Pair = PAIR) -> Trial:
    """Where the test of a pair ended."""
    return [event.trial for event in events if isinstance(event, Judged) and event.pair == pair][-1]


def played(events: Sequence[Event]) -> list[Played]:
    return [event for event in events if isinstance(event, Played)]


def ratio(trial: Trial) -> float:
    assert trial.ratio is not None
    return trial.ratio.value


@pytest.mark.parametrize(("b_s", "said"), [(1.2e-3, "slower"), (0.8e-3, "faster"), (1e-3, "same"), (1.01e-3, "same")])
def test_steps_of_known_length_get_their_verdict(b_s: float, said: str) -> None:
    trial = verdict(World((constant(1e-3), constant(b_s))).run())
    assert trial.verdict == said
    assert ratio(trial) == pytest.approx(b_s / 1e-3)


def test_a_linear_drift_of_the_machine_is_not_taken_for_a_difference() -> None:
    def slowing(now: float) -> float:
        return 1e-3 * (1 + 0.02 * now)  # 2% slower every second

    trial = verdict(World((slowing, slowing)).run())
    assert trial.verdict == "same"
    assert ratio(trial) == pytest.approx(1, abs=2e-4)


def test_a_machine_that_becomes_slower_in_the_middle_is_not_taken_for_a_difference() -> None:
    def slower_later(now: float) -> float:
        return 1e-3 if now < 3.01 else 1.5e-3

    assert verdict(World((slower_later, slower_later)).run()).verdict == "same"


def test_blocks_that_are_longer_when_asked_second_are_not_taken_for_a_difference() -> None:
    world = World()
    last = ["", ""]

    def cold(side: str) -> Callable[[float], float]:
        def step_s(_: float) -> float:
            return 1e-3 if last[-1] == side else 1.1e-3

        return step_s

    class Remembers(Fake):
        def block(self, kind: Kind, steps: int) -> Block:
            block = super().block(kind, steps)
            last.append(self.side)
            return block

    world.step_s = (cold("A"), cold("B"))
    world.nursery = contextmanager(lambda: iter([(lambda: Remembers(world, "A"), lambda: Remembers(world, "B"))]))  # type: ignore[method-assign]
    trial = verdict(world.run())
    assert trial.verdict == "same"
    assert ratio(trial) == pytest.approx(1, abs=1e-9)


def test_the_order_is_reversed_each_round_and_both_sides_run_as_many_steps() -> None:
    events = World((constant(1e-3), constant(5e-3))).run(restarts=3)
    for restart in range(3):
        firsts = [event.first for event in played(events) if event.restart == restart]
        assert len(firsts) % 2 == 0
        assert all(one != other for one, other in itertools.pairwise(firsts))
    assert {block.steps for event in played(events) for block in event.blocks} == {20}  # 20 ms of the quicker side's


def test_the_side_that_begins_is_drawn() -> None:
    begins = {played(World().run(restarts=3, seed=seed))[0].first for seed in range(8)}
    assert begins == {0, 1}


def test_a_restart_has_rounds_for_its_time_and_six_at_least() -> None:
    quick = played(World().run(restarts=3, rounds_s=1.0))
    assert sum(event.restart == 0 for event in quick) == 24  # of 40 ms; two more would take longer than a second
    slow = played(World((constant(1.0), constant(1.0))).run(restarts=3, rounds_s=1.0))
    assert sum(event.restart == 0 for event in slow) == 6


def test_workers_are_started_anew_for_each_restart_and_two_are_alive_at_once() -> None:
    world = World()
    events = world.run([PAIR, OTHER], restarts=4, rule=Rule(threshold=0.001))
    opened = [(event.pair, event.restart) for event in events if isinstance(event, Opened)]
    assert sorted(opened, key=str) == sorted([(p, r) for p in (PAIR, OTHER) for r in range(3)], key=str)
    assert world.nurseries == 1 + 3
    assert world.most_alive == 2


def test_both_sides_are_compared_with_single_and_with_each_other_once_and_before_anything_is_timed() -> None:
    world = World()
    events = world.run(restarts=3)
    assert [type(event) for event in events[:2]] == [Agreed, Opened]
    assert isinstance(events[0], Agreed)
    assert events[0].traces == (1, 1)
    phases = [phase for phase, _ in world.asked]
    assert phases.count("check") == 2
    assert phases.index("block") > phases.index("check")


def test_fused_blocks_are_checked_as_one_program() -> None:
    world = World()
    world.run([Pair("fused", SINGLE, SINGLE, "fused")], restarts=3)
    assert ("fused check", "A") in world.asked


def test_steps_that_are_too_long_for_a_kind_break_the_pair() -> None:
    events: list[Any] = World(rough=("latency",)).run([Pair("fused", SINGLE, SINGLE, "fused")])
    assert events[-1] == Broke(events[0].pair, "A: its steps are too long for fused blocks; compare their latency")
    assert not played(events)


@pytest.mark.parametrize("phase", ["start", "begin_prepare", "prepare", "compile", "check", "rough", "block", "traces"])
@pytest.mark.parametrize("error", [WorkerFailed("ended by SIGKILL"), UsageError("ended by SIGKILL")])
def test_a_side_that_fails_costs_its_pair_and_ends_both_workers(phase: str, error: Exception) -> None:
    events = World(failing={("B", phase): error}).run()
    assert [e for e in events if isinstance(e, Broke)] == [Broke(PAIR, "B: ended by SIGKILL")]
    assert not [e for e in events if isinstance(e, Judged)]


def test_a_side_that_differs_from_single_breaks_the_pair() -> None:
    events = World(checks={"B": Check("collectives", False, "none", "all-reduce")}).run()
    assert events == [Broke(PAIR, "B: wrong results: collectives: none, allowed: all-reduce")]


def test_sides_that_compute_different_things_are_broken_with_both_losses() -> None:
    events = World(losses=((0.7, 0.6), (0.7, 0.5))).run()
    said = (
        "the sides compute different things: the loss of step 2 is 0.6 in A and 0.5 in B; where that is meant, "
        "--allow-different-results compares their times all the same"
    )
    assert events == [Broke(PAIR, said)]


def test_sides_may_compute_different_things_where_that_is_allowed_and_it_is_said() -> None:
    events = World(losses=((0.7, 0.6), (0.9, 0.5))).run(allow_different=True)
    assert isinstance(events[0], Agreed)
    assert events[0].unlike == "the loss of the first step is 0.7 in A and 0.9 in B"
    assert verdict(events).verdict == "same"


@pytest.mark.parametrize(
    ("first", "curves", "said"),
    [
        ((0.7, 0.7), ((0.7, 0.6), (0.7, 0.6)), ""),
        ((0.7, 0.70001), ((0.7, 0.6), (0.7, 0.6005)), ""),
        ((0.7, 0.701), ((0.7,), (0.7,)), "the loss of the first step is 0.7 in A and 0.701 in B"),
        ((0.7, 0.7), ((0.7, 0.6), (0.7,)), "an epoch has 2 steps in A and 1 in B"),
        ((0.7, 0.7), ((0.7, 0.6), (0.7, 0.61)), "the loss of step 2 is 0.6 in A and 0.61 in B"),
    ],
)
def test_losses_may_differ_by_roundings(first: Any, curves: Any, said: str) -> None:
    assert unlike(first, curves) == said


def test_losses_of_products_in_bfloat16_may_differ_by_its_roundings() -> None:
    assert unlike((0.7, 0.701), ((0.7, 0.6), (0.7, 0.61)), ["float32", "bfloat16"]) == ""
    assert unlike((0.7, 0.71), ((0.7,), (0.7,)), ["float32", "bfloat16"]).startswith(
        "the loss of the first step is 0.7"
    )
    assert unlike((0.7, 0.7), ((0.7, 0.6), (0.7, 0.65)), ["float32", "bfloat16"]).startswith(
        "the loss of step 2 is 0.6"
    )


def test_losses_of_products_in_tf32_may_differ_by_less_than_those_in_bfloat16() -> None:
    assert unlike((0.7, 0.7003), ((0.7, 0.6), (0.7, 0.602)), ["tensorfloat32"]) == ""
    assert unlike((0.7, 0.701), ((0.7,), (0.7,)), ["tensorfloat32"]).startswith("the loss of the first step is 0.7")
    assert unlike((0.7, 0.7), ((0.7, 0.6), (0.7, 0.61)), ["tensorfloat32"]).startswith("the loss of step 2 is 0.6")


def test_a_step_that_is_traced_again_while_it_is_timed_is_told() -> None:
    events = World(retraces={"B": 2}).run()
    assert events[-1] == Broke(PAIR, "B: its step was traced 2 more times while it was timed")


def test_the_budget_ends_what_is_not_clear() -> None:
    world = World((constant(1e-3), constant(1.03e-3)))
    trial = verdict(world.run(budget_s=20.0))
    assert trial.verdict is None
    assert len(trial.logs) >= 8
    assert world.now < 22


def test_a_clear_pair_is_not_restarted_while_another_still_is() -> None:
    def uncertain(now: float) -> float:
        return 1e-3 * (1.03 + 0.01 * math.sin(1000 * now))

    world = World()

    class Knows(Fake):
        def begin_prepare(self, case: Case, cores: Sequence[int], *others: Sequence[int]) -> None:
            super().begin_prepare(case, cores)
            self.case = case

        def _step_s(self) -> float:
            return uncertain(self.world.now) if self.side == "B" and self.case == TWO else 1e-3

    world.nursery = contextmanager(lambda: iter([(lambda: Knows(world, "A"), lambda: Knows(world, "B"))]))  # type: ignore[method-assign]
    events = world.run([PAIR, OTHER], budget_s=60.0)
    assert verdict(events).verdict == "same"
    assert len(verdict(events).logs) == 3
    assert len(verdict(events, OTHER).logs) > 3


@pytest.mark.parametrize(("cores", "pinned"), [((0, 1), True), ((0, 1, 2, 3), True), ((0, 1), False)])
def test_both_sides_draw_the_same_cores_and_as_many_as_they_have_devices(cores: Sequence[int], *, pinned: bool) -> None:
    world = World()
    mixed = Pair("single against two", SINGLE, TWO)
    for event in world.run([mixed], cores=cores, pinned=pinned, restarts=5, rule=Rule(threshold=0.001)):
        if isinstance(event, Opened):
            a, b = event.cores
            assert (len(a), len(b)) == ((1, 2) if pinned else (2, 2))
            assert set(a) <= set(b)


def test_closing_the_events_ends_the_workers() -> None:
    world = World()
    events = world.duets().run([PAIR])
    for event in events:
        if isinstance(event, Played):
            break
    assert world.alive == 2
    events.close()
    assert world.alive == 0
