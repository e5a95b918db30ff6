"""Live workers, asked in rounds of random order, restarted, within a budget of time.

Knows neither JAX nor processes: workers, clock and order are handed in.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import TypeVar

from bench.cases import Case
from bench.events import (
    Before,
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
from bench.measured import KINDS, REFERENCE, Certificate, Compiled, Kind, Parts
from bench.places import file_name
from bench.workers import STEPS_AT_LEAST, PartsWorker, Worker, WorkerFailed, reference_bearer, unlike_first
from toynet.errors import UsageError

T = TypeVar("T")


class Conductor:
    """Measures groups of cases, one group after another; the cases of a group are alive at once, as far as they may.

    Where they aren't, each restart takes turns, whose rounds are numbered on: what shares a round was asked in turn.
    """

    def __init__(
        self,
        nursery: Callable[[], AbstractContextManager[Callable[[], PartsWorker]]],
        clock: Callable[[], float],
        schedule: Schedule,
        cores: Sequence[int],
        *,
        pinned: bool = True,
        exclusive: bool = False,
        turns: Callable[[Sequence[Case]], list[list[Case]]] = lambda cases: [list(cases)],
        beside: Callable[[Sequence[int]], AbstractContextManager[object]] = nullcontext,
        traces: Path | None = None,
        deal: Callable[[Case, Sequence[int]], Sequence[Sequence[int]]] | None = None,
        before: Before = Before(),  # noqa: B008, it is frozen
    ) -> None:
        """`nursery` is entered anew for each restart, and gives what starts a worker.

        If `pinned`, a worker runs on as many cores as its case has devices, drawn anew for each start; who asks
        is kept by `beside` on those that are left.
        If `exclusive`, one worker is alive at a time: a restart takes the cases one after another, and their rounds
        count as the same.
        Else `turns` divides cases into what may be alive at once; a case may be in several of its turns.
        `deal` gives each process of a case its cores, from the order in which they are drawn (None: each case is in one
        process).
        With a folder `traces`, a few steps of each case are traced into a folder of its own there, after its first
        rounds.
        Of a run that is gone on with, `before` is what isn't done again.
        """
        self._turns = turns
        self._beside = beside
        self._traces = traces
        self._pinned = pinned
        self._deal = deal or self._dealt
        self._exclusive = exclusive
        self._nursery = nursery
        self._clock = clock
        self._schedule = schedule
        self._cores = tuple(cores)
        self._random = random.Random(f"{schedule.seed} {before.parts}" if before.parts else schedule.seed)
        self._end = self._finish = clock() + schedule.budget_s
        self._workers: dict[Case, PartsWorker] = {}
        self._broken: set[Case] = set()
        self._traced = set(before.traced)
        self._refers = before.refers
        self._known = set(before.known)
        self._starts: dict[Case, int] = {}
        """How often a restart starts the case."""
        self._rounds_before = 0
        """This turn, in its restart."""
        self._step_s: dict[Case, dict[Kind, float]] = {}
        self._start_s: dict[Case, float] = {}
        self._round_s: dict[Case, float] = {}
        self._first_loss: dict[Case, float | None] = {}

    def left_s(self) -> float:
        """About how many seconds the rest will take, from what was seen so far."""
        return max(0.0, self._finish - self._clock())

    def run(self, groups: Sequence[Sequence[Case]], restarts: Sequence[range] | None = None) -> Generator[Event]:
        """Everything that happens, as it happens. Closing the iterator ends the workers.

        `restarts`: of each group, those that are run (None: all that the schedule has). The first of them has a round
        whatever that takes.
        """
        those = restarts or [range(self._schedule.restarts)] * len(groups)
        for i, (cases, numbers) in enumerate(zip(groups, those, strict=True)):
            now = self._clock()
            yield from self._group(cases, numbers, deadline=now + (self._end - now) / (len(groups) - i))

    def _group(self, cases: Sequence[Case], restarts: range, deadline: float) -> Iterator[Event]:
        for restart in restarts:
            restarts_left = restarts.stop - restart - 1
            alive = [case for case in cases if case not in self._broken]
            if restart > restarts.start:
                alive = self._affordable(alive, deadline - self._clock(), restarts_left + 1)
            if not alive:
                return
            turns = self._divided(alive)
            self._starts |= {case: sum(case in turn for turn in turns) for case in alive}
            self._rounds_before = 0
            with self._nursery() as self._start:
                for turn, some in enumerate(turns, start=1):
                    later = len(turns) - turn + restarts_left * len(turns)
                    yield from self._turn(some, restart, later, deadline)

    def _divided(self, cases: Sequence[Case]) -> list[list[Case]]:
        """What is alive at once, in an order drawn anew."""
        drawn = self._shuffled(cases)
        return [[case] for case in drawn] if self._exclusive else self._shuffled(self._turns(drawn))

    def _turn(self, cases: Sequence[Case], restart: int, later: int, deadline: float) -> Iterator[Event]:
        """One start of workers that are alive at once, and their rounds; so many such starts come later."""
        with ExitStack() as stack:
            stack.callback(self._close_all)
            drawn = self._shuffled(self._cores)
            whole = [case for case in cases if case not in self._broken]  # in an earlier turn
            yield from self._bring_up(whole, restart, drawn)
            yield from self._check([case for case in self._workers if case not in self._known])
            bearer = reference_bearer(self._workers) if self._refers else None
            for case in list(self._workers):
                yield from self._size_up(case, restart, bears=case == bearer)
            self._known.update(self._workers)
            with self._beside(self._left(drawn)):
                yield from self._rounds(restart, later, deadline)
            if self._traces is not None:
                yield from self._trace(self._traces)

    def _left(self, drawn: Sequence[int]) -> list[int]:
        """The cores that no worker has; where there are none, the one that the fewest have."""
        most = max((case.devices // case.processes for case in self._workers), default=0)
        return sorted(drawn[most:] or drawn[-1:])

    def _affordable(self, cases: Sequence[Case], seconds: float, restarts: int) -> list[Case]:
        """The cases that can be started and asked once more in that time: `single`, then the quickest first.

        With parts `ensemble` comes before them, too, for scaling is against it. None if that leaves `single`
        alone, or the others without it. A case takes the time of all restarts to come, or of the next one if
        that is more than there is.
        """
        chosen = []
        parts = self._schedule.parts
        rank = {"single": 0, "ensemble": 1 if parts else 2}
        for case in sorted(cases, key=lambda case: (rank.get(case.mode, 2), self._again_s(case))):
            for times in (restarts, 1):
                if times * self._again_s(case) <= seconds:
                    seconds -= times * self._again_s(case)
                    chosen.append(case)
                    break
        # A ratio to `single` wants both; where it can't have them, there is nothing to gain.
        parted = {case.mode == "single" for case in chosen} != {case.mode == "single" for case in cases}
        return [] if parted else chosen

    def _again_s(self, case: Case) -> float:
        """How long a case will take in another restart with a round a turn, from what it took in the last one."""
        return self._starts[case] * (self._start_s[case] + self._round_s.get(case, 0.0))

    def _bring_up(self, cases: Sequence[Case], restart: int, drawn: Sequence[int]) -> Iterator[Event]:
        """A worker for each case, in a new order: prepared side by side, compiled one by one. It has the first of
        the cores that were drawn, so that what is compared stands on the same ones."""
        order = self._shuffled(cases)
        cores = {case: [tuple(own) for own in self._deal(case, drawn)] for case in cases}

        def begin(case: Case) -> None:
            self._workers[case] = self._start()
            self._workers[case].begin_prepare(case, *cores[case])

        began = self._clock()
        yield from self._side_by_side(order, restart, begin, lambda case: self._workers[case].end_prepare())
        prepare_s = (self._clock() - began) / max(len(cases), 1)
        for case in [case for case in order if case in self._workers]:
            began = self._clock()
            compiled = self._try(case, restart, lambda worker=self._workers[case]: _compiled(worker))
            self._start_s[case] = prepare_s + self._clock() - began
            if isinstance(compiled, Broke):
                yield compiled
            elif why := unlike_first(compiled.first_loss, self._first_loss.setdefault(case, compiled.first_loss)):
                yield self._drop(Broke(case, restart, f"wrong results: {why}"))
            else:
                yield Started(case, restart, compiled, cores[case][0], tuple(cores[case][1:]))

    def _dealt(self, case: Case, drawn: Sequence[int]) -> list[list[int]]:
        return [sorted(drawn[: case.devices] if self._pinned else drawn)]

    def _check(self, cases: Sequence[Case]) -> Iterator[Event]:
        """Cases that are alive, against `single`."""
        certificates: dict[Case, Certificate] = {}

        def end(case: Case) -> None:
            certificates[case] = self._workers[case].end_check()

        def begin(case: Case) -> None:
            self._workers[case].begin_check()

        yield from self._side_by_side(cases, 0, begin, end)
        for case, certificate in certificates.items():
            yield Certified(case, certificate)
            if certificate.failures:
                yield self._drop(Broke(case, 0, f"wrong results: {certificate.failures}"))

    def _side_by_side(
        self, cases: Sequence[Case], restart: int, begin: Callable[[Case], None], end: Callable[[Case], None]
    ) -> Iterator[Broke]:
        """Begins and ends the cases, as many at once as there are cores."""
        for i in range(0, len(cases), len(self._cores)):
            some = cases[i : i + len(self._cores)]
            begun = [(case, self._try(case, restart, lambda case=case: begin(case))) for case in some]
            for case, failed in begun:
                broke = failed or self._try(case, restart, lambda case=case: end(case))
                if broke is not None:
                    yield broke

    def _size_up(self, case: Case, restart: int, *, bears: bool) -> Iterator[TakenApart | Unreferenced | Broke]:
        """How long its steps are, and the parts that it has; those of the reference workload, if it bears that."""
        began = self._clock()
        parts = self._try(case, restart, lambda: self._taken_apart(case))
        if isinstance(parts, Broke):
            yield parts
            return
        kinds: tuple[Kind, ...] = (*KINDS, *(parts.kinds if parts else ()))
        rough = self._try(case, restart, lambda: self._workers[case].rough(kinds))
        if isinstance(rough, Broke):
            yield rough
            return
        self._step_s[case] = rough
        if parts and case not in self._known:
            yield TakenApart(case, parts)
        if bears:
            yield from self._refer(case, restart)
        self._start_s[case] += self._clock() - began

    def _refer(self, case: Case, restart: int) -> Iterator[Unreferenced | Broke]:
        """How long the reference workload is in the case's worker. Where it can't be run the case is measured without
        it; where it ends the worker that breaks the case, and no other's worker has to try."""
        try:
            self._step_s[case] |= self._workers[case].rough((REFERENCE,))
        except UsageError as error:
            self._refers = False
            yield Unreferenced(case, str(error).rstrip("."))
        except WorkerFailed as error:
            self._refers = False
            yield self._drop(Broke(case, restart, f"in the reference workload: {error}"))

    def _taken_apart(self, case: Case) -> Parts | None:
        """Devices that share cores have no peak of their own."""
        peaks = not self._pinned or case.devices // case.processes <= len(self._cores)
        return self._workers[case].take_apart(peaks=peaks) if self._schedule.parts else None

    def _rounds(self, restart: int, later: int, deadline: float) -> Iterator[Event]:
        """One round, and more of them while time is left; later starts are left as much time as their rounds."""
        began = self._clock()
        until = began + (deadline - began) / (2 * later + 1)
        first = 0 if self._exclusive else self._rounds_before
        for number in range(self._schedule.rounds):
            if not self._workers or (number and self._clock() + self._last_round_s() > until):
                return
            self._round_s |= dict.fromkeys(self._workers, 0.0)
            for kind in self._shuffled(self._schedule.kinds):
                for case in self._shuffled([c for c in self._workers if kind in self._step_s[c]]):
                    yield self._block(case, restart, first + number, kind)
            self._foresee(number, later, deadline)
            self._rounds_before = first + number + 1
            yield RoundEnded(restart, first + number)

    def _trace(self, folder: Path) -> Iterator[Traced]:
        """A trace of each case that is alive and has none yet; one that fails costs the case's worker at most, which
        is asked no more before the next restart."""
        for case in [case for case in self._workers if case not in self._traced]:
            self._traced.add(case)
            try:
                yield Traced(case, self._workers[case].profile(folder / file_name(case.name)))
            except (WorkerFailed, UsageError) as error:
                self._workers.pop(case).close()
                yield Traced(case, None, str(error).rstrip("."))

    def _block(self, case: Case, restart: int, number: int, kind: Kind) -> Sampled | Broke:
        steps = max(STEPS_AT_LEAST[kind], round(self._schedule.block_s / self._step_s[case][kind]))
        began = self._clock()
        block = self._try(case, restart, lambda: self._workers[case].block(kind, steps))
        self._round_s[case] += self._clock() - began
        if kind == REFERENCE and isinstance(block, Broke):
            self._refers = False
        return block if isinstance(block, Broke) else Sampled(case, restart, number, kind, block)

    def _last_round_s(self) -> float:
        return sum(self._round_s[case] for case in self._workers)

    def _foresee(self, number: int, later: int, deadline: float) -> None:
        """When all will be done, if later starts go like this one, and later groups use what is theirs."""
        now, round_s = self._clock(), self._last_round_s()
        start_s = sum(self._start_s[case] for case in self._workers)
        rounds_s = (self._schedule.rounds - number - 1 + later * self._schedule.rounds) * round_s
        self._finish = min(now + rounds_s + later * start_s, max(now, deadline)) + self._end - deadline

    def _try(self, case: Case, restart: int, ask: Callable[[], T]) -> T | Broke:
        try:
            return ask()
        except (WorkerFailed, UsageError) as error:
            return self._drop(Broke(case, restart, str(error)))

    def _drop(self, broke: Broke) -> Broke:
        self._broken.add(broke.case)
        if worker := self._workers.pop(broke.case, None):
            worker.close()
        return broke

    def _close_all(self) -> None:
        while self._workers:
            self._workers.popitem()[1].close()

    def _shuffled(self, values: Sequence[T]) -> list[T]:
        return self._random.sample(values, len(values))


def _compiled(worker: Worker) -> Compiled:
    worker.begin_compile()
    return worker.end_compile()
