"""The result file of one run: frozen structs, a version, read and written.

Versions of the format:
  1  2026-11  first
  2  2026-11  a case's `parts` and blocks of their kinds, its network's size, `product_flops`; GPUs and their readings
  3  2026-11  a case's `path`
  4  2026-11  blocks of the kind `reference`, a case's `unreferenced`; its `trace`
  5  2026-11  `findings` of the lint; the modes that a certificate's workload has `refused`
  6  2026-11  `processes`, `resumed`, `tolerance`; a case's `processes`, a start's `others`, `processes_s`; `arrays`
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any, Literal

import msgspec

from bench.cases import Case
from bench.environment import Backend, Host
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
from bench.measured import PART_KINDS, Block, Certificate, Cost, Finding, Kind, Parts, Stages
from bench.nvml import Reading
from bench.plausible import (
    fault_of_case,
    fault_of_cost,
    fault_of_date,
    fault_of_ranks,
    fault_of_refused,
    fault_of_spread,
    fault_of_time,
)
from bench.reading import Fault, check, content_of, read_as
from toynet.errors import UsageError

SCHEMA = 6


class Start(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One start of a case's worker."""

    restart: int
    cores: tuple[int, ...]
    """Of its first process."""
    stages: Stages
    others: tuple[tuple[int, ...], ...] = ()
    """The cores of its other processes, in their order."""


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One block of a case, in the order in which they were run."""

    restart: int
    round: int
    kind: Kind
    block: Block


class CaseResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was measured of one case."""

    case: Case
    status: Literal["waiting", "measured", "broken"] = "waiting"
    why: str | None = None
    """Of a broken case: what happened."""
    cost: Cost | None = None
    certificate: Certificate | None = None
    parts: Parts | None = None
    starts: tuple[Start, ...] = ()
    samples: tuple[Sample, ...] = ()
    trace: str | None = None
    """The file of a few traced steps that Perfetto opens, relative to the record's folder."""
    untraced: str | None = None
    """Why a trace that was asked for isn't there."""
    unreferenced: str | None = None
    """Why its worker couldn't run the reference workload, and no worker did from then on."""


class Process(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of several processes that a run is in, on its host."""

    rank: int
    name: str
    """Of its host."""
    machine: int
    """Equal for processes that share a host, from 0."""
    host: Host
    backend: Backend


class Resumed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a run that went on with an earlier one, which had been ended."""

    created: str
    """UTC, ISO 8601: when it began."""
    command: tuple[str, ...]
    after_s: float
    """Seconds that the run had taken before."""
    load_at_start: float
    again: tuple[str, ...] = ()
    """Workloads whose last restart had been broken off: it doesn't count, though its rounds are there."""


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One run: what was asked for, on what machine, and what came of it."""

    schema: int = SCHEMA
    created: str
    """UTC, ISO 8601."""
    command: tuple[str, ...]
    schedule: Schedule
    host: Host
    backend: Backend
    load_at_start: float
    load_at_end: float
    """Load average over a minute, the run's own included."""
    seconds: float
    complete: bool = False
    """Whether the run came to its end."""
    resumed: tuple[Resumed, ...] = ()
    """The parts in which an earlier one was gone on with; `seconds` is of all."""
    tolerance: float | None = None
    """Of what was compared with `single`, where one was asked for."""
    pinned: bool = True
    """Whether each worker of a CPU was kept on as many cores as its case has devices."""
    alternation: Literal["rounds", "restarts"] = "rounds"
    """restarts: one process only may hold the devices, so the workers of a restart came one after another."""
    gpu_readings: tuple[Reading, ...] = ()
    """Of the GPUs in use, after each round; none without nvidia-ml-py."""
    processes: tuple[Process, ...] = ()
    """By rank, where there are several: the first, whose `host` and `backend` these are, conducted."""
    findings: dict[str, tuple[Finding, ...]] = {}
    """Of the lint, by the workload that was looked over; one that isn't there wasn't."""
    cases: tuple[CaseResult, ...]


def absorb(record: Record, event: Event) -> Record:
    """The record with what happened."""
    if isinstance(event, RoundEnded):
        return record
    cases = tuple(_absorb(result, event) if result.case == event.case else result for result in record.cases)
    return msgspec.structs.replace(record, cases=cases)


def _absorb(
    result: CaseResult, event: Started | Certified | TakenApart | Broke | Sampled | Traced | Unreferenced
) -> CaseResult:
    change: dict[str, Any]
    match event:
        case Started(restart=restart, compiled=compiled, cores=cores, others=others):
            start = Start(restart, cores, compiled.stages, others)
            change = {"starts": (*result.starts, start), "cost": compiled.cost}
        case Certified(certificate=certificate):
            change = {"certificate": certificate}
        case TakenApart(parts=parts):
            change = {"parts": parts}
        case Sampled(restart=restart, round=number, kind=kind, block=block):
            change = {"status": "measured", "samples": (*result.samples, Sample(restart, number, kind, block))}
        case Traced(file=file, why_not=why):
            change = {"trace": file and file.as_posix(), "untraced": why}
        case Unreferenced(why=why):
            change = {"unreferenced": why}
        case Broke(why=why):
            change = {"status": "broken", "why": why}
    return msgspec.structs.replace(result, **change)


def write(record: msgspec.Struct, path: Path) -> None:
    """Writes the file whole or not at all, and makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(record), indent=1)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text + b"\n")
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):  # where it was interrupted just after the replacement
            os.unlink(name)
        raise


def read(path: Path) -> Record:
    """The record in a file; raises UsageError, in one sentence, if there is none that can be read."""
    record = read_as(path, Record, SCHEMA)
    check(path, _faults(record))
    return record


def _faults(record: Record) -> Iterator[Fault]:
    """What its types allow and no run leaves."""
    if what := fault_of_date(record.created):
        yield "created", what
    for i, part in enumerate(record.resumed):
        if what := fault_of_date(part.created):
            yield f"resumed[{i}].created", what
    if not record.cases:
        yield "cases", "there is no case"
    if not record.host.usable_cores or record.host.cores < 1:
        yield "host", "there is no core"
    if what := fault_of_ranks([one.rank for one in record.processes], [one.machine for one in record.processes]):
        yield "processes", what
    for one in record.processes:
        if not one.host.usable_cores:
            yield f"processes[{one.rank}].host", "there is no core"
    for name in record.findings.keys() - {result.case.workload for result in record.cases}:
        yield "findings", f"{name} is the workload of no case"
    places: dict[str, int] = {}  # by name, for that is by what records are joined
    for i, result in enumerate(record.cases):
        place = f"cases[{i}]"
        if what := fault_of_case(result.case):
            yield f"{place}.case", what
        elif (first := places.setdefault(result.case.name, i)) != i:
            yield place, f"{result.case.name} is there twice, first as cases[{first}]"
        if result.case.processes > (there := max(len(record.processes), 1)):
            yield f"{place}.case", f"it is over {result.case.processes} processes, and the run was in {there}"
        for inner, what in _faults_of_result(result):
            yield f"{place}{inner} ({result.case.name})", what


def _faults_of_result(result: CaseResult) -> Iterator[Fault]:
    started = {start.restart for start in result.starts}  # several times in one, where cases take turns
    for i, start in enumerate(result.starts):
        if len(start.others) != result.case.processes - 1:
            yield f".starts[{i}].others", f"cores of {len(start.others)} other processes, of {result.case.processes}"
    if result.status == "measured":
        if result.cost is None or not result.starts:
            yield "", "it was measured unstarted"
        if result.certificate is None or result.certificate.failures:
            yield ".certificate", "it was measured without being found to compute what single does"
        if not any(sample.kind == "latency" for sample in result.samples):
            yield ".samples", "it was measured, and there is no block of steps that are waited for"
    if result.certificate is not None and (what := fault_of_refused(result.certificate, result.case)):
        yield ".certificate.refused", what
    if result.cost is not None and (what := fault_of_cost(result.cost)):
        yield ".cost", what
    if result.parts is not None:
        if unknown := set(result.parts.kinds) - set(PART_KINDS):
            yield ".parts.kinds", f"{min(unknown)} is no part of a step"
        for kind, size in (("product", result.parts.product_flops), ("stream", result.parts.stream_bytes)):
            if kind in result.parts.kinds and size < 1:
                yield ".parts", f"its {kind} is of nothing"
    if result.trace is not None and result.trace.startswith("/"):
        yield ".trace", "a path relative to the record was expected"
    apart = set(PART_KINDS) - set(result.parts.kinds if result.parts else ())
    seen: set[tuple[int, int, Kind]] = set()
    for i, sample in enumerate(result.samples):
        if sample.kind in apart:
            yield f".samples[{i}]", f"its case has no part {sample.kind}"
        if what := _fault_of_sample(sample, started, seen) or fault_of_spread(sample.block, result.case.processes):
            yield f".samples[{i}]", what
        seen.add((sample.restart, sample.round, sample.kind))


def _fault_of_sample(sample: Sample, started: Set[int], seen: Set[tuple[int, int, Kind]]) -> str:
    block = sample.block
    if sample.restart not in started:
        return f"restart {sample.restart} was never started"
    if (sample.restart, sample.round, sample.kind) in seen:
        return f"its block of {sample.kind} in round {sample.round} of restart {sample.restart} is there twice"
    if sample.kind == "latency" and not (block.dispatch_s and block.fastest_s):
        return "steps that are waited for, without dispatch_s and fastest_s"
    return fault_of_time(block.seconds, block.steps)


def tag(path: Path) -> str | None:
    """What kind of file it says it is; None for a run's record, and for what `read` will refuse."""
    try:
        return msgspec.json.decode(content_of(path), type=_Tagged).type
    except (UsageError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def called(tag: str) -> str:
    """What kind of file that is, in words."""
    return _CALLED.get(tag, f"a {tag}")


_CALLED = {
    "comparison": "a record of `ab` or `gate`",
    "noise": "what `doctor --noise` measured",
    "peers": "a record of `bench.peers`",
    **dict.fromkeys(("history", "simulation", "validation"), "a record of `bench.validate`"),
}


class _Tagged(msgspec.Struct):
    type: str | None = None
