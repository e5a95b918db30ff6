"""Compares two sides: from what they were written as to a comparison on disk."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench import environment, lookup, noise, nvml
from bench.cases import DEFAULT_MODES, PRESET_BATCH, Case, Own, Selection, check_divides, divided, expand, is_own
from bench.comparison import Comparison, PairResult, SideResult, absorb
from bench.duet import Broke, Duets, Event, Judged, Pace, Pair
from bench.environment import Backend
from bench.keeping import check_writable, keep
from bench.limits import available, check_dtype, check_seconds, check_seed, check_tolerance
from bench.live import PRELOAD, Launch, LiveWorker, Pipe, nursery
from bench.measured import Kind
from bench.room import Room
from bench.run import ROOT, room
from bench.sides import Side, Tree, checked_out, launch
from bench.verdict import LOOKS, Rule, judged
from bench.workers import LIMIT_S, WorkerFailed
from toynet.config import PRESETS
from toynet.errors import UsageError
from toynet.xla import MAX_SIMULATED, check_xla_flags

THRESHOLDS = (0.001, 1.0)
Starts = tuple[Callable[[], LiveWorker[Pipe]], Callable[[], LiveWorker[Pipe]]]
Looked = Mapping[str, Own | str]
"""What a side has of each workload, or why it hasn't."""
Found = Mapping[str, int | str]
"""The batch size of each workload that a side has, or why it hasn't."""
Watch = Callable[[Event, Duets, Comparison], None]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A comparison: of which sides, which cases, by which rule, and where its result goes."""

    a: Side
    b: Side
    selection: Selection
    kind: Kind = "latency"
    rule: Rule
    pace: Pace
    out: Path
    noise: Path | None
    """Noise floors, as `doctor --noise` leaves them; where there are any, the threshold is held against them."""
    limit_s: float = LIMIT_S
    tolerance: float | None = None
    """Of what is compared with `single`, relative to a leaf's largest entry; None: as is usual in its dtypes."""
    allow_different: bool = False
    all_restarts: bool = False
    """Whether to go on when verdicts are clear; none is said then."""
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        low, high = THRESHOLDS
        if not low <= self.rule.threshold <= high:
            raise UsageError(
                f"the threshold must be from {100 * low:g}% to {100 * high:g}%, got {100 * self.rule.threshold:g}%."
            )
        if not LOOKS[0] <= self.pace.restarts <= LOOKS[-1]:
            raise UsageError(f"restarts must be from {LOOKS[0]} to {LOOKS[-1]}, got {self.pace.restarts}.")
        check_seed(self.pace.seed)
        check_tolerance(self.tolerance)
        self._check_names()
        check_seconds({"budget": self.pace.budget_s, "time limit": self.limit_s, "time for rounds": self.pace.rounds_s})

    def _check_names(self) -> None:
        """Raises UsageError for a file that would be the same on two sides that have files of their own."""
        if (self.a.path.absolute(), self.a.rev) == (self.b.path.absolute(), self.b.rev):
            return
        for name in self.selection.workloads:
            file = divided(name)[0]
            if is_own(name) and Path(file).is_absolute():
                raise UsageError(
                    f"{name!r} is the same file on both sides; name it as it is called within their trees, such as "
                    f"{os.path.relpath(file)}."
                )


def compare(plan: Plan, watch: Watch) -> Comparison:
    """Runs the plan, writing what there is after each restart; raises UsageError before anything is written."""
    check_xla_flags()
    check_writable(plan.out)
    began = time.monotonic()
    with checked_out(plan.a) as tree_a, checked_out(plan.b) as tree_b:
        trees = (tree_a, tree_b)
        with tempfile.TemporaryDirectory(prefix="bench-") as shared, _Sides(plan, trees, Path(shared)) as sides:
            backends, found = sides.look()
            check_alive_at_once(backends)
            pairs = _available(paired(plan, *map(_batches, found)), plan, backends)
            for backend, own, cases in zip(backends, found, _compared(pairs), strict=True):
                check_dtype(cases, backend)
                check_divides(cases, {name: told for name, told in own.items() if isinstance(told, Own)})
            check_room(pairs, backends)
            comparison = _begun(plan, trees, backends, pairs)
            _check_floors(comparison, plan)
            pinned = all(backend.simulated for backend in backends) and environment.CAN_PIN
            duets = Duets(
                sides.nurseries,
                time.monotonic,
                plan.pace,
                (lambda trials: trials) if plan.all_restarts else (lambda trials: judged(trials, plan.rule)),
                environment.usable_cores(),
                pinned=pinned,
                beside=environment.beside if pinned else lambda _: contextlib.nullcontext(),
                allow_different=plan.allow_different,
            )
            with contextlib.closing(duets.run(_comparable(pairs))) as events:
                for event in events:
                    comparison = _now(absorb(comparison, event), began)
                    if isinstance(event, (Judged, Broke)):
                        keep(comparison, plan.out)
                    watch(event, duets, comparison)
    comparison = msgspec.structs.replace(_now(comparison, began), complete=True)
    keep(comparison, plan.out)
    return comparison


def check_alive_at_once(backends: tuple[Backend, Backend]) -> None:
    """Raises UsageError where both sides want devices that one process at a time may hold."""
    if all(backend.exclusive for backend in backends):
        raise UsageError(
            "a comparison asks two live processes in turn, and one process at a time may hold this "
            f"{backends[0].platform}; run each side by itself with `python -m bench run`, whose records aren't paired."
        )


def check_room(pairs: Sequence[PairResult], backends: tuple[Backend, Backend]) -> None:
    """Raises UsageError for a pair whose cases have no place beside each other; presets count as this checkout's."""
    for a, b in zip(*_compared(pairs), strict=True):
        rooms = [_room(backend, case) for backend, case in zip(backends, (a, b), strict=True)]
        needs = [free.need(case, lookup.shapes(case)) for free, case in zip(rooms, (a, b), strict=True)]
        same_memory = rooms[0].on_host == rooms[1].on_host
        rooms[0].check(a, needs[0], needs[1:] if same_memory else [])
        rooms[1].check(b, needs[1], needs[:1] if same_memory else [])


def _room(backend: Backend, case: Case) -> Room:
    library = nvml.library() if backend.gpus else None
    return room(backend, nvml.free_bytes(library, backend.gpus[: case.devices]))


class _Sides:
    """Both sides' processes."""

    def __init__(self, plan: Plan, trees: tuple[Tree, Tree], shared: Path) -> None:
        self._plan = plan
        self._names = ("A", "B")
        self._launches: tuple[Launch, Launch] = (launch(plan.a, trees[0]), launch(plan.b, trees[1]))
        self._shared = (shared / "a", shared / "b")
        presets = any(name in PRESETS for name in plan.selection.workloads)
        self._preload = (*PRELOAD, "toynet.train") if presets else PRELOAD
        self._first = contextlib.ExitStack()
        self._looked: Starts | None = None

    def __enter__(self) -> _Sides:
        return self

    def __exit__(self, *_: object) -> None:
        self._first.close()

    @contextlib.contextmanager
    def nurseries(self) -> Iterator[Starts]:
        """A nursery for each side; both import at once. The first are those that `look` has looked from."""
        with self._first.pop_all() as stack:
            starts, self._looked = self._looked or self._opened(stack), None
            yield starts

    def _opened(self, stack: contextlib.ExitStack) -> Starts:
        a, b = (stack.enter_context(self._nursery(side)) for side in (0, 1))
        return a, b

    def _nursery(self, side: int) -> contextlib.AbstractContextManager[Callable[[], LiveWorker[Pipe]]]:
        plan = self._plan
        return nursery(plan.limit_s, self._shared[side], self._preload, self._launches[side], plan.tolerance)

    def look(self) -> tuple[tuple[Backend, Backend], tuple[Looked, Looked]]:
        """Each side's backend, and what it has of each workload.

        Raises UsageError if a side can't start, or if neither has a workload.
        """
        self._looked = self._opened(self._first)
        backends, found = [], []
        for name, start in zip(self._names, self._looked, strict=True):
            try:
                with contextlib.closing(start()) as worker:
                    backends.append(worker.backend())
                found.append({workload: _own(start, workload) for workload in self._plan.selection.workloads})
            except WorkerFailed as error:
                raise UsageError(f"side {name} can't start: {error}.") from None
        a, b = found
        for workload in self._plan.selection.workloads:
            if isinstance(a[workload], str) and isinstance(b[workload], str):
                raise UsageError(a[workload])
        return (backends[0], backends[1]), (a, b)


def _own(start: Callable[[], LiveWorker[Pipe]], workload: str) -> Own | str:
    with contextlib.closing(start()) as worker:
        try:
            return worker.own(workload)
        except UsageError as error:
            return str(error)


def _batches(looked: Looked) -> Found:
    return {name: told if isinstance(told, str) else told.batch_size for name, told in looked.items()}


def paired(plan: Plan, a: Found, b: Found) -> list[PairResult]:
    """The cases of both sides, paired; those that only one side has, or that changed, are named as such.

    Raises UsageError where it isn't clear what to pair.
    """
    found: list[PairResult] = []
    for workload in plan.selection.workloads:
        cases_a = _cases(plan.selection, plan.a, workload, a[workload])
        cases_b = _cases(plan.selection, plan.b, workload, b[workload])
        if cases_a and cases_b and len(cases_a) != len(cases_b):
            raise UsageError(
                f"{workload}: A has {len(cases_a)} cases and B has {len(cases_b)}; choose --modes, --devices and "
                "--members so that each case of one side has its counterpart."
            )
        width = max(len(cases_a), len(cases_b))
        both = zip(cases_a or [None] * width, cases_b or [None] * width, strict=True)
        found += [_pair(plan, *pair, lacking=(a[workload], b[workload])) for pair in both]
    _check_devices(plan, found)
    return found


def _check_devices(plan: Plan, pairs: Sequence[PairResult]) -> None:
    """Raises UsageError for a number of devices that was asked for and that no case has."""
    sides = [side for side in (plan.a, plan.b) if side.devices is None]
    has = {case.devices for pair in pairs for case in (pair.a, pair.b) if case is not None}
    lacking = [n for n in plan.selection.devices or () if n not in has]
    if sides and lacking:
        named = plan.selection.modes or DEFAULT_MODES
        modes = dict.fromkeys(name for side in sides for name in (named if side.mode is None else (side.mode,)))
        raise UsageError(
            f"no case on {lacking[0]} device{'s' * (lacking[0] != 1)}: {', '.join(modes)} can't be run on so many; add "
            f"a mode that can, as in --modes {','.join(dict.fromkeys([*modes, 'data_parallel']))}."
        )


def _cases(selection: Selection, side: Side, workload: str, batch: int | str) -> list[Case]:
    if isinstance(batch, str):
        return []
    own = dataclasses.replace(
        selection,
        workloads=(workload,),
        modes=selection.modes if side.mode is None else (side.mode,),
        devices=selection.devices if side.devices is None else (side.devices,),
    )
    return expand(own, {**PRESET_BATCH, workload: batch})


def _pair(plan: Plan, a: Case | None, b: Case | None, lacking: tuple[int | str, int | str]) -> PairResult:
    of = b or a
    assert of is not None
    name = of.name if a is None or b is None or a.name == b.name else f"{a.name} : {b.name}"
    why = None
    if a is None or b is None:
        why = f"new: in A, {lacking[0]}" if a is None else f"missing: in B, {lacking[1]}"
    elif a.batch != b.batch:
        why = f"changed: batch is {a.batch} in A and {b.batch} in B; --batch makes it the same"
    if why is None:
        return PairResult(name, a, b, plan.kind)
    return PairResult(name, a, b, plan.kind, "not comparable", why.rstrip("."))


def _available(pairs: list[PairResult], plan: Plan, backends: tuple[Backend, Backend]) -> list[PairResult]:
    """The pairs for which a side has the devices; those for which only one has are not comparable.

    Raises UsageError for devices that were asked for and aren't there.
    """
    chosen = plan.selection.devices is not None or plan.selection.meshes is not None
    has = [MAX_SIMULATED if backend.simulated else backend.device_count for backend in backends]
    kept = []
    for pair in pairs:
        lacks = [case is not None and case.devices > most for case, most in zip((pair.a, pair.b), has, strict=True)]
        for side, case, backend, of in ((0, pair.a, backends[0], plan.a), (1, pair.b, backends[1], plan.b)):
            if case is not None and lacks[side] and (chosen or of.devices is not None):
                available([case], backend, cut=False)  # says what there is
        if lacks == [True, True]:
            continue
        if True in lacks:
            side = lacks.index(True)
            why = f"{'AB'[side]} has too few devices: {has[side]}"
            pair = msgspec.structs.replace(pair, verdict="not comparable", why=why)
        kept.append(pair)
    if not kept:
        raise UsageError(f"no case: all of them need more devices than the {max(has)} that there are.")
    return kept


def _compared(pairs: Sequence[PairResult]) -> tuple[list[Case], list[Case]]:
    """The cases of each side that are to be compared."""
    both = [(pair.a, pair.b) for pair in pairs if pair.a and pair.b and pair.verdict != "not comparable"]
    return [a for a, _ in both], [b for _, b in both]


def _comparable(pairs: Sequence[PairResult]) -> list[Pair]:
    found = [Pair(p.name, p.a, p.b, p.kind) for p in pairs if p.a and p.b and p.verdict != "not comparable"]
    if not found:
        why = "; ".join(f"{pair.name} is {pair.why}" for pair in pairs)
        raise UsageError(f"there is nothing to compare: {why}.")
    return found


def _begun(
    plan: Plan, trees: tuple[Tree, Tree], backends: tuple[Backend, Backend], pairs: list[PairResult]
) -> Comparison:
    host = environment.host(ROOT)
    a, b = (
        SideResult(side.text, tree.commit, tree.dirty, backend)
        for side, tree, backend in zip((plan.a, plan.b), trees, backends, strict=True)
    )
    return Comparison(
        created=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        command=plan.command,
        rule=plan.rule,
        pace=plan.pace,
        host=host,
        a=a,
        b=b,
        floors=noise.floors(plan.noise, host, b.backend, plan.pace.restarts) if plan.noise else {},
        load_at_start=environment.load_average(),
        load_at_end=environment.load_average(),
        seconds=0.0,
        pairs=tuple(pairs),
    )


def _check_floors(comparison: Comparison, plan: Plan) -> None:
    """Refuses a threshold that an A/A would not keep here."""
    for pair in comparison.pairs:
        floor = comparison.floors.get(noise.key(pair.name, pair.kind))
        if floor is not None and floor > comparison.rule.threshold:
            raise UsageError(
                f"a threshold of {100 * comparison.rule.threshold:g}% is below the noise floor of {pair.name}, which "
                f"`python -m bench doctor --noise` found to be {100 * floor:.2g}% here; ask for more, or make the "
                f"machine quieter and measure it again ({plan.noise})."
            )


def _now(comparison: Comparison, began: float) -> Comparison:
    return msgspec.structs.replace(
        comparison, seconds=round(time.monotonic() - began, 3), load_at_end=environment.load_average()
    )
