"""The result file of one run: frozen structs, a version, read and written.

Versions of the format:
  1  2026-11  first
  2  2026-11  a case's `parts` and blocks of their kinds, its network's size, `product_flops`; GPUs and their readings
  3  2026-11  a case's `path`
  4  2026-11  blocks of the kind `reference`
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from bench.cases import Case
from bench.environment import Backend, Host
from bench.events import Broke, Certified, Event, RoundEnded, Sampled, Schedule, Started, TakenApart
from bench.measured import Block, Certificate, Cost, Kind, Parts, Stages
from bench.nvml import Reading
from toynet.errors import UsageError

SCHEMA = 4
T = TypeVar("T", bound=msgspec.Struct)


class Start(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One start of a case's worker."""

    restart: int
    cores: tuple[int, ...]
    stages: Stages


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
    pinned: bool = True
    """Whether each worker of a CPU was kept on as many cores as its case has devices."""
    alternation: Literal["rounds", "restarts"] = "rounds"
    """restarts: one process only may hold the devices, so the workers of a restart came one after another."""
    gpu_readings: tuple[Reading, ...] = ()
    """Of the GPUs in use, after each round; none without nvidia-ml-py."""
    cases: tuple[CaseResult, ...]


def absorb(record: Record, event: Event) -> Record:
    """The record with what happened."""
    if isinstance(event, RoundEnded):
        return record
    cases = tuple(_absorb(result, event) if result.case == event.case else result for result in record.cases)
    return msgspec.structs.replace(record, cases=cases)


def _absorb(result: CaseResult, event: Started | Certified | TakenApart | Broke | Sampled) -> CaseResult:
    change: dict[str, Any]
    match event:
        case Started(restart=restart, compiled=compiled, cores=cores):
            start = Start(restart, cores, compiled.stages)
            change = {"starts": (*result.starts, start), "cost": compiled.cost}
        case Certified(certificate=certificate):
            change = {"certificate": certificate}
        case TakenApart(parts=parts):
            change = {"parts": parts}
        case Sampled(restart=restart, round=number, kind=kind, block=block):
            change = {"status": "measured", "samples": (*result.samples, Sample(restart, number, kind, block))}
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
    for result in record.cases:
        if result.status == "measured" and (result.cost is None or not result.starts):
            raise UsageError(f"{path}: not a record of `python -m bench`: {result.case.name} was measured unstarted.")
        if any(sample.block.steps < 1 or not sample.block.seconds > 0 for sample in result.samples):
            raise UsageError(f"{path}: not a record of `python -m bench`: {result.case.name} has a block without time.")
    return record


def tag(path: Path) -> str | None:
    """What kind of file it says it is; None for a run's record, and for what `read` will refuse."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Tagged).type
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def read_as(path: Path, kind: type[T], schema: int) -> T:
    """The struct of that kind in a file, of that schema at most; raises UsageError, in one sentence."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; a record that `python -m bench run` wrote was expected.") from None
    try:
        version = msgspec.json.decode(content, type=_Version).schema
        if version > schema:
            raise UsageError(f"{path}: its schema is {version}, and this version reads up to {schema}; update bench.")
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not a record of `python -m bench`: {error}.") from None


class _Tagged(msgspec.Struct):
    type: str | None = None


class _Version(msgspec.Struct):
    schema: Annotated[int, msgspec.Meta(ge=1)]
