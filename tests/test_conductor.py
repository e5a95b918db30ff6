"""The order of things: with workers that only count, and a clock that they move."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bench.cases import Case
from bench.conductor import Conductor
from bench.events import (
    Broke,
    Certified,
    Event,
    RoundEnded,
    Sampled,
    Schedule,
    Started,
    TakenApart,
    Traced,
    Unreferenced,
)
from bench.measured import KINDS, REFERENCE, Block, Certificate, Check, Compiled, Cost, Kind, Parts, Stages
from bench.room import Room
from bench.summary import single_of
from bench.turns import Turns
from bench.workers import WorkerFailed
from toynet.errors import UsageError

SINGLE = Case(workload="tutorial", mode="single")
ENSEMBLE = Case(workload="tutorial", mode="ensemble", members=8)
TWO = Case(workload="tutorial", mode="data_parallel", data_shards=2)
FOUR = Case(workload="tutorial", mode="data_parallel", data_shards=4)
MESH = Case(workload="tutorial", mode="ensemble_data", member_shards=2, data_shards=2, members=8)
CASES = [SINGLE, ENSEMBLE, TWO, FOUR, MESH]
WIDE = [Case(workload="wide", mode="single", batch=512), Case(workload="wide", mode="ensemble", members=8, batch=512)]

COST = Cost(1.0, 2.0, 3, 4, 5, 1, ())
STAGES = Stages(0.1, 0.2, 0.3, False, 0.4, 0.5)
GOOD = Certificate((Check("raw gradients", True, "off by 1e-7", "1e-4"),), (0,))
PART_S = 0.002
BAD = Certificate((GOOD.checks[0], Check("collectives", False, "none", "all-reduce")), (0,))


WHOLE, HALVES = Parts((), 0.0, 0.0), Parts(("compute", "collectives", "product"), 1.0, 0.0)


@dataclass
class World:
    """Workers of cases, what was asked of them, and the time that it took."""

    now: float = 0.0
    prepare_s: float = 0.0
    compile_s: dict[Case, float] = field(default_factory=dict)
    rough: dict[Kind, float] = field(default_factory=lambda: {"latency": 0.001, "throughput": 0.0005, "fused": 0.0001})
    """Seconds a step, as foretold and as taken."""
    failing: dict[tuple[Case, str, int], Exception] = field(default_factory=dict)
    """Of a case, in a phase, in a restart."""
    parts: dict[Case, Parts] = field(default_factory=dict)
    certificates: dict[Case, Certificate] = field(default_factory=dict)
    losses: dict[tuple[Case, int], float | None] = field(default_factory=dict)
    start_error: Callable[[int], None] = lambda _: None
    workers: list["Fake"] = field(default_factory=list)
    most_alive: int = 0
    asked: list[tuple[str, Case]] = field(default_factory=list)
    busy: Counter[str] = field(default_factory=Counter)
    busiest: Counter[str] = field(default_factory=Counter)
    waits_on: tuple[int, ...] = ()
    """Where the conductor is kept."""
    waited: list[tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    """At each block, the conductor's cores and the worker's."""

    def start(self) -> "Fake":
        self.start_error(len(self.workers))
        self.workers.append(Fake(self))
        self.most_alive = max(self.most_alive, self.alive())
        return self.workers[-1]

    def alive(self) -> int:
        return sum(not worker.closed for worker in self.workers)

    def conductor(
        self,
        cores: Sequence[int] = (0, 1),
        *,
        exclusive: bool = False,
        turns: Callable[[Sequence[Case]], list[list[Case]]] = lambda cases: [list(cases)],
        traces: Path | None = None,
        deal: Callable[[Case, Sequence[int]], Sequence[Sequence[int]]] | None = None,
        **schedule: Any,
    ) -> Conductor:
        nursery, how = nullcontext(self.start), {"exclusive": exclusive, "turns": turns, "beside": self.beside}
        return Conductor(
            lambda: nursery, lambda: self.now, Schedule(**schedule), cores, traces=traces, deal=deal, **how
        )

    @contextmanager
    def beside(self, cores: Sequence[int]) -> Iterator[None]:
        self.waits_on = tuple(cores)
        yield
        self.waits_on = ()

    def run(self, groups: Sequence[Sequence[Case]], cores: Sequence[int] = (0, 1), **options: Any) -> list[Event]:
        events = list(self.conductor(cores, **options).run(groups))
        assert all(worker.closed for worker in self.workers)
        return events


class Fake:
    """A worker that knows how long everything takes."""

    def __init__(self, world: World) -> None:
        self.world, self.closed = world, 0
        self.case = SINGLE
        self.restart = 0

    def _asked(self, phase: str) -> None:
        assert not self.closed
        if REFERENCE not in phase:
            self.world.asked.append((phase, self.case))
        if error := self.world.failing.get((self.case, phase, self.restart)):
            raise error

    def _begin(self, what: str, phase: str) -> None:
        self.world.busy[what] += 1
        self.world.busiest[what] = max(self.world.busiest[what], self.world.busy[what])
        self._asked(phase)

    def _end(self, what: str, phase: str) -> None:
        self.world.busy[what] -= 1
        self._asked(phase)

    def begin_prepare(self, case: Case, cores: Sequence[int], *others: Sequence[int]) -> None:
        self.case, self.cores, self.others = case, tuple(cores), others
        self.restart = sum(phase == "begin_prepare" and case == asked for phase, asked in self.world.asked)
        self._begin("prepare", "begin_prepare")

    def end_prepare(self) -> None:
        self.world.now += self.world.prepare_s
        self._end("prepare", "prepare")

    def begin_compile(self) -> None: ...

    def end_compile(self) -> Compiled:
        self.world.now += self.world.compile_s.get(self.case, 0.0)
        self._asked("compile")
        return Compiled(STAGES, COST, self.world.losses.get((self.case, self.restart), 0.7))

    def begin_check(self, fused: bool | None = None) -> None:
        self._begin("check", "begin_check")

    def end_check(self) -> Certificate:
        self._end("check", "check")
        return self.world.certificates.get(self.case, GOOD)

    def take_apart(self, *, peaks: bool) -> Parts:
        self._asked("parts with peaks" if peaks else "parts")
        return self.world.parts[self.case]

    def rough(self, kinds: Sequence[Kind] = KINDS) -> dict[Kind, float]:
        self._asked("rough" if KINDS[0] in kinds else "rough reference")
        parts: dict[Kind, float] = {kind: PART_S for kind in kinds if kind not in KINDS}
        return {**(self.world.rough if KINDS[0] in kinds else {}), **parts}

    def traces(self) -> int:
        return 1

    def profile(self, folder: Path) -> Path:
        self._asked("profile")
        return folder / "trace"

    def block(self, kind: Kind, steps: int) -> Block:
        self._asked(REFERENCE if kind == REFERENCE else "block")
        self.world.waited.append((self.world.waits_on, self.cores))
        if kind != REFERENCE:  # which takes no time here
            self.world.now += steps * self.world.rough.get(kind, PART_S)
        return Block(steps, steps * self.world.rough.get(kind, PART_S))

    def close(self) -> None:
        self.closed += 1


def sampled(events: Sequence[Event]) -> list[Sampled]:
    """The blocks of the cases, in the order in which they were run."""
    return [event for event in events if isinstance(event, Sampled) and event.kind != REFERENCE]


def referred(events: Sequence[Event]) -> list[tuple[int, int, Case]]:
    """(restart, round, case) of each block of the reference workload."""
    return [(e.restart, e.round, e.case) for e in events if isinstance(e, Sampled) and e.kind == REFERENCE]


def broken(events: Sequence[Event]) -> list[Broke]:
    """The cases that broke."""
    return [event for event in events if isinstance(event, Broke)]


def rounds(events: Sequence[Event]) -> list[tuple[int, int]]:
    """(restart, round) of each round that ended."""
    return [(event.restart, event.round) for event in events if isinstance(event, RoundEnded)]


def test_every_case_is_asked_once_for_each_kind_in_each_round() -> None:
    events = World().run([CASES], restarts=3, rounds=4)
    assert rounds(events) == [(restart, number) for restart in range(3) for number in range(4)]
    blocks = Counter((e.restart, e.round, e.kind, e.case) for e in sampled(events))
    every = {(r, n, kind, case) for r in range(3) for n in range(4) for kind in KINDS for case in CASES}
    assert set(blocks) == every
    assert set(blocks.values()) == {1}


def test_a_round_ends_after_its_blocks_and_before_those_of_the_next() -> None:
    so_far: set[tuple[int, int]] = set()
    for event in World().run([CASES], restarts=2, rounds=3):
        if isinstance(event, RoundEnded):
            so_far.add((event.restart, event.round))
        elif isinstance(event, Sampled):
            assert (event.restart, event.round) not in so_far


def test_cases_of_a_round_are_asked_in_turn_for_one_kind_and_then_for_another() -> None:
    first = [e.kind for e in sampled(World().run([CASES], restarts=1, rounds=1))]
    assert [first[i] for i in (0, 5, 10)] == list(dict.fromkeys(first))
    assert sorted(first) == sorted(KINDS * 5)


def order(seed: int) -> list[tuple[int, int, Kind, Case]]:
    """Which block was run when."""
    return [(e.restart, e.round, e.kind, e.case) for e in sampled(World().run([CASES], seed=seed))]


def test_the_order_is_drawn_anew_each_round_and_is_the_same_for_the_same_seed() -> None:
    assert order(1) == order(1)
    assert order(1) != order(2)
    drawn = {
        tuple(case for r, n, k, case in order(1) if (r, n, k) == (restart, number, "latency"))
        for restart in range(3)
        for number in range(3)
    }
    assert len(drawn) > 6  # of 9 draws from 120 orders, 8.7 differ on average


def test_no_place_in_the_order_belongs_to_a_case() -> None:
    blocks = [case for _, _, kind, case in order(3) if kind == "fused"]
    firsts = Counter(blocks[::5])
    assert len(firsts) > 2  # each of 5 cases comes first in a fifth of 9 rounds


def test_all_workers_are_started_anew_for_each_restart() -> None:
    world = World()
    events = world.run([CASES], restarts=3, rounds=1)
    assert len(world.workers) == 15
    assert [worker.closed for worker in world.workers] == [1] * 15
    started = Counter((e.case, e.restart) for e in events if isinstance(e, Started))
    assert started == Counter((case, restart) for case in CASES for restart in range(3))


def test_a_case_is_compared_with_single_once_and_before_anything_of_it_is_timed() -> None:
    world = World()
    events = world.run([CASES], restarts=2, rounds=1)
    assert Counter(e.case for e in events if isinstance(e, Certified)) == Counter(CASES)
    for case in CASES:
        phases = [phase for phase, asked in world.asked if asked == case]
        once = ["begin_prepare", "prepare", "compile"], ["begin_check", "check"], ["rough", "block", "block", "block"]
        assert phases == [*once[0], *once[1], *once[2], *once[0], *once[2]]


@pytest.mark.parametrize("phase", ["begin_prepare", "prepare", "compile", "begin_check", "check", "rough", "block"])
def test_a_worker_that_fails_costs_its_case_and_no_other(phase: str) -> None:
    world = World(failing={(TWO, phase, 0): WorkerFailed("ended by SIGABRT; it last printed: boom")})
    events = world.run([CASES], restarts=2, rounds=2)
    assert broken(events) == [Broke(TWO, 0, "ended by SIGABRT; it last printed: boom")]
    assert {e.case for e in events if isinstance(e, Started) and e.restart == 1} == set(CASES) - {TWO}
    others = Counter(e.case for e in sampled(events))
    assert others == Counter({case: 12 for case in CASES if case != TWO})  # 2 restarts x 2 rounds x 3 kinds
    assert [asked for asked in world.asked if asked[1] == TWO][-1] == (phase, TWO)


def test_a_case_that_fails_after_a_restart_keeps_what_was_measured_before() -> None:
    events = World(failing={(FOUR, "compile", 1): WorkerFailed("no answer within 9 s")}).run([CASES], rounds=1)
    assert broken(events) == [Broke(FOUR, 1, "no answer within 9 s")]
    assert {e.restart for e in sampled(events) if e.case == FOUR} == {0}
    assert {e.restart for e in sampled(events) if e.case == SINGLE} == {0, 1, 2}


def test_where_every_case_fails_the_run_ends_without_a_round() -> None:
    world = World(failing={(case, "compile", 0): WorkerFailed("dead") for case in CASES})
    events = world.run([CASES], restarts=3)
    assert [type(event) for event in events] == [Broke] * 5
    assert len(world.workers) == 5


def test_a_case_that_differs_from_single_is_broken_and_never_timed() -> None:
    world = World(certificates={MESH: BAD})
    events = world.run([CASES], restarts=2)
    assert Certified(MESH, BAD) in events
    assert broken(events) == [Broke(MESH, 0, "wrong results: collectives: none, allowed: all-reduce")]
    assert not {phase for phase, case in world.asked if case == MESH} & {"rough", "block"}
    assert Counter(e.case for e in events if isinstance(e, Started))[MESH] == 1


@pytest.mark.parametrize(
    ("losses", "restart", "why"),
    [
        ({0: 0.7, 1: 0.70001}, 1, "the loss of the first step is 0.70001, and was 0.7 before the restart"),
        ({0: None}, 0, "the loss of the first step isn't a finite number"),
        ({0: 0.7, 1: None}, 1, "the loss of the first step isn't a finite number"),
    ],
)
def test_a_first_loss_that_a_restart_does_not_reproduce_breaks_its_case(
    losses: dict[int, float | None], restart: int, why: str
) -> None:
    events = World(losses={(TWO, at): loss for at, loss in losses.items()}).run([CASES], restarts=3, rounds=1)
    assert broken(events) == [Broke(TWO, restart, f"wrong results: {why}")]
    assert {e.restart for e in sampled(events) if e.case == TWO} == set(range(restart))


def test_a_first_loss_may_differ_by_a_rounding() -> None:
    assert not broken(World(losses={(TWO, 1): 0.7 * (1 + 1e-6)}).run([CASES], restarts=2, rounds=1))


def test_blocks_are_as_long_as_asked_for_and_a_chain_has_two_steps_at_least() -> None:
    step_s: dict[Kind, float] = {"latency": 0.004, "throughput": 0.5, "fused": 0.00016}
    events = World(rough=step_s).run([[SINGLE]], restarts=1, rounds=1, block_s=0.02)
    # 0.02 s of 4 ms steps: 5. Of 0.5 s: none, so the least. Of 0.16 ms: 125.
    assert {e.kind: e.block.steps for e in sampled(events)} == {"latency": 5, "throughput": 2, "fused": 125}


def test_a_kind_that_makes_no_sense_for_a_case_is_not_asked_for() -> None:
    events = World(rough={"latency": 0.5}).run([[SINGLE]], restarts=2, rounds=2)
    assert [e.kind for e in sampled(events)] == ["latency"] * 4


def test_the_budget_stops_rounds_and_restarts_but_never_the_first_round() -> None:
    slow: dict[Kind, float] = {"latency": 1.0}  # so that a round of one case takes a second
    ended = rounds(World(rough=slow).run([[SINGLE]], restarts=5, rounds=100, budget_s=1e-3))
    assert ended[0] == (0, 0)
    assert {number for _, number in ended} == {0}
    assert max(restart for restart, _ in ended) <= 1


def test_every_restart_gets_rounds_and_together_they_fill_the_budget() -> None:
    world = World(rough={"latency": 1.0})
    ended = Counter(restart for restart, _ in rounds(world.run([[SINGLE]], restarts=3, rounds=100, budget_s=30)))
    assert set(ended) == {0, 1, 2}
    assert min(ended.values()) >= 5  # half of a third
    assert world.now == 30


def test_starting_workers_counts_towards_the_budget() -> None:
    world = World(rough={"latency": 1.0}, prepare_s=5.0)
    ended = rounds(world.run([[SINGLE]], restarts=2, rounds=100, budget_s=20))
    assert Counter(restart for restart, _ in ended) == {0: 5, 1: 5}  # 20 s less two starts of 5 s
    assert world.now == 20


def test_a_restart_that_the_budget_cannot_hold_is_not_begun() -> None:
    world = World(rough={"latency": 1.0}, prepare_s=40.0)
    ended = rounds(world.run([[SINGLE]], restarts=4, rounds=1, budget_s=100))
    assert ended[0] == (0, 0)
    assert world.now < 100  # a third start would end at 123 s


def test_where_not_all_restarts_fit_the_slowest_cases_have_fewer() -> None:
    world = World(rough={"latency": 1.0}, compile_s={FOUR: 50.0})
    events = world.run([CASES], restarts=3, rounds=1, budget_s=100)
    started = Counter(e.case for e in events if isinstance(e, Started))
    assert started == {case: 1 if case == FOUR else 3 for case in CASES}
    assert Counter(e.case for e in sampled(events)) == started


def test_single_is_restarted_with_what_is_compared_with_it_or_not_at_all() -> None:
    world = World(rough={"latency": 1.0}, compile_s=dict.fromkeys(CASES[1:], 50.0))
    started = Counter(e.case for e in world.run([CASES], restarts=3, rounds=1, budget_s=240) if isinstance(e, Started))
    assert started == dict.fromkeys(CASES, 1)  # there are 30 s left, which only `single` could use
    world = World(rough={"latency": 1.0}, compile_s={SINGLE: 20.0})
    started = Counter(e.case for e in world.run([CASES], restarts=3, rounds=1, budget_s=60) if isinstance(e, Started))
    assert started == dict.fromkeys(CASES, 2)  # a third start of `single` would end too late, so none has one


def test_groups_share_the_budget_and_what_one_leaves_goes_to_the_next() -> None:
    world = World(rough={"latency": 1.0})
    ends: dict[str, float] = {}
    for event in world.conductor(restarts=2, rounds=10_000, budget_s=100).run([CASES[:2], WIDE]):
        if isinstance(event, Sampled):
            ends[event.case.workload] = world.now
    assert ends == {"tutorial": 50, "wide": 100}
    world = World(rough={"latency": 1.0})
    events = world.run([CASES[:2], WIDE], restarts=2, rounds=20, budget_s=1000)
    assert len(rounds(events)) == 2 * 2 * 20


def test_cases_of_different_groups_are_never_alive_at_once() -> None:
    world = World()
    workloads = [e.case.workload for e in world.run([CASES, WIDE]) if isinstance(e, (Started, Sampled))]
    assert workloads == sorted(workloads)  # "tutorial" before "wide"


@pytest.mark.parametrize("cores", [(0,), (2, 5), (0, 1, 2, 3), tuple(range(16))])
def test_a_case_gets_a_core_for_each_device_as_far_as_there_are_any(cores: tuple[int, ...]) -> None:
    events = World().run([CASES], cores, restarts=4, rounds=1)
    drawn: dict[tuple[int, int], set[tuple[int, ...]]] = {}
    for event in events:
        if isinstance(event, Started):
            assert len(set(event.cores)) == len(event.cores) == min(event.case.devices, len(cores))
            assert set(event.cores) <= set(cores)
            drawn.setdefault((event.restart, event.case.devices), set()).add(event.cores)
    assert all(len(same) == 1 for same in drawn.values())  # compared cases stand on the same cores
    if len(cores) > 4:
        assert len({tuple(drawn[restart, 4]) for restart in range(4)}) > 1  # and on others after a restart


def test_the_worker_is_told_the_cores_that_the_record_is_told() -> None:
    world = World()
    events = world.run([CASES], tuple(range(8)), restarts=1)
    told = {worker.case: worker.cores for worker in world.workers}
    assert {e.case: e.cores for e in events if isinstance(e, Started)} == told


@pytest.mark.parametrize("cores", [1, 2, 3, 8])
def test_no_more_workers_than_cores_import_or_check_at_once(cores: int) -> None:
    world = World()
    world.run([CASES], range(cores), restarts=2)
    assert world.busiest == {"prepare": min(cores, 5), "check": min(cores, 5)}


def test_an_iterator_that_is_closed_ends_every_worker() -> None:
    world = World()
    events = world.conductor().run([CASES, WIDE])
    while not isinstance(next(events), Sampled):
        pass
    assert not any(worker.closed for worker in world.workers)
    events.close()
    assert [worker.closed for worker in world.workers] == [1] * 5


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a bug")])
@pytest.mark.parametrize("phase", ["begin_prepare", "prepare", "check", "block"])
def test_an_error_that_is_not_a_workers_goes_through_and_ends_every_worker(phase: str, error: Exception) -> None:
    world = World(failing={(FOUR, phase, 0): error})
    with pytest.raises(type(error)):
        list(world.conductor().run([CASES]))
    assert world.workers
    assert all(worker.closed == 1 for worker in world.workers)


@pytest.mark.parametrize("phase", ["begin_prepare", "prepare", "compile", "check", "block"])
def test_what_a_worker_refuses_costs_its_case_only(phase: str) -> None:
    world = World(failing={(FOUR, phase, 0): UsageError("a batch of 10 doesn't divide")})
    broken = [event for event in world.run([CASES]) if isinstance(event, Broke)]
    assert [(event.case, event.why) for event in broken] == [(FOUR, "a batch of 10 doesn't divide")]


def test_a_process_that_cannot_be_started_ends_those_that_were() -> None:
    def no_more(started: int) -> None:
        if started == 3:
            raise OSError("out of processes")

    world = World(start_error=no_more)
    with pytest.raises(OSError, match="out of processes"):
        list(world.conductor().run([CASES]))
    assert [worker.closed for worker in world.workers] == [1, 1, 1]


def test_the_time_left_begins_with_the_budget_falls_and_ends_at_nothing() -> None:
    world = World(rough={"latency": 1.0}, prepare_s=2.0)
    conductor = world.conductor(restarts=3, rounds=4, budget_s=1000)
    left = [conductor.left_s()]
    assert left == [1000]
    left += [conductor.left_s() for event in conductor.run([CASES]) if isinstance(event, RoundEnded)]
    # A round of 5 cases takes 5 s, a start 5 x 2 s: after the first, 3 rounds and 2 x (10 + 4 x 5) s are left.
    assert left[1] == 3 * 5 + 2 * (10 + 4 * 5)
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0


def test_the_time_left_is_never_more_than_the_budget_has() -> None:
    world = World(rough={"latency": 1.0})
    conductor = world.conductor(restarts=3, rounds=10_000, budget_s=100)
    for event in conductor.run([CASES[:2], WIDE]):
        if isinstance(event, RoundEnded):
            assert conductor.left_s() <= 100 - world.now


def test_the_conductor_waits_on_cores_that_no_worker_has() -> None:
    world = World()
    world.run([CASES], range(6), restarts=3)
    assert world.waited
    for conductor, worker in world.waited:
        assert len(conductor) == 6 - 4  # the largest case has four devices
        assert not set(conductor) & set(worker)


@pytest.mark.parametrize("cores", [1, 2, 4])
def test_where_a_case_takes_all_cores_the_conductor_waits_on_one_that_the_smaller_cases_leave(cores: int) -> None:
    world = World()
    world.run([CASES], range(cores), restarts=3)
    for conductor, worker in world.waited:
        assert len(conductor) == 1
        assert len(worker) == cores or not set(conductor) & set(worker)


def test_the_conductor_is_kept_on_its_cores_for_blocks_only() -> None:
    world = World()
    for event in world.conductor(range(8)).run([CASES]):
        assert bool(world.waits_on) == isinstance(event, (Sampled, RoundEnded))


# Cases that take turns

MANY = [
    dataclasses.replace(of, batch=batch, members=of.members * times)
    for batch in range(32, 43)
    for of in (SINGLE, ENSEMBLE, TWO, FOUR, MESH)
    for times in ((1,) if of.members == 1 else (1, 2, 3, 4, 5, 6, 7, 8))
][:200]


def test_two_hundred_cases_are_never_more_than_the_bound_alive_at_once_and_all_are_measured() -> None:
    world = World()
    assert len(set(MANY)) == 200
    events = world.run([MANY], turns=Turns(MANY, Room(24)), restarts=2, rounds=2, budget_s=1e6)
    assert world.most_alive == 24
    assert {(e.case, e.restart, e.kind) for e in sampled(events)} == set(itertools.product(MANY, range(2), KINDS))
    assert Counter(e.case for e in events if isinstance(e, Certified)) == Counter(MANY)
    # A case has two blocks of a kind a restart, its `single` more, and no two have the same number.
    blocks = Counter((e.case, e.restart, e.round, e.kind) for e in sampled(events))
    assert set(blocks.values()) == {1}
    assert set(Counter(e.case for e in sampled(events) if e.case.mode != "single").values()) == {2 * 2 * 3}


def test_what_shares_a_round_was_alive_at_once_and_every_ratio_has_all_rounds_of_its_case() -> None:
    world = World()
    alive: dict[tuple[int, int], set[int]] = {}
    asked: dict[tuple[Case, int], list[tuple[int, int]]] = {}
    conductor = world.conductor(turns=Turns(MANY, Room(24)), restarts=2, rounds=2, budget_s=1e6)
    for event in conductor.run([MANY]):
        if isinstance(event, Sampled):
            living = alive.setdefault((event.restart, event.round), {id(w) for w in conductor._workers.values()})
            assert {id(w) for w in conductor._workers.values()} == living
            asked.setdefault((event.case, event.restart), []).append((event.restart, event.round))
    for (case, restart), rounds_of_case in asked.items():
        assert set(rounds_of_case) <= set(asked[single_of(case), restart])


def test_cases_take_turns_with_others_and_in_another_order_after_a_restart() -> None:
    events = World().run([MANY], turns=Turns(MANY, Room(24)), restarts=3, rounds=1, budget_s=1e6)
    first = [{e.case for e in sampled(events) if (e.restart, e.round) == (restart, 0)} for restart in range(3)]
    assert len({frozenset(cases) for cases in first}) == 3


def test_turns_share_the_budget() -> None:
    world = World(rough={"latency": 1.0})
    events = world.run([CASES], turns=Turns(CASES, Room(3)), restarts=3, rounds=1000, budget_s=300)
    had = Counter((e.case, e.restart) for e in sampled(events) if e.case != SINGLE)
    assert set(had) == set(itertools.product(set(CASES) - {SINGLE}, range(3)))
    # 4 cases in turns of 2 with `single`, 3 restarts: 6 turns of 3 workers, 300 / 18 rounds each if they were equal.
    assert min(had.values()) >= 300 / 18 / 2
    assert 290 <= world.now <= 300


def test_a_restart_is_reckoned_with_all_the_turns_of_a_case() -> None:
    world = World(rough={"latency": 1.0}, compile_s=dict.fromkeys(CASES, 10.0))
    events = world.run([CASES], turns=Turns(CASES, Room(2)), restarts=2, rounds=1, budget_s=130)
    # The first takes 4 turns of 2 x (10 + 1) s, 88 s. Of the 42 s left `single` would take 44 in another like it.
    assert {e.restart for e in sampled(events)} == {0}


def test_a_reference_that_breaks_in_one_turn_is_not_started_in_the_next() -> None:
    world = World(failing={(SINGLE, "check", 0): WorkerFailed("boom")})
    events = world.run([CASES], turns=Turns(CASES, Room(2)), restarts=1, rounds=1)
    assert broken(events) == [Broke(SINGLE, 0, "boom")]
    assert Counter(e.case for e in events if isinstance(e, Started)) == Counter(CASES)


def test_a_reference_is_taken_apart_once_and_its_parts_are_timed_in_all_turns() -> None:
    world = World(parts={SINGLE: WHOLE, TWO: HALVES, FOUR: HALVES})
    turns = Turns([SINGLE, TWO, FOUR], Room(2, parts=True))
    events = world.run([[SINGLE, TWO, FOUR]], turns=turns, restarts=1, rounds=1, parts=True)
    assert Counter(e.case for e in events if isinstance(e, TakenApart)) == Counter([SINGLE, TWO, FOUR])
    assert Counter(e.case for e in sampled(events) if e.kind == "latency") == Counter({SINGLE: 2, TWO: 1, FOUR: 1})


# Devices that one process at a time may hold


def test_where_one_process_may_hold_the_devices_one_worker_is_alive_at_a_time() -> None:
    world = World()
    events = world.run([CASES, WIDE], exclusive=True, restarts=3, rounds=4)
    assert world.most_alive == 1
    assert len(world.workers) == 3 * 7
    blocks = Counter((e.restart, e.round, e.kind, e.case) for e in sampled(events))
    every = {(r, n, kind, case) for r in range(3) for n in range(4) for kind in KINDS for case in (*CASES, *WIDE)}
    assert set(blocks) == every
    assert set(blocks.values()) == {1}


def test_one_after_another_the_cases_of_a_restart_are_compared_with_single_and_then_asked_all_their_rounds() -> None:
    world = World()
    world.run([CASES], exclusive=True, restarts=2, rounds=2)
    turns = [list(phases) for _, phases in itertools.groupby(world.asked, key=lambda asked: asked[1])]
    start, check, timed = ["begin_prepare", "prepare", "compile"], ["begin_check", "check"], ["rough", *["block"] * 6]
    assert [[phase for phase, _ in turn] for turn in turns] == [[*start, *check, *timed]] * 5 + [[*start, *timed]] * 5


def test_one_after_another_the_order_is_drawn_anew_for_each_restart() -> None:
    world = World()
    world.run([CASES], exclusive=True, restarts=6, rounds=1)
    order = [case for phase, case in world.asked if phase == "compile"]
    restarts = [tuple(order[i : i + 5]) for i in range(0, 30, 5)]
    assert all(set(cases) == set(CASES) for cases in restarts)
    assert len(set(restarts)) > 3  # of 6 draws from 120 orders, 5.9 differ on average


@pytest.mark.parametrize("phase", ["begin_prepare", "prepare", "compile", "begin_check", "check", "rough", "block"])
def test_one_after_another_a_worker_that_fails_costs_its_case_and_is_gone_before_the_next(phase: str) -> None:
    world = World(failing={(TWO, phase, 0): WorkerFailed("the device is busy")})
    events = world.run([CASES], exclusive=True, restarts=2, rounds=2)
    assert broken(events) == [Broke(TWO, 0, "the device is busy")]
    assert world.most_alive == 1
    assert Counter(e.case for e in sampled(events) if e.case != TWO) == {case: 12 for case in CASES if case != TWO}


def test_one_after_another_the_cases_share_the_budget_and_fill_it() -> None:
    world = World(rough={"latency": 1.0}, prepare_s=2.0)
    events = world.run([CASES[:2]], exclusive=True, restarts=3, rounds=100, budget_s=60)
    had = Counter((e.case, e.restart) for e in sampled(events))
    assert set(had) == {(case, restart) for case in CASES[:2] for restart in range(3)}
    # 60 s less 6 starts of 2 s leave 48 s: 8 rounds of a second for each start, were it divided equally.
    assert min(had.values()) >= 8 / 2
    assert 58 <= world.now <= 60


def test_one_after_another_the_time_left_counts_the_starts_to_come() -> None:
    world = World(rough={"latency": 1.0}, prepare_s=2.0)
    conductor = world.conductor(exclusive=True, restarts=2, rounds=3, budget_s=1000)
    left = [conductor.left_s() for event in conductor.run([CASES]) if isinstance(event, RoundEnded)]
    # After the first round of the first of 10 starts: 2 more rounds, and 9 starts of 2 s with 3 rounds of a second.
    assert left[0] == 2 + 9 * (2 + 3)
    assert left[-1] == 0


def test_one_after_another_a_closed_iterator_ends_the_worker() -> None:
    world = World()
    events = world.conductor(exclusive=True).run([CASES])
    while not isinstance(next(events), Sampled):
        pass
    assert world.alive() == 1
    events.close()
    assert world.alive() == 0


def test_parts_of_a_step_are_timed_in_the_rounds_of_the_step() -> None:
    world = World(parts={SINGLE: WHOLE, TWO: HALVES})
    events = world.run([[SINGLE, TWO]], restarts=2, rounds=2, parts=True)
    assert [(event.case, event.parts) for event in events if isinstance(event, TakenApart)] == [
        (SINGLE, WHOLE),
        (TWO, HALVES),
    ]
    found = Counter((event.case, event.kind) for event in sampled(events))
    assert found == Counter(
        {(SINGLE, kind): 4 for kind in KINDS} | {(TWO, kind): 4 for kind in (*KINDS, *HALVES.kinds)}
    )


def test_devices_that_share_cores_are_not_asked_for_a_peak() -> None:
    world = World(parts={TWO: HALVES, FOUR: HALVES})
    world.run([[TWO, FOUR]], restarts=1, rounds=1, parts=True)
    assert [asked for asked in world.asked if asked[0].startswith("parts")] == [
        ("parts with peaks", TWO),
        ("parts", FOUR),
    ]


def test_nothing_is_taken_apart_unasked() -> None:
    world = World()
    world.run([[SINGLE]], restarts=1, rounds=1)
    assert "parts with peaks" not in dict(world.asked)


def test_a_case_that_breaks_while_it_is_taken_apart_is_dropped() -> None:
    world = World(parts={SINGLE: WHOLE, TWO: HALVES}, failing={(TWO, "parts with peaks", 0): WorkerFailed("it died")})
    events = world.run([[SINGLE, TWO]], restarts=1, rounds=1, parts=True)
    assert [event.why for event in broken(events)] == ["it died"]
    assert {event.case for event in sampled(events)} == {SINGLE}


# The reference workload

FAST = dataclasses.replace(SINGLE, path="fast")


def test_single_runs_the_reference_workload_once_in_each_round() -> None:
    expected = [(restart, number, SINGLE) for restart in range(3) for number in range(4)]
    assert referred(World().run([CASES], restarts=3, rounds=4)) == expected
    parts = dict.fromkeys(CASES, HALVES)
    assert referred(World(parts=parts).run([CASES], restarts=3, rounds=4, parts=True)) == expected


def test_its_place_in_a_round_is_drawn_as_that_of_other_kinds() -> None:
    events = [e for e in World().run([[SINGLE]], restarts=5, rounds=4) if isinstance(e, Sampled)]
    assert {i % 4 for i, event in enumerate(events) if event.kind == REFERENCE} == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("cases", "expected"),
    [
        ([FOUR, MESH, TWO], TWO),  # the fewest devices
        ([FAST, FOUR], FOUR),  # plain
        ([FAST], None),
        ([ENSEMBLE, dataclasses.replace(SINGLE, batch=64), SINGLE], SINGLE),  # by name
    ],
)
def test_of_other_cases_one_that_is_computed_plainly_runs_it_the_same_in_every_restart(
    cases: list[Case], expected: Case | None
) -> None:
    events = World().run([cases], restarts=4, rounds=1)
    assert referred(events) == ([(restart, 0, expected) for restart in range(4)] if expected else [])
    assert {e.case for e in sampled(events)} == set(cases)


def test_each_group_and_each_turn_runs_it_in_all_its_rounds() -> None:
    events = World().run([CASES, WIDE], turns=Turns([*CASES, *WIDE], Room(2)), restarts=2, rounds=3)
    tutorial = [at for at in referred(events) if at[2].workload == "tutorial"]
    assert tutorial == [(restart, number, SINGLE) for restart in range(2) for number in range(4 * 3)]
    assert referred(events)[len(tutorial) :] == [
        (restart, number, WIDE[0]) for restart in range(2) for number in range(3)
    ]


def test_one_after_another_every_case_that_is_computed_plainly_runs_it() -> None:
    events = World().run([[SINGLE, FAST, TWO]], exclusive=True, restarts=2, rounds=3)
    expected = {(restart, number, case) for restart in range(2) for number in range(3) for case in (SINGLE, TWO)}
    assert sorted(referred(events), key=repr) == sorted(expected, key=repr)


def test_where_single_breaks_another_case_runs_it_after_a_restart() -> None:
    world = World(failing={(SINGLE, "block", 0): WorkerFailed("boom")})
    events = world.run([[SINGLE, TWO, FOUR]], restarts=2, rounds=1)
    assert [at for at in referred(events) if at[0] == 1] == [(1, 0, TWO)]


@pytest.mark.parametrize("exclusive", [False, True])
def test_a_reference_workload_that_computes_something_else_is_told_once_and_breaks_no_case(exclusive: bool) -> None:
    world = World(failing={(case, "rough reference", 0): UsageError("139 is right.") for case in (SINGLE, TWO)})
    events = world.run([[SINGLE, TWO], WIDE], restarts=3, rounds=2, exclusive=exclusive)
    (told,) = (event for event in events if isinstance(event, Unreferenced))
    assert told.why == "139 is right"
    assert (broken(events), referred(events)) == ([], [])
    assert Counter(event.case for event in sampled(events)) == dict.fromkeys([SINGLE, TWO, *WIDE], 3 * 2 * len(KINDS))


@pytest.mark.parametrize("phase", ["rough reference", REFERENCE])
def test_a_reference_workload_that_ends_its_worker_breaks_that_case_and_is_handed_on_to_none(phase: str) -> None:
    world = World(failing={(SINGLE, phase, 0): WorkerFailed("out of memory")})
    events = world.run([[SINGLE, TWO, FOUR]], restarts=3, rounds=2)
    assert [(event.case, "out of memory" in event.why) for event in broken(events)] == [(SINGLE, True)]
    assert referred(events) == []
    assert {event.restart for event in sampled(events) if event.case == TWO} == {0, 1, 2}


def test_its_blocks_are_as_long_as_others() -> None:
    events = World().run([[SINGLE]], restarts=1, rounds=1, block_s=0.02)
    assert [e.block.steps for e in events if isinstance(e, Sampled) and e.kind == REFERENCE] == [round(0.02 / PART_S)]


# Traces

TRACES = Path("traces")


@pytest.mark.parametrize("exclusive", [False, True])
def test_each_case_is_traced_once_after_its_first_rounds_into_a_folder_of_its_own(exclusive: bool) -> None:
    events = World().run([CASES], restarts=2, rounds=2, traces=TRACES, exclusive=exclusive)
    found = {event.case: event.file for event in events if isinstance(event, Traced)}
    assert found[MESH] == TRACES / "tutorial.ensemble_data-2x2.m8.b32" / "trace"
    assert set(found) == set(CASES)
    for case in CASES:
        at = events.index(Traced(case, found[case]))
        before, after = ([e.restart for e in sampled(some) if e.case == case] for some in (events[:at], events[at:]))
        assert (before, after) == ([0] * 2 * len(KINDS), [1] * 2 * len(KINDS))


def test_a_case_of_several_turns_is_traced_once() -> None:
    events = World().run([CASES], turns=Turns(CASES, Room(2)), restarts=2, rounds=1, traces=TRACES)
    assert Counter(event.case for event in events if isinstance(event, Traced)) == dict.fromkeys(CASES, 1)


@pytest.mark.parametrize("error", [WorkerFailed("it died"), UsageError("the disk is full.")])
def test_a_trace_that_fails_is_told_and_costs_no_measurement(error: Exception) -> None:
    world = World(failing={(TWO, "profile", 0): error})
    events = world.run([[SINGLE, TWO]], restarts=3, rounds=2, traces=TRACES)
    assert {e.case: e.why_not for e in events if isinstance(e, Traced)} == {SINGLE: None, TWO: str(error).rstrip(".")}
    assert not broken(events)
    assert Counter(event.case for event in sampled(events)) == dict.fromkeys([SINGLE, TWO], 3 * 2 * len(KINDS))


def test_nothing_is_traced_unasked() -> None:
    world = World()
    assert not any(isinstance(event, Traced) for event in world.run([CASES], restarts=1, rounds=1))
    assert "profile" not in dict(world.asked)


def test_each_process_of_a_case_has_the_cores_that_are_dealt_to_it_and_who_asks_has_those_that_are_left() -> None:
    over, world, draws = dataclasses.replace(FOUR, processes=2), World(), []

    def deal(case: Case, drawn: Sequence[int]) -> list[list[int]]:
        draws.append(tuple(drawn))
        each = case.devices // case.processes
        return [sorted(drawn[:each])] * case.processes  # the second is on another host

    events = world.run([[SINGLE, over]], cores=(0, 1, 2, 3), deal=deal, restarts=2, rounds=1)
    started = [event for event in events if isinstance(event, Started)]
    first, second = ([event for event in started if event.restart == restart] for restart in (0, 1))
    for events_of, drawn in ((first, draws[0]), (second, draws[2])):
        found = {event.case: (event.cores, event.others) for event in events_of}
        assert found == {SINGLE: (drawn[:1], ()), over: (tuple(sorted(drawn[:2])), (tuple(sorted(drawn[:2])),))}
    told = [tuple(tuple(own) for own in worker.others) for worker in world.workers if worker.case == over]
    assert told == [event.others for event in started if event.case == over]
    assert all(set(left) == set(range(4)) - set(draws[0][:2]) for left, _ in world.waited[: len(world.waited) // 2])
