"""What the validation of histories found, as Markdown, and the bars that it misses."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from bench.report import quantity
from bench.validate.archives import MEDIAN_S_AT_MOST, PEAK_BYTES_AT_MOST, Timed
from bench.validate.history import BARRED, FALSE_AT_MOST, FOUND_AT_LEAST, LEAST, NEAR, Planted, Quiet, Validated
from bench.validate.reports import Said, bars, percent, share, table

QUIET = ("noise", "runs", "series", "a change was found")
PLANTED = (
    *("noise", "scatter", "change", "runs", "of them after it", "series", "found", "at the very run"),
    *(f"at most {NEAR} off", "among the commits named", "size in the 95% interval", "further changes"),
)


def report(found: Validated) -> Said:
    """Of simulated series, and of processes that were timed."""
    missed = [
        *(bar for quiet in found.quiet for bar in _alarmed(quiet)),
        *(bar for planted in found.planted for bar in _lost(planted)),
        *(_slow(found.timed) if found.timed else ()),
    ]
    parts = [
        "# Changes in histories whose truth is known",
        f"`{' '.join(found.command)}`",
        bars(missed),
        "## Series without a change",
        f"Searched for changes of any size. {', '.join(BARRED)}: at most {percent(FALSE_AT_MOST)} may have one; the "
        "other noises warn of what runs may have in common.",
        table(QUIET, [_quiet(quiet) for quiet in found.quiet]),
        "## Series with a change",
        f"Searched for changes of {percent(LEAST)} and more, as `bench history` does. Scatter: the standard deviation "
        "from run to run. Shares are of all series.",
        table(PLANTED, [_planted(planted) for planted in found.planted]),
        "## What else may happen",
        table(
            ("what", "series", "a change was found", "changes, median"),
            [(s.what, f"{s.series:,}", share(s.changed, s.series), f"{s.changes:g}") for s in found.special],
        ),
        *(_timed(found.timed) if found.timed else ()),
    ]
    return "\n\n".join(parts) + "\n", missed


def _alarmed(quiet: Quiet) -> list[str]:
    if quiet.noise not in BARRED or quiet.alarmed <= FALSE_AT_MOST * quiet.series:
        return []
    return [f"{quiet.noise}, {quiet.runs} runs: a change in {share(quiet.alarmed, quiet.series)} without one"]


def _lost(planted: Planted) -> list[str]:
    if not planted.barred or planted.near >= FOUND_AT_LEAST * planted.series:
        return []
    return [f"{planted.noise}, {percent(planted.change)}: {share(planted.near, planted.series)} found near"]


def _slow(timed: Timed) -> list[str]:
    took, peak = statistics.median(timed.seconds), timed.processes * max(timed.peak_bytes)
    slow = took > MEDIAN_S_AT_MOST
    missed = [f"`bench history` took {took:.2f} s, {MEDIAN_S_AT_MOST:g} s allowed"] * slow
    return missed + [f"`bench history` took {quantity.size(peak)} of memory"] * (peak > PEAK_BYTES_AT_MOST)


def _quiet(quiet: Quiet) -> tuple[str, ...]:
    return quiet.noise, f"{quiet.runs:,}", f"{quiet.series:,}", share(quiet.alarmed, quiet.series)


def _planted(planted: Planted) -> tuple[str, ...]:
    n = planted.series
    counts = (planted.found, planted.exact, planted.near, planted.placed, planted.covered, planted.more)
    after = "anywhere" if planted.after is None else str(planted.after)
    head = (planted.noise, percent(planted.scatter), percent(planted.change), f"{planted.runs:,}", after, f"{n:,}")
    return *head, *(f"{100 * count / n:.1f}%" for count in counts)


def _timed(timed: Timed) -> Sequence[str]:
    return (
        "## How long it takes",
        f"{timed.machine}; load {timed.load_before:g} before, {timed.load_after:g} after. `python -m bench history` on "
        f"{timed.records:,} records of {timed.cases} cases, {quantity.size(timed.bytes)} in all, as whole processes; "
        "one before them isn't counted. Memory: all of its processes taken for as large as the largest, what they "
        "share counted again.",
        table(
            (
                "processes",
                "seconds, median",
                "least",
                "greatest",
                "at most",
                "processor seconds, median",
                "memory",
                "at most",
            ),
            [_taken(timed)],
        ),
    )


def _taken(timed: Timed) -> tuple[str, ...]:
    return (
        str(len(timed.seconds)),
        f"{statistics.median(timed.seconds):.2f}",
        f"{min(timed.seconds):.2f}",
        f"{max(timed.seconds):.2f}",
        f"{MEDIAN_S_AT_MOST:g}",
        f"{statistics.median(timed.processor_s):.2f}",
        str(quantity.size(timed.processes * max(timed.peak_bytes))),
        str(quantity.size(int(PEAK_BYTES_AT_MOST))),
    )
