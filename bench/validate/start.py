"""How long commands that measure nothing take to start: whole processes, asked in turn."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from bench import environment
from bench.report import quantity
from bench.report.words import host_line
from bench.run import ROOT
from bench.stats import Estimate, over_restarts
from toynet.errors import UsageError

SCHEMA = 1
MEDIAN_S_AT_MOST = 0.3
COMPARE_S_AT_MOST = 0.5
# The interpreter alone, which no command can undercut: no bar is set for it.
BARE = "python -c pass"
LIMIT_S = 60.0

Clocked = Callable[[Sequence[str]], float]
"""Runs Python with these arguments to its end; gives the seconds that took."""


class Start(msgspec.Struct, frozen=True, kw_only=True, tag="validation"):
    """How long each command took, process by process, in the order in which they were run."""

    schema: int = SCHEMA
    command: tuple[str, ...]
    machine: str
    load_before: float
    load_after: float
    """Load average over a minute."""
    seconds: dict[str, tuple[float, ...]]
    """By what was typed."""


def commands(record: Path, other: Path) -> dict[str, tuple[str, ...]]:
    """What is timed: Python's arguments, by what one would type."""
    bench = ("-m", "bench")
    timed = (
        ("-c", "pass"),
        (*bench, "--help"),
        (*bench, "list"),
        (*bench, "report", str(record)),
        (*bench, "compare", str(record), str(other)),
        ("-m", "toynet", "--help"),
    )
    return {_typed(arguments): arguments for arguments in timed}


def _typed(arguments: Sequence[str]) -> str:
    return " ".join(("python", *arguments))


def found(record: Path, other: Path, processes: int, command: tuple[str, ...], clocked: Clocked) -> Start:
    """Each command in so many processes, on this machine; raises UsageError for one that fails."""
    before = environment.load_average()
    seconds = in_turn(commands(record, other), processes, clocked)
    return Start(
        command=command,
        machine=host_line(environment.host(ROOT)),
        load_before=before,
        load_after=environment.load_average(),
        seconds=seconds,
    )


def in_turn(commands: Mapping[str, Sequence[str]], processes: int, clocked: Clocked) -> dict[str, tuple[float, ...]]:
    """Seconds of each: a process of every command, then the next of each in the reverse order, and so on.

    One of each comes before, which isn't counted: it compiles modules, and reads them from the disk.
    """
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for arguments in commands.values():
        clocked(arguments)
    for turn in range(processes):
        for name in list(commands)[:: -1 if turn % 2 else 1]:
            taken[name].append(clocked(commands[name]))
    return {name: tuple(seconds) for name, seconds in taken.items()}


def process_s(arguments: Sequence[str]) -> float:
    """Seconds of one process of this Python, from its start to its end; raises UsageError if it fails."""
    began = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UsageError(f"`{_typed(arguments)}` took over {LIMIT_S:g} s, so it isn't timed.") from None
    took = time.perf_counter() - began
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1].rstrip(".")
        raise UsageError(f"`{_typed(arguments)}` ended with status {done.returncode} and isn't timed: {said}.")
    return took


def report(start: Start) -> tuple[str, list[str]]:
    """As Markdown, and the bars that weren't kept."""
    estimates = {name: over_restarts(seconds) for name, seconds in start.seconds.items()}
    missed = [
        f"`{name}`: {_ms(estimate)}, {quantity.plain_seconds(bar)} allowed"
        for name, estimate in estimates.items()
        if (bar := _at_most_s(name)) is not None and estimate.value > bar
    ]
    rows = [
        ("command", "median (95% interval)", "at most", "processes"),
        ("---",) * 4,
        *(_row(name, estimate) for name, estimate in estimates.items()),
    ]
    parts = [
        "# How long commands take to start",
        f"`{' '.join(start.command)}`; {start.machine}; load {start.load_before:g} before, {start.load_after:g} after.",
        "Bars that are missed:\n\n" + "\n".join(f"- {bar}" for bar in missed) if missed else "Every bar is kept.",
        "Whole processes, from start to end, of every command in turn; the first of each isn't counted.",
        "\n".join(f"| {' | '.join(row)} |" for row in rows),
    ]
    return "\n\n".join(parts) + "\n", missed


def _at_most_s(name: str) -> float | None:
    """The bar of a command, for its median; None: it has none."""
    if name == BARE:
        return None
    return COMPARE_S_AT_MOST if name.startswith("python -m bench compare") else MEDIAN_S_AT_MOST


def _row(name: str, estimate: Estimate) -> tuple[str, ...]:
    return f"`{name}`", _ms(estimate), quantity.plain_seconds(_at_most_s(name)), str(estimate.restarts)


def _ms(estimate: Estimate) -> str:
    """With the ends of its interval: `205 ms (201 to 212)`."""
    n = quantity.digits_of_ends(estimate)
    value, low, high = (quantity.rounded(1e3 * (x or 0.0), n) for x in (estimate.value, estimate.low, estimate.high))
    return f"{value} ms ({low} to {high})"
