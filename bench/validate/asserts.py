"""Runs of `assert_not_slower` whose truth is planted: a function against itself, or against one that does less."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from bench import environment
from bench.reading import read_as
from bench.record import write
from bench.report.words import host_line
from bench.run import ROOT
from bench.validate.costly import functions
from bench.validate.real import load
from bench.validate.reports import FALSE_AT_MOST, Said, bars, percent, share, table
from toynet.errors import UsageError

SCHEMA = 1
Outcome = Literal["passed", "failed", "inconclusive"]

# Of one process, which a batch of tests would be; the next one has another place in memory.
BATCH = 20
# What is planted for each of the functions whose work can be told in shares, and how often.
PLANTED = {0.1: 20, 0.2: 20, 0.5: 20}
# A bar of our own, for what is four times the threshold and more.
FOUND_AT_LEAST = {0.2: 0.95, 0.5: 1.0}
CONFIDENCE = 0.95


class Planted(msgspec.Struct, frozen=True):
    """What a run was set up as."""

    function: str
    share: float
    """How much more work the new one does: 0.2 for 20%."""
    loaded: bool
    """Whether another process came and went beside it."""


class Run(msgspec.Struct, frozen=True):
    """One call of `assert_not_slower`, and what came of it."""

    planted: Planted
    outcome: Outcome
    seconds: float
    ratio: float | None = None
    """None of a failure, which says it in words."""
    restarts: int | None = None
    said: str = ""
    """Of a failure, or of what wasn't clear."""


class Asserts(msgspec.Struct, frozen=True, kw_only=True, tag="asserts"):
    """Runs on one machine."""

    schema: int = SCHEMA
    command: tuple[str, ...]
    machine: str
    by: float
    """The threshold."""
    runs: tuple[Run, ...] = ()


def wanted(same: int, *, loaded: bool) -> dict[Planted, int]:
    """How many runs of each there are to be, `same` of them of functions against themselves."""
    names = ("dispatch", "products", "scan")
    of_each = {name: len(range(i, same, len(names))) for i, name in enumerate(names)}
    found = {Planted(name, 0.0, loaded): count for name, count in of_each.items()}
    return found | {Planted(name, share, loaded): n for share, n in PLANTED.items() for name in names[1:]}


def begun(command: Sequence[str]) -> Asserts:
    """Nothing run yet, on this machine."""
    from bench.asserts import BY

    return Asserts(command=tuple(command), machine=host_line(environment.host(ROOT)), by=BY)


def extended(
    path: Path,
    begun: Asserts,
    wanted: Mapping[Planted, int],
    *,
    until_s: float,
    say: Callable[[str], None],
    run_all: Callable[[Sequence[Planted]], list[Run]] | None = None,
) -> Asserts:
    """Runs until there are as many of each as wanted, or time is up; what `path` already has counts.

    `run_all` makes the runs of a batch, after each of which they are written down (None: in a process of their own).
    Raises UsageError if those that there are were made on another machine.
    """
    found = _continued(path, begun) if path.exists() else begun
    end = time.monotonic() + until_s
    while time.monotonic() < end and (batch := _next(found, wanted)):
        with load(len(found.runs)) if batch[0].loaded else contextlib.nullcontext():
            runs = (run_all or _in_a_process)(batch)
        found = msgspec.structs.replace(found, runs=(*found.runs, *runs))
        write(found, path)
        counts = Counter(run.outcome for run in found.runs if not run.planted.share)
        have = Counter(run.planted for run in found.runs)
        left = sum(max(n - have[planted], 0) for planted, n in wanted.items())
        say(f"{counts['failed']} failures in {counts.total()} runs of the same; {left} runs left")
    return found


def _continued(path: Path, begun: Asserts) -> Asserts:
    found = read_as(path, Asserts, SCHEMA)
    if (found.machine, found.by) != (begun.machine, begun.by):
        raise UsageError(
            f"{path} was made on another machine ({found.machine}), or by another threshold: move it away."
        )
    return found


def _next(found: Asserts, wanted: Mapping[Planted, int]) -> list[Planted]:
    """The next ones of a process: those of which the smallest share is done, so that all meet the same machine."""
    have = Counter(run.planted for run in found.runs)
    batch: list[Planted] = []
    while len(batch) < BATCH and (missing := [planted for planted, n in wanted.items() if have[planted] < n]):
        planted = min(missing, key=lambda planted: have[planted] / wanted[planted])
        batch.append(planted)
        have[planted] += 1
    return batch


def _in_a_process(batch: Sequence[Planted]) -> list[Run]:
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.map(run, batch, chunksize=len(batch))


def run(planted: Planted) -> Run:
    """One run, with the defaults of `assert_not_slower`."""
    from bench import assert_not_slower

    (old, args), (new, _) = (functions(share)[planted.function] for share in (0.0, planted.share))
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            compared = assert_not_slower(new, *args, than=old, inconclusive="skip")
        except AssertionError as error:
            return Run(planted, "failed", time.perf_counter() - began, said=str(error))
    seconds = time.perf_counter() - began
    assert compared is not None
    assert compared.ratio is not None
    outcome: Outcome = "inconclusive" if warned else "passed"
    return Run(planted, outcome, seconds, compared.ratio.value, compared.restarts, str(compared) if warned else "")


def report(found: Asserts) -> Said:
    """The runs as Markdown, and the bars that weren't kept."""
    groups = {planted: [run for run in found.runs if run.planted == planted] for planted in _kinds(found.runs)}
    same = [run for run in found.runs if not run.planted.share]
    false = sum(run.outcome == "failed" for run in same)
    missed = (
        []
        if len(same) >= 1 / FALSE_AT_MOST
        else [f"{len(same)} runs of the same were made, of {1 / FALSE_AT_MOST:.0f}"]
    )
    missed += [f"{false} of {len(same)} runs of the same failed"] if false > FALSE_AT_MOST * len(same) else []
    missed += [bar for planted, runs in groups.items() for bar in _missed(planted, runs)]
    missed += [
        f"{planted.function}, {percent(planted.share)} more work: {len(groups.get(planted, []))} of {n} runs were made"
        for loaded in sorted({run.planted.loaded for run in found.runs})
        for planted, n in wanted(0, loaded=loaded).items()
        if len(groups.get(planted, [])) < n
    ]
    at_most, outcomes = upper_bound(false, len(same)), Counter(run.outcome for run in same)
    parts = [
        "# Runs of `assert_not_slower`, on a machine",
        bars(missed),
        f"`{' '.join(found.command)}`, on {found.machine}, by a threshold of {percent(found.by)}, {BATCH} runs in a "
        "process.",
        f"False failures: {false} in {len(same)} runs of a function against itself; so of all such runs at most "
        f"{percent(at_most)} fail, an exact bound at {percent(CONFIDENCE)} confidence (Clopper and Pearson 1934). "
        f"{outcomes['passed']} passed and {outcomes['inconclusive']} weren't clear, which skips a test.",
        table(HEADINGS, [_row(planted, runs) for planted, runs in groups.items()]),
        *(f"- {run.planted.function}: {run.said}" for run in same if run.outcome == "failed"),
    ]
    return "\n\n".join(parts) + "\n", missed


HEADINGS = (
    *("function", "more work", "other load", "runs", "failed", "passed", "not clear"),
    *("new / old, median", "restarts, median", "seconds, median", "seconds, of 95% at most"),
)


def upper_bound(count: int, of: int, confidence: float = CONFIDENCE) -> float:
    """Of a rate of which so many were seen: the end of an exact one-sided interval (Clopper and Pearson 1934)."""
    from scipy.special import betaincinv

    return 1.0 if count >= of else float(betaincinv(count + 1, of - count, confidence))


def _kinds(runs: Sequence[Run]) -> list[Planted]:
    return sorted({run.planted for run in runs}, key=lambda planted: (planted.loaded, planted.share, planted.function))


def _missed(planted: Planted, runs: Sequence[Run]) -> list[str]:
    found = sum(run.outcome == "failed" for run in runs) / len(runs)
    at_least = FOUND_AT_LEAST.get(planted.share, 0.0)
    return [f"{planted.function}, {percent(planted.share)} more work: {percent(found)} found"] * (found < at_least)


def _row(planted: Planted, runs: Sequence[Run]) -> tuple[str, ...]:
    outcomes = Counter(run.outcome for run in runs)
    ratios = [run.ratio for run in runs if run.ratio is not None]
    restarts = [run.restarts for run in runs if run.restarts is not None]
    seconds = sorted(run.seconds for run in runs)
    return (
        planted.function,
        percent(planted.share),
        "on and off" if planted.loaded else "none",
        str(len(runs)),
        *(share(outcomes[outcome], len(runs)) for outcome in ("failed", "passed", "inconclusive")),
        f"{statistics.median(ratios):.4f}" if ratios else "",
        f"{statistics.median(restarts):g}" if restarts else "",
        f"{statistics.median(seconds):.2f}",
        f"{seconds[math.ceil(0.95 * len(seconds)) - 1]:.2f}",
    )
