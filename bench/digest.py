"""A record in brief: what a history needs of it, read several times as fast as the whole."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from bench import record
from bench.cases import Case
from bench.measured import REFERENCE, Kind
from bench.plausible import fault_of_date
from bench.reading import content_of, refused

# Of what is set, what changes what is computed; the rest says where files are, and which of equal devices are used.
COMPUTING = ("XLA_FLAGS", "LIBTPU_INIT_ARGS", "NVIDIA_TF32_OVERRIDE")
At = tuple[int, int]
"""A restart, and a round in it."""


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
    """One run. Of each case, and of the reference workload: the median of each restart's rounds."""

    path: Path
    created: str
    commit: str | None
    dirty: bool
    machine: Machine
    software: Mapping[str, str]
    """Versions, by name."""
    reference_s: tuple[float, ...]
    """Empty in a record of before there was one."""
    ratios: Mapping[str, tuple[float, ...]]
    """To the reference, by the name of the case, from the rounds that both have."""
    step_s: Mapping[str, tuple[float, ...]]
    """Of cases that have no round with the reference."""


def read(path: Path, kind: Kind = "latency") -> Digest | None:
    """Of one kind of block; None for JSON that is no record of a run. Raises UsageError, in one sentence, otherwise.

    What a history doesn't need isn't looked at: `record.read` refuses more.
    """
    content = content_of(path)
    try:
        found = msgspec.json.decode(content, type=_Record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if _is_other(content):
            return None
        record.read(path)  # says what is wrong
        raise refused(path, str(error)) from None
    if found.type is not None:
        return None
    cases = {bytes(result.case) for result in found.cases}
    if found.schema > record.SCHEMA or fault_of_date(found.created) or not 0 < len(cases) == len(found.cases):
        record.read(path)
    return _digest(path, found, kind)


def _is_other(content: bytes) -> bool:
    """Whether that is JSON, and doesn't say that it is a record of a run."""
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return not isinstance(found, dict) or "type" in found or not {"schema", "cases"} <= found.keys()


class _Block(msgspec.Struct, frozen=True, gc=False):
    steps: Annotated[int, msgspec.Meta(ge=1)]
    seconds: Annotated[float, msgspec.Meta(gt=0)]


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


class _Record(msgspec.Struct, frozen=True):
    schema: Annotated[int, msgspec.Meta(ge=1)]
    created: str
    host: _Host
    backend: _Backend
    cases: tuple[_Result, ...]
    pinned: bool = True
    alternation: str = "rounds"
    type: str | None = None


def _digest(path: Path, found: _Record, kind: Kind) -> Digest:
    measured = {_name(bytes(result.case)): result.samples for result in found.cases if result.status == "measured"}
    reference = {at: value for samples in measured.values() for at, value in _by_round(samples, REFERENCE)}
    ratios, step_s = {}, {}
    for name, samples in measured.items():
        rounds = _by_round(samples, kind)
        if paired := [(at, value / reference[at]) for at, value in rounds if at in reference]:
            ratios[name] = _restarts(paired)
        elif rounds:
            step_s[name] = _restarts(rounds)
    return Digest(
        path=path,
        created=found.created,
        commit=found.host.commit,
        dirty=found.host.dirty,
        machine=_machine(found),
        software=_software(found),
        reference_s=_restarts(list(reference.items())),
        ratios=ratios,
        step_s=step_s,
    )


def _by_round(samples: Sequence[_Sample], kind: Kind) -> list[tuple[At, float]]:
    """Seconds a step of each block of a kind, as `summary.by_round` has them."""
    return [((s.restart, s.round), s.block.seconds / s.block.steps) for s in samples if s.kind == kind]


def _restarts(rounds: Sequence[tuple[At, float]]) -> tuple[float, ...]:
    """As `summary.medians`."""
    restarts: dict[int, list[float]] = {}
    for (restart, _), value in rounds:
        restarts.setdefault(restart, []).append(value)
    return tuple([median(values) for values in restarts.values()])


def median(values: Sequence[float]) -> float:
    """`statistics.median`, a third as long, for there are a million of them."""
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(values) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


@functools.cache
def _name(case: bytes) -> str:
    return msgspec.json.decode(case, type=Case).name


def _machine(found: _Record) -> Machine:
    host, backend = found.host, found.backend
    own = {name: host.environment[name] for name in COMPUTING if name in host.environment}
    measured = {"pinned": str(found.pinned), "alternation": found.alternation}
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
