"""The result file of one run against peers: frozen structs, and the ratios that follow from its samples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from bench.environment import Backend, Host
from bench.peers.contender import Learned, Took
from bench.peers.rows import Row
from bench.plausible import fault_of_case, fault_of_interval, fault_of_time
from bench.reading import Fault, check, read_as
from bench.stats import Estimate, over_restarts
from bench.summary import medians, paired

SCHEMA = 2


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One block, in the order in which they were run."""

    contender: str
    restart: int
    round: int
    took: Took


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came of a row."""

    row: Row
    status: Literal["waiting", "measured", "broken", "left out"] = "waiting"
    why: str = ""
    """Of a row that is broken or left out."""
    ratio: Estimate | None = None
    collectives: dict[str, int] | None = None
    """Of `parts`: how many of each kind the compiled step has on a device."""
    file: str = ""
    """Of `parts` and `scaling`: the record of `bench run` beside this one that the ratio comes from."""

    @property
    def kept(self) -> bool:
        """Whether it was measured and keeps its bar."""
        one_all_reduce = self.collectives in (None, {"all-reduce": 1})
        return self.ratio is not None and self.row.kept(self.ratio.value) and one_all_reduce


class Peers(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="peers"):
    """One run: on what machine, and what came of it."""

    schema: int = SCHEMA
    created: str
    """UTC, ISO 8601."""
    command: tuple[str, ...]
    restarts: int
    rounds: int
    host: Host
    backend: Backend
    packages: dict[str, str]
    """Of others, with which ours are held against."""
    load_at_start: float
    load_at_end: float
    seconds: float = 0.0
    complete: bool = False
    results: tuple[Result, ...]
    learned: dict[str, Learned] = {}
    """By contender."""
    samples: tuple[Sample, ...] = ()


def read(path: Path) -> Peers:
    """The record in a file; raises UsageError if there is none that can be read."""
    record = read_as(path, Peers, SCHEMA)
    check(path, _faults(record))
    return record


def _faults(record: Peers) -> Iterator[Fault]:
    """What its types allow and no run leaves."""
    names: set[str] = set()
    for i, result in enumerate(record.results):
        place, row = f"results[{i}]", result.row
        if row.name in names:
            yield place, f"{row.name} is there twice"
        if row.case is not None and (what := fault_of_case(row.case)):
            yield f"{place}.row.case ({row.name})", what
        if result.ratio is not None and (what := fault_of_interval(result.ratio)):
            yield f"{place}.ratio ({row.name})", what
        if result.status == "measured" and result.ratio is None:
            yield f"{place}.ratio ({row.name})", "it was measured, and there is none"
        names.add(row.name)
    seen: set[tuple[str, int, int]] = set()
    for i, sample in enumerate(record.samples):
        place, at = f"samples[{i}] ({sample.contender})", (sample.contender, sample.restart, sample.round)
        if at in seen:
            yield place, f"its round {sample.round} of restart {sample.restart} is there twice"
        if what := fault_of_time(sample.took.seconds, sample.took.trainings):
            yield place, what
        seen.add(at)


def replaced(record: Peers, result: Result) -> Peers:
    """The record with a row's result."""
    results = tuple(result if one.row == result.row else one for one in record.results)
    return msgspec.structs.replace(record, results=results)


def broken(record: Peers, contender: str, why: str) -> Peers:
    """The record after a contender failed, which costs the rows that it is in."""
    for result in record.results:
        if result.status in ("waiting", "measured") and contender in (result.row.ours, result.row.theirs):
            failed = Result(result.row, "broken", f"{contender}: {why}")
            record = replaced(record, failed)
    return record


def unlike(record: Peers) -> Peers:
    """The record with rows broken whose contenders didn't learn the same."""
    for result in record.results:
        row, learned = result.row, record.learned
        if result.status not in ("waiting", "measured") or not {row.ours, row.theirs} <= learned.keys():
            continue
        a, b = learned[row.ours].accuracy, learned[row.theirs].accuracy
        if not abs(a - b) <= row.tolerance:
            why = (
                f"{row.theirs} computes something else: its test accuracy is {b:.4f}, and that of {row.ours} {a:.4f}; "
                f"they may differ by {row.tolerance}"
            )
            record = replaced(record, Result(row, "broken", why))
    return record


def settled(record: Peers) -> Peers:
    """The record with the ratios of rows whose contenders were both timed."""
    for result in record.results:
        row = result.row
        if result.status in ("waiting", "measured"):
            ratio = paired(by_round(record, row.theirs), by_round(record, row.ours))
            if ratio is not None:
                record = replaced(record, Result(row, "measured", ratio=ratio))
    return record


def by_round(record: Peers, contender: str) -> dict[tuple[int, int], float]:
    """Seconds a training of each block, by (restart, round)."""
    return {(s.restart, s.round): s.took.seconds / s.took.trainings for s in record.samples if s.contender == contender}


def training_s(record: Peers, contender: str) -> Estimate | None:
    """Seconds a training, of one member; None if it wasn't timed."""
    rounds = by_round(record, contender)
    return over_restarts(medians(rounds)) if rounds else None


def trainings(record: Peers, contender: str) -> int:
    """How many were timed."""
    return sum(sample.took.trainings for sample in record.samples if sample.contender == contender)
