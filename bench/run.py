"""Measures the cases of a selection: from what was asked for to a record on disk."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench import environment, linting, nvml, resuming
from bench.cases import Case, Selection, is_own, taken
from bench.choosing import chosen
from bench.company import Company, check_across, company_of
from bench.conductor import Conductor
from bench.environment import Backend
from bench.events import Event, RoundEnded, Schedule, Traced
from bench.keeping import check_folder, check_writable, keep
from bench.limits import available, check_dtype, check_seconds, check_seed, check_tolerance
from bench.live import PRELOAD, Launch, nursery
from bench.record import CaseResult, Record, absorb
from bench.room import Room
from bench.turns import Turns
from bench.workers import LIMIT_S, PartsWorker, WorkerFailed
from toynet.config import PRESETS
from toynet.errors import UsageError
from toynet.rendezvous import Circle
from toynet.xla import check_xla_flags

ROOT = Path(__file__).resolve().parent.parent

Watch = Callable[[Event, Conductor], None]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run: which cases, how much of each, and where the record goes."""

    selection: Selection
    schedule: Schedule
    out: Path
    limit_s: float = LIMIT_S
    """A worker that doesn't answer within this time is broken."""
    tolerance: float | None = None
    """Of what is compared with `single`, relative to a leaf's largest entry; None: as is usual in its dtypes."""
    command: tuple[str, ...] = ()
    lint: bool = True
    """Whether workloads of the user's own are looked over before."""
    traces: Path | None = None
    """Where each case gets a folder with a profiler trace; None: nothing is traced."""
    before: Record | None = None
    """What there is of the run, whose cases are gone on with, whatever is selected."""

    def __post_init__(self) -> None:
        schedule = self.schedule
        for name in ("restarts", "rounds"):
            if not 1 <= getattr(schedule, name) < 2**31:
                raise UsageError(f"{name} must be from 1 to 2**31 - 1, got {getattr(schedule, name)}.")
        check_seed(schedule.seed)
        check_seconds({"block": schedule.block_s, "budget": schedule.budget_s, "time limit": self.limit_s})
        check_tolerance(self.tolerance)


def measure(plan: Plan, watch: Watch, circle: Circle | None = None) -> Record:
    """Runs the plan, writing its record after each round; raises UsageError before anything is written.

    Of a circle of processes this is rank 0. Raises ProcessLost if one of the others is lost; the record has what was
    measured by then.
    """
    check_xla_flags()
    check_writable(plan.out)
    if circle is None and plan.before is None:
        check_across(plan.selection, 1)
    if plan.traces is not None:
        check_folder(plan.traces)
    look = _nowhere if circle is None else circle.check
    backend, company = _where(plan, circle, look)
    cases = _cases(plan, backend, company, look)
    gpus = backend.gpus[: max(case.devices // case.processes for case in cases)]
    library = nvml.library() if gpus else None
    free = room(backend, nvml.free_bytes(library, gpus), parts=plan.schedule.parts, company=company)
    turns = Turns(cases, free, exclusive=backend.exclusive)
    findings = linting.of_cases(cases, plan.limit_s, look) if plan.lint else {}
    linting.check(findings, dict.fromkeys(case.workload for case in cases))
    record = _begun(plan, cases, backend, company, findings)
    if plan.before is not None:
        record = resuming.resumed(plan.out, plan.before, record)
    began = time.monotonic() - record.seconds
    with conducting(plan, turns, record, company) as (conductor, events):
        for event in events:
            if isinstance(event, Traced) and event.file is not None:
                event = dataclasses.replace(event, file=Path(os.path.relpath(event.file, plan.out.parent)))
            record = _now(absorb(record, event), began)
            if isinstance(event, RoundEnded):
                read = nvml.readings(library, gpus, event.restart, event.round)  # before the clock falls
                record = msgspec.structs.replace(record, gpu_readings=(*record.gpu_readings, *read))
                keep(record, plan.out)
            watch(event, conductor)
    record = msgspec.structs.replace(_now(record, began), complete=True)
    keep(record, plan.out)
    return record


def _nowhere() -> None:
    """Where there are no other processes to look at."""


def _where(plan: Plan, circle: Circle | None, look: Callable[[], None]) -> tuple[Backend, Company | None]:
    """What JAX runs on here, and all processes."""
    if circle is None:
        return probe(plan.limit_s), None
    company = company_of(circle, lambda: probe(plan.limit_s, circle.place.environment, look), plan.limit_s)
    return company.processes[0].backend, company


def _cases(plan: Plan, backend: Backend, company: Company | None, look: Callable[[], None]) -> list[Case]:
    """What is to be measured; of a run that is gone on with, what it has."""
    if plan.before is not None:
        return [result.case for result in plan.before.cases]
    selection = plan.selection if company is None else company.selection(plan.selection)
    cases = chosen(selection, plan.limit_s, look)
    check_dtype(cases, backend)
    cases = taken(cases, backend.platform)
    return available(cases, backend, cut=selection.devices is None and selection.meshes is None)


def _begun(
    plan: Plan, cases: Sequence[Case], backend: Backend, company: Company | None, findings: linting.Findings
) -> Record:
    """The record of a run that has measured nothing yet."""
    return Record(
        created=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        command=plan.command,
        schedule=plan.schedule,
        host=environment.host(tree(cases)),
        backend=backend,
        load_at_start=environment.load_average(),
        load_at_end=environment.load_average(),
        seconds=0.0,
        pinned=environment.CAN_PIN,
        alternation="restarts" if backend.exclusive else "rounds",
        tolerance=plan.tolerance,
        processes=() if company is None else company.processes,
        findings=dict(findings),
        cases=tuple(CaseResult(case) for case in cases),
    )


def tree(cases: Sequence[Case]) -> Path:
    """The folder whose commit a record names: that which the workers import what they train from."""
    own = Path("toynet", "__init__.py").exists() or all(is_own(case.workload) for case in cases)
    return Path() if own else ROOT


@contextlib.contextmanager
def conducting(
    plan: Plan, turns: Turns, record: Record, company: Company | None = None
) -> Iterator[tuple[Conductor, Iterable[Event]]]:
    """A conductor of live workers and what happens, from where the record is; workers and the folder that they share
    are gone when it ends."""
    cases = [result.case for result in record.cases]
    presets = any(case.workload in PRESETS for case in cases)
    preload = (*PRELOAD, "toynet.train") if presets else PRELOAD
    pinned = record.backend.simulated and record.pinned
    left_s = max(0.0, plan.schedule.budget_s - record.seconds)
    with tempfile.TemporaryDirectory(prefix="bench-") as shared:

        def alone() -> contextlib.AbstractContextManager[Callable[[], PartsWorker]]:
            return nursery(plan.limit_s, Path(shared), preload, tolerance=plan.tolerance)

        def together() -> contextlib.AbstractContextManager[Callable[[], PartsWorker]]:
            assert company is not None
            return company.crews(plan.limit_s, Path(shared), preload, plan.tolerance)

        conductor = Conductor(
            alone if company is None else together,
            time.monotonic,
            dataclasses.replace(plan.schedule, budget_s=left_s),
            environment.usable_cores(),
            pinned=pinned,
            exclusive=record.backend.exclusive,
            turns=turns,
            beside=environment.beside if pinned else lambda _: contextlib.nullcontext(),
            traces=plan.traces,
            deal=None if company is None else functools.partial(company.deal, pinned=pinned),
            before=resuming.before(record),
        )
        with contextlib.closing(conductor.run(*resuming.left(record, groups(cases)))) as events:
            yield conductor, events


def groups(cases: Sequence[Case]) -> list[list[Case]]:
    """What is compared stays together: the cases of one workload."""
    return [[case for case in cases if case.workload == name] for name in dict.fromkeys(c.workload for c in cases)]


def room(backend: Backend, device_bytes: int | None, *, parts: bool = False, company: Company | None = None) -> Room:
    """What workers may take together, with the memory that is free on a device that isn't the host; of several
    processes, where there is least."""
    free = [(environment.free_bytes(), device_bytes), *(() if company is None else company.free)]
    host, device = (
        min((size for size in sizes if size is not None), default=None) for sizes in zip(*free, strict=True)
    )
    machines = () if company is None else tuple(process.machine for process in company.processes)
    return Room.here(backend, len(environment.usable_cores()), host, device, parts=parts, machines=machines)


def probe(limit_s: float, environment: Mapping[str, str] = {}, look: Callable[[], None] = _nowhere) -> Backend:
    """What JAX runs on here, found out in a process of its own with that in its environment; `look` as a nursery has
    it. Raises UsageError if JAX can't start."""
    try:
        launch = Launch(environment=environment)
        with nursery(limit_s, None, PRELOAD, launch, look=look) as start, contextlib.closing(start()) as worker:
            return worker.backend()
    except WorkerFailed as error:
        raise UsageError(f"JAX doesn't start here: {error}.") from None


def _now(record: Record, began: float) -> Record:
    return msgspec.structs.replace(
        record, seconds=round(time.monotonic() - began, 3), load_at_end=environment.load_average()
    )
