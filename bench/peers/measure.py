"""Measures rows: contenders alive at once and asked in turn, then the steps of `bench run`."""

from __future__ import annotations

import contextlib
import datetime
import functools
import importlib.util
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench import environment, run
from bench.environment import Backend
from bench.keeping import keep
from bench.limits import check_seconds
from bench.peers import record as records
from bench.peers import scaled
from bench.peers.contender import Opponent
from bench.peers.live import COLD, Cold, LiveWorker
from bench.peers.record import Peers, Result, Sample
from bench.peers.rows import Row, by_reason, left_out
from bench.workers import WorkerFailed
from toynet.errors import UsageError

LIMIT_S = 600.0
PACKAGES = ("scikit-learn", "joblib", "torch")

Start = Callable[[str], Opponent]
"""Starts the contender of a name."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run: which rows, how much of each, and where the record goes."""

    rows: tuple[Row, ...]
    restarts: int
    rounds: int
    out: Path
    limit_s: float = LIMIT_S
    """A contender that doesn't answer within this time is broken."""
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("restarts", "rounds"):
            if not 1 <= getattr(self, name) < 2**31:
                raise UsageError(f"{name} must be from 1 to 2**31 - 1, got {getattr(self, name)}.")
        check_seconds({"time limit": self.limit_s})


def begun(plan: Plan, backend: Backend, cores: int) -> Peers:
    """Nothing measured yet; raises UsageError if no row can be measured here."""
    if backend.exclusive:
        raise UsageError(
            "contenders are alive at once, and one process at a time may hold this "
            f"{backend.platform}; JAX_PLATFORMS=cpu has them on the CPU."
        )
    has_torch = importlib.util.find_spec("torch") is not None
    missing = {row.name: left_out(row, cores, has_torch=has_torch) for row in plan.rows}
    if all(missing.values()):
        raise UsageError(f"nothing can be measured: {'; '.join(by_reason(missing))}.")
    return Peers(
        created=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        command=plan.command,
        restarts=plan.restarts,
        rounds=plan.rounds,
        host=environment.host(run.ROOT),
        backend=backend,
        packages=environment.versions(PACKAGES),
        load_at_start=environment.load_average(),
        load_at_end=environment.load_average(),
        results=tuple(
            Result(row, "left out", missing[row.name]) if missing[row.name] else Result(row) for row in plan.rows
        ),
    )


def started(name: str, limit_s: float) -> Opponent:
    """The contender of that name, as a live worker or as a process from cold."""
    return Cold(COLD[name], limit_s) if name in COLD else LiveWorker(name, limit_s)


def raced(record: Peers, plan: Plan, start: Start | None = None) -> Generator[Peers]:
    """The record after each round of the contenders, written down. Closing the iterator ends them."""
    began = time.monotonic() - record.seconds
    start = start or functools.partial(started, limit_s=plan.limit_s)
    rows = [result.row for result in record.results if result.row.ours and result.status == "waiting"]
    for ours in dict.fromkeys(row.ours for row in rows):
        group = [row for row in rows if row.ours == ours]
        for restart in range(plan.restarts):
            with contextlib.closing(_restart(record, group, restart, plan.rounds, start)) as rounds:
                for later in rounds:
                    record = _kept(later, plan, began)
                    yield record


def left_s(record: Peers) -> float:
    """Roughly how long the contenders will take from here on."""
    live = [one.row for one in record.results if one.row.ours and one.status in ("waiting", "measured")]
    total = sum(row.round_s for row in live) * record.restarts * record.rounds
    done = sum(row.round_s * len(records.by_round(record, row.theirs)) for row in live)
    return record.seconds * (total - done) / done if done else 0.0


def scaled_up(record: Peers, plan: Plan, watch: run.Watch) -> Peers:
    """The record with the rows that `bench run` measures, whose own records are kept beside; written down."""
    began = time.monotonic() - record.seconds
    rows = [one.row for one in record.results if one.row.case and one.status == "waiting"]
    for workload in dict.fromkeys(row.case.workload for row in rows if row.case):
        group = [row for row in rows if row.case and row.case.workload == workload]
        out = plan.out.with_name(f"{plan.out.stem}.{workload}.json")
        try:
            measured = run.measure(scaled.plan(group, plan.restarts, plan.rounds, out, plan.limit_s), watch)
            found = [scaled.result(row, measured, out.name) for row in group]
        except UsageError as error:
            found = [Result(row, "left out", str(error).rstrip(".")) for row in group]
        for result in found:
            record = records.replaced(record, result)
        record = _kept(record, plan, began)
    return completed(record, plan, began)


def completed(record: Peers, plan: Plan, began: float | None = None) -> Peers:
    """The record of a run that came to its end, written down."""
    began = time.monotonic() - record.seconds if began is None else began
    return _kept(msgspec.structs.replace(record, complete=True), plan, began)


def _restart(record: Peers, group: Sequence[Row], restart: int, rounds: int, start: Start) -> Generator[Peers]:
    """One start of a group's contenders, all alive at once, and their rounds."""
    with contextlib.ExitStack() as stack:
        alive: dict[str, Opponent] = {}
        for name in wanted(record, group):
            if name not in wanted(record, group):  # the one that it is held against has just failed
                continue
            try:
                alive[name] = start(name)
                stack.callback(alive[name].close)
                alive[name].prepare()
                if restart == 0:
                    learned = {**record.learned, name: alive[name].judge()}
                    record = records.unlike(msgspec.structs.replace(record, learned=learned))
            except WorkerFailed as error:
                record = records.broken(record, name, str(error))
        for number in range(rounds):
            for name in in_turn(wanted(record, group), restart * rounds + number):
                try:
                    sample = Sample(name, restart, number, alive[name].block())
                    record = msgspec.structs.replace(record, samples=(*record.samples, sample))
                except WorkerFailed as error:
                    record = records.broken(record, name, str(error))
            record = records.settled(record)
            yield record


def wanted(record: Peers, group: Iterable[Row]) -> list[str]:
    """Contenders of the group's rows that aren't broken."""
    live = {result.row for result in record.results if result.status in ("waiting", "measured")}
    return list(dict.fromkeys(name for row in group if row in live for name in (row.ours, row.theirs)))


def in_turn(names: Sequence[str], number: int) -> list[str]:
    """The order of a round: that of the one before, reversed."""
    return list(names if number % 2 == 0 else reversed(names))


def _kept(record: Peers, plan: Plan, began: float) -> Peers:
    """The record, with the time, written down."""
    now = msgspec.structs.replace(
        record, seconds=round(time.monotonic() - began, 3), load_at_end=environment.load_average()
    )
    keep(now, plan.out)
    return now
