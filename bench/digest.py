"""A record in brief: what a history needs of it, read several times as fast as the whole."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from bench import record
from bench.cases import Case
from bench.measured import REFERENCE, Kind
from bench.plausible import fault_of_date
from bench.reading import Reused, content_in, refused
from toynet.errors import UsageError

# Of what is set, what changes what is computed; the rest says where files are, and which of equal devices are used.
COMPUTING = ("XLA_FLAGS", "LIBTPU_INIT_ARGS", "NVIDIA_TF32_OVERRIDE")
At = tuple[int, int]
"""A restart of a workload's cases, and a round in it."""
Round = tuple[At, float]
"""Seconds a step there."""
_MEMORY = Reused()
Beside = tuple[str, int]
"""The workload in whose rounds the reference was timed, and the devices of the worker that ran it: so many cores."""


@dataclass(frozen=True)
class Machine:
    """A kind of machine, set up in one way: what its records may be held against."""

    platform: str
    device: str
    cpu: str
    cores: int
    settings: tuple[str, ...]
    """Such as `XLA_FLAGS=...`."""


@dataclass(frozen=True)
class Digest:
    """One run. Of each case, and of the reference: the median of each restart's rounds."""

    path: Path
    created: str
    commit: str | None
    dirty: bool
    machine: Machine
    software: Mapping[str, str]
    """Versions, by name."""
    reference_s: Mapping[Beside, tuple[float, ...]]
    """Empty in a record of before there was one."""
    ratios: Mapping[str, Mapping[Beside, tuple[float, ...]]]
    """To the reference, by the name of the case, from the rounds that both have."""
    step_s: Mapping[str, tuple[float, ...]]
    """Of cases that have no round with the reference."""


def read(path: Path, kind: Kind = "latency") -> Digest | None:
    """Of one kind of block; None for JSON that is no record of a run. Raises UsageError, in one sentence, otherwise.

    What a history doesn't need isn't looked at: `record.read` refuses more.
    """
    content = content_in(_MEMORY, path)
    try:
        found = msgspec.json.decode(content, type=_Record)
        cases = [_told(bytes(result.case)) for result in found.cases]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, UsageError) as error:
        if _is_other(content):
            return None
        record.read(path)  # says what is wrong
        raise refused(path, str(error)) from None
    if found.type is not None:
        return None
    names = {case.name for case in cases}
    if found.schema > record.SCHEMA or fault_of_date(found.created) or not 0 < len(names) == len(cases):
        record.read(path)
    return _digest(path, found, cases, kind)


def _is_other(content: memoryview) -> bool:
    """Whether that is JSON, and doesn't say that it is a record of a run."""
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return not isinstance(found, dict) or "type" in found or not {"schema", "cases"} <= found.keys()


class _Block(msgspec.Struct, frozen=True, gc=False):
    steps: Annotated[int, msgspec.Meta(ge=1)]
    seconds: Annotated[float, msgspec.Meta(gt=0)]
    processes_s: tuple[float, ...] = ()


class _Sample(msgspec.Struct, frozen=True, gc=False):
    restart: int
    round: int
    kind: Kind
    block: _Block


class _Result(msgspec.Struct, frozen=True):
    case: msgspec.Raw
    status: str = "waiting"
    samples: tuple[_Sample, ...] = ()


class _Host(msgspec.Struct, frozen=True):
    cpu_model: str
    usable_cores: tuple[int, ...]
    os: str
    environment: dict[str, str]
    commit: str | None
    dirty: bool


class _Backend(msgspec.Struct, frozen=True):
    platform: str
    device_kind: str
    packages: dict[str, str]
    python: str
    settings: dict[str, str]
    runtime: str = ""
    driver: str | None = None


class _Process(msgspec.Struct, frozen=True):
    machine: int


class _Record(msgspec.Struct, frozen=True):
    schema: Annotated[int, msgspec.Meta(ge=1)]
    created: str
    host: _Host
    backend: _Backend
    cases: tuple[_Result, ...]
    pinned: bool = True
    alternation: str = "rounds"
    processes: tuple[_Process, ...] = ()
    type: str | None = None


def _digest(path: Path, found: _Record, cases: Sequence[_Told], kind: Kind) -> Digest:
    results = zip(cases, found.cases, strict=True)
    measured = {case: _by_round(result.samples, kind) for case, result in results if result.status == "measured"}
    references = {case: reference for case, (_, reference) in measured.items() if reference}
    borne = _borne(references)
    ratios, step_s = {}, {}
    for case, (rounds, _) in measured.items():
        if paired := _paired(case, rounds, borne):
            ratios[case.name] = paired
        elif rounds:
            step_s[case.name] = _restarts(rounds)
    return Digest(
        path=path,
        created=found.created,
        commit=found.host.commit,
        dirty=found.host.dirty,
        machine=_machine(found),
        software=_software(found),
        reference_s=_by_beside((case.beside, *block) for case, blocks in references.items() for block in blocks),
        ratios=ratios,
        step_s=step_s,
    )


def _borne(references: Mapping[_Told, Sequence[Round]]) -> dict[str, dict[At, tuple[Beside, float]]]:
    """Each block of the reference, by the name of the case whose worker ran it and by its workload; of several in a
    round, where workers came one after another, the workload's is that of the fewest devices."""
    found: dict[str, dict[At, tuple[Beside, float]]] = {}
    for case, rounds in sorted(references.items(), key=lambda item: item[0].devices, reverse=True):
        own = {at: (case.beside, value) for at, value in rounds}
        found[case.name] = own
        found.setdefault(case.workload, {}).update(own)
    return found


def _paired(
    case: _Told, rounds: Sequence[Round], borne: Mapping[str, Mapping[At, tuple[Beside, float]]]
) -> dict[Beside, tuple[float, ...]]:
    """Ratios to the reference that the case's own worker ran in the same round, or else another of its workload."""
    own, shared = borne.get(case.name, {}), borne.get(case.workload, {})
    found = [(reference, at, value) for at, value in rounds if (reference := own.get(at) or shared.get(at))]
    return _by_beside((beside, at, value / reference) for (beside, reference), at, value in found)


def _by_beside(blocks: Iterable[tuple[Beside, At, float]]) -> dict[Beside, tuple[float, ...]]:
    apart: dict[Beside, dict[int, list[float]]] = {}
    for beside, (restart, _), value in blocks:
        apart.setdefault(beside, {}).setdefault(restart, []).append(value)
    return {beside: tuple([median(values) for values in restarts.values()]) for beside, restarts in apart.items()}


def _by_round(samples: Sequence[_Sample], kind: Kind) -> tuple[list[Round], list[Round]]:
    """Each block of a kind, and of the reference, as `summary.by_round` has them."""
    found: dict[str, list[Round]] = {kind: [], REFERENCE: []}
    for sample in samples:
        if (of := sample.kind) in found:
            block = sample.block
            first = of == REFERENCE and block.processes_s
            seconds = first[0] if first else block.seconds
            found[of].append(((sample.restart, sample.round), seconds / block.steps))
    return found[kind], found[REFERENCE]


def _restarts(rounds: Sequence[Round]) -> tuple[float, ...]:
    """As `summary.medians`."""
    restarts: dict[int, list[float]] = {}
    for (restart, _), value in rounds:
        restarts.setdefault(restart, []).append(value)
    return tuple([median(values) for values in restarts.values()])


def median(values: Sequence[float]) -> float:
    """`statistics.median`, a third as long, for there are a million of them."""
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(values) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


class _Told(NamedTuple):
    """What is needed of a case."""

    name: str
    beside: Beside
    """Of the reference, if its worker ran that."""

    @property
    def workload(self) -> str:
        return self.beside[0]

    @property
    def devices(self) -> int:
        return self.beside[1]


@functools.cache
def _told(case: bytes) -> _Told:
    found = msgspec.json.decode(case, type=Case)
    return _Told(found.name, (found.workload, found.devices // found.processes))


def _machine(found: _Record) -> Machine:
    host, backend = found.host, found.backend
    own = {name: host.environment[name] for name in COMPUTING if name in host.environment}
    measured = {"pinned": str(found.pinned), "alternation": found.alternation}
    if found.processes:
        hosts = len({process.machine for process in found.processes})
        measured["processes"] = f"{len(found.processes)} on {hosts} host{'s' * (hosts > 1)}"
    settings = {**own, **backend.settings, **measured}
    return Machine(
        platform=backend.platform,
        device=backend.device_kind,
        cpu=host.cpu_model,
        cores=len(host.usable_cores),
        settings=tuple(f"{name}={value}" for name, value in sorted(settings.items())),
    )


def _software(found: _Record) -> dict[str, str]:
    backend = found.backend
    driver = {} if backend.driver is None else {"driver": backend.driver}
    return {**backend.packages, "Python": backend.python, **driver, "runtime": backend.runtime, "OS": found.host.os}
