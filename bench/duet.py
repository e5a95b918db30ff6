"""Two sides, alive at once and asked in turn, restarted until every verdict is clear or the budget is spent.

The schedule is that of duet benchmarking (Bulej et al. 2020) with interleaved trials (Abedi and Brecht
2017). Knows neither JAX nor processes: workers, clock and order are handed in.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TypeVar

from bench.cases import Case
from bench.measured import Block, Certificate, Compiled, Kind
from bench.rounds import A, B, Round, alternating
from bench.verdict import LOOKS, Trial, log_ratio
from bench.workers import STEPS_AT_LEAST, Worker, WorkerFailed, unlike_first
from toynet.errors import UsageError

T = TypeVar("T")
Starts = tuple[Callable[[], Worker], Callable[[], Worker]]
NAMES = ("A", "B")


@dataclass(frozen=True)
class Pair:
    """One thing compared: a case on each side, by one kind of block."""

    name: str
    a: Case
    b: Case
    kind: Kind = "latency"

    @property
    def cases(self) -> tuple[Case, Case]:
        return self.a, self.b


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How much is measured: rounds of blocks in a restart, restarts in a budget."""

    block_s: float = 0.02
    rounds_s: float = 1.0
    """Of a restart, for the rounds of one pair, about."""
    fewest_rounds: int = 6
    restarts: int = LOOKS[-1]
    """At most."""
    budget_s: float = 300.0
    seed: int = 0


@dataclass(frozen=True)
class Agreed:
    """Both sides compute what `single` does, and the same; or that they don't was allowed, as `unlike` says."""

    pair: Pair
    compiled: tuple[Compiled, Compiled]
    certificates: tuple[Certificate, Certificate]
    traces: tuple[int, int]
    """How often each side's step was traced until its first result."""
    unlike: str


@dataclass(frozen=True)
class Opened:
    """Both workers of a pair were started on those cores."""

    pair: Pair
    restart: int
    cores: tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Broke:
    """A pair can't be compared; nothing more is asked of it."""

    pair: Pair
    why: str


@dataclass(frozen=True)
class Played(Round):
    """A round of a pair."""

    pair: Pair
    restart: int


@dataclass(frozen=True)
class Judged:
    """Where the test of a pair stands after a restart of all pairs that were open."""

    pair: Pair
    trial: Trial


Event = Agreed | Opened | Broke | Played | Judged


# Of the first loss and of the largest loss of an epoch: roundings of another jaxlib or another number of
# devices stay below, another step doesn't.
FIRST_LOSS_TOLERANCE = 1e-4
CURVE_TOLERANCE = 1e-3
# The same where products are rounded more: bfloat16's by 0.004, and a curve was off by that after 25 steps; those of
# TF32 and float16 by an eighth of that.
COARSE_TOLERANCES = {"bfloat16": (0.004, 0.03), **dict.fromkeys(("tensorfloat32", "float16"), (0.0005, 0.004))}


Judge = Callable[[dict[Pair, Trial]], dict[Pair, Trial]]
"""The trials after one more look at them; those with a verdict aren't restarted."""


class _Broken(Exception):
    """A pair broke; the message says why."""


class Duets:
    """Compares pairs; the two workers of one pair are alive at once, and no others."""

    def __init__(
        self,
        nurseries: Callable[[], AbstractContextManager[Starts]],
        clock: Callable[[], float],
        pace: Pace,
        judge: Judge,
        cores: Sequence[int],
        *,
        pinned: bool = True,
        beside: Callable[[Sequence[int]], AbstractContextManager[object]] = nullcontext,
        allow_different: bool = False,
    ) -> None:
        """`nurseries` is entered anew for each restart, and gives what starts a worker of each side.

        If `pinned`, a worker runs on as many cores as its case has devices, drawn anew for each restart;
        both sides draw the same ones. Who asks is kept on them by `beside`.
        """
        self._nurseries = nurseries
        self._clock = clock
        self._pace = pace
        self._judge = judge
        self._cores = tuple(cores)
        self._pinned = pinned
        self._beside = beside
        self._allow_different = allow_different
        self._random = random.Random(pace.seed)
        self._end = clock() + pace.budget_s
        self._trials: dict[Pair, Trial] = {}
        self._steps: dict[Pair, int] = {}
        self._first_losses: dict[Pair, tuple[float | None, float | None]] = {}
        self._restart_s: dict[Pair, float] = {}

    def left_s(self) -> float:
        """Seconds of the budget that are left."""
        return max(0.0, self._end - self._clock())

    def run(self, pairs: Sequence[Pair]) -> Generator[Event]:
        """Everything that happens, as it happens. Closing the iterator ends the workers."""
        self._trials = dict.fromkeys(pairs, Trial())
        with self._nurseries() as starts:
            for pair in pairs:
                yield from self._attempt(pair, self._agree(pair, starts))
        for restart in range(self._pace.restarts):
            undecided = [pair for pair, trial in self._trials.items() if trial.verdict is None]
            needed_s = sum(self._restart_s.get(pair, 0.0) for pair in undecided)
            if not undecided or (restart and self._clock() + needed_s > self._end):
                return
            with self._nurseries() as starts:
                for pair in self._random.sample(undecided, len(undecided)):
                    began = self._clock()
                    yield from self._attempt(pair, self._restart(pair, restart, starts))
                    self._restart_s[pair] = self._clock() - began
            self._trials = self._judge(self._trials)
            yield from (Judged(pair, self._trials[pair]) for pair in undecided if pair in self._trials)

    def _attempt(self, pair: Pair, events: Iterator[Event]) -> Iterator[Event]:
        try:
            yield from events
        except _Broken as broke:
            del self._trials[pair]
            yield Broke(pair, str(broke))

    def _agree(self, pair: Pair, starts: Starts) -> Iterator[Event]:
        """Both sides compiled and compared, side by side on all cores; nothing here is timed."""
        with self._started(starts) as workers:
            compiled = self._compiled(pair, workers, (self._cores, self._cores))
            a, b = self._traces(workers)
            fused = pair.kind == "fused"
            found = _both(workers, lambda worker, _: worker.begin_check(fused), lambda worker: worker.end_check())
            for side in (A, B):
                if found[side].failures:
                    raise _Broken(f"{NAMES[side]}: wrong results: {found[side].failures}")
            products = [*(case.products for case in pair.cases), found[A].products, found[B].products]
            why = unlike(self._first_losses[pair], (found[A].losses, found[B].losses), products)
            if why and not self._allow_different:
                raise _Broken(
                    f"the sides compute different things: {why}; where that is meant, --allow-different-results "
                    "compares their times all the same"
                )
            yield Agreed(pair, compiled, found, (a, b), why)

    def _restart(self, pair: Pair, restart: int, starts: Starts) -> Iterator[Event]:
        """Both workers started anew and asked in turn; adds a log-ratio to the trial."""
        logs: list[float] = []
        with self._started(starts) as workers:
            cores = self._drawn(pair)
            self._compiled(pair, workers, cores)
            yield Opened(pair, restart, cores)
            with self._beside(sorted({*cores[A], *cores[B]})):
                if pair not in self._steps:
                    self._steps[pair] = self._calibrated(pair, workers)
                for played in self._rounds(pair, restart, workers):
                    logs.append(played.log)
                    yield played
        trial = self._trials[pair]
        self._trials[pair] = replace(trial, logs=(*trial.logs, log_ratio(logs)))

    @contextmanager
    def _started(self, starts: Starts) -> Iterator[tuple[Worker, Worker]]:
        with ExitStack() as stack:

            def start(side: int) -> Worker:
                worker = _asked(NAMES[side], starts[side])
                stack.callback(worker.close)
                return worker

            yield start(A), start(B)

    def _drawn(self, pair: Pair) -> tuple[tuple[int, ...], tuple[int, ...]]:
        drawn = self._random.sample(self._cores, len(self._cores)) if self._pinned else self._cores
        a, b = (tuple(sorted(drawn[: case.devices] if self._pinned else drawn)) for case in pair.cases)
        return a, b

    def _compiled(
        self, pair: Pair, workers: tuple[Worker, Worker], cores: tuple[tuple[int, ...], tuple[int, ...]]
    ) -> tuple[Compiled, Compiled]:
        _both(
            workers,
            lambda worker, side: worker.begin_prepare(pair.cases[side], cores[side]),
            lambda worker: worker.end_prepare(),
        )
        compiled = _both(workers, lambda worker, _: worker.begin_compile(), lambda worker: worker.end_compile())
        first = self._first_losses.setdefault(pair, (compiled[A].first_loss, compiled[B].first_loss))
        for side in (A, B):
            if why := unlike_first(compiled[side].first_loss, first[side]):
                raise _Broken(f"{NAMES[side]}: wrong results: {why}")
        return compiled

    def _calibrated(self, pair: Pair, workers: tuple[Worker, Worker]) -> int:
        """Steps of a block, the same on both sides: as many as the quicker one takes for its time."""
        rough = [_asked(NAMES[side], lambda side=side: workers[side].rough((pair.kind,))) for side in (A, B)]
        for side in (A, B):
            if pair.kind not in rough[side]:
                raise _Broken(f"{NAMES[side]}: its steps are too long for {pair.kind} blocks; compare their latency")
        step_s = min(found[pair.kind] for found in rough)
        return max(STEPS_AT_LEAST[pair.kind], round(self._pace.block_s / step_s))

    def _rounds(self, pair: Pair, restart: int, workers: tuple[Worker, Worker]) -> Iterator[Played]:
        """Rounds, the side that begins being drawn."""

        def ask(side: int) -> Block:
            return self._block(pair, side, workers)

        for side in (A, B):
            ask(side)  # the first after compiling; not counted
        traces, pace = self._traces(workers), self._pace
        first = self._random.choice((A, B))
        for one in alternating(ask, first, self._clock, fewest=pace.fewest_rounds, seconds=pace.rounds_s):
            yield Played(one.first, one.blocks, one.asked_s, pair, restart)
        for side, before, after in zip(NAMES, traces, self._traces(workers), strict=True):
            if after > before:
                raise _Broken(f"{side}: its step was traced {after - before} more times while it was timed")

    def _block(self, pair: Pair, side: int, workers: tuple[Worker, Worker]) -> Block:
        return _asked(NAMES[side], lambda: workers[side].block(pair.kind, self._steps[pair]))

    def _traces(self, workers: tuple[Worker, Worker]) -> list[int]:
        return [_asked(NAMES[side], workers[side].traces) for side in (A, B)]


def unlike(
    first: tuple[float | None, float | None],
    curves: tuple[Sequence[float], Sequence[float]],
    products: Sequence[str] = (),
) -> str:
    """How the losses of two sides differ, in words; empty if they agree but for roundings, those of `products` too."""
    coarse = [COARSE_TOLERANCES[name] for name in products if name in COARSE_TOLERANCES]
    of_first, of_curve = max(coarse, default=(FIRST_LOSS_TOLERANCE, CURVE_TOLERANCE))
    a, b = first
    if a is not None and b is not None and abs(a - b) > of_first * max(abs(a), abs(b)):
        return f"the loss of the first step is {a:.6g} in A and {b:.6g} in B"
    if len(curves[A]) != len(curves[B]):
        return f"an epoch has {len(curves[A])} steps in A and {len(curves[B])} in B"
    allowed = of_curve * max((abs(loss) for loss in (*curves[A], *curves[B])), default=0.0)
    for number, (a, b) in enumerate(zip(*curves, strict=True), start=1):
        if abs(a - b) > allowed:
            return f"the loss of step {number} is {a:.6g} in A and {b:.6g} in B"
    return ""


def _both(
    workers: tuple[Worker, Worker], begin: Callable[[Worker, int], None], end: Callable[[Worker], T]
) -> tuple[T, T]:
    """Begins on both sides, then waits for both."""
    for side in (A, B):
        _asked(NAMES[side], lambda side=side: begin(workers[side], side))
    a, b = (_asked(NAMES[side], lambda side=side: end(workers[side])) for side in (A, B))
    return a, b


def _asked(side: str, ask: Callable[[], T]) -> T:
    try:
        return ask()
    except (WorkerFailed, UsageError) as error:
        raise _Broken(f"{side}: {error}") from None
