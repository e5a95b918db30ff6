"""What the validation found, as Markdown, and whether it keeps the bars that docs/method.md sets."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.commands.reporting import while_read
from bench.record import write
from bench.validate.judges import JUDGES
from bench.validate.planted import flops
from bench.validate.real import WANTED, Case, Planted, Real
from bench.validate.simulate import Interval, Outcome, Simulated, replay
from bench.verdict import Rule

# False verdicts in an A/A, and the shares of planted slowdowns that have to be found.
FALSE_AT_MOST = 1 / 1000
FOUND_AT_LEAST = {0.02: 0.95, 0.05: 0.99, 0.20: 1.0}
COVERED = (0.93, 0.97)
MEDIAN_S_AT_MOST = 60.0
OVERHEAD_S = 200e-6

VERDICTS = ("slower", "faster", "same", "inconclusive")
OUTCOME = (
    *("noise", "scatter of a restart", "planted", "threshold", "comparisons"),
    *VERDICTS,
    *("95% interval has the truth", "restarts, median"),
)
REALLY = (
    *("planted", "threshold", "other load", "comparisons"),
    *VERDICTS,
    *(
        "B / A, median",
        "by FLOPs",
        "in a long run",
        "95% interval has the long run's",
        "scatter of a restart",
        "seconds, median",
    ),
)

Said = tuple[str, list[str]]
"""The report, and the bars that weren't kept."""


def written(found: msgspec.Struct, said: Said, out: Path) -> int:
    """Writes both files and prints the report; gives the exit status."""
    text, missed = said
    write(found, out)
    out.with_suffix(".md").write_text(text, encoding="utf-8")
    with while_read():
        print(text)
    return 1 if missed else 0


def simulated(found: Simulated) -> Said:
    """Of simulated comparisons."""
    missed = [bar for outcome in found.outcomes for bar in _missed(outcome)]
    asked = {outcome.planted for outcome in found.outcomes if outcome.asked}
    missed += [f"{percent(planted)} planted: no noise asks for it" for planted in sorted(set(FOUND_AT_LEAST) - asked)]
    unasked = [o for o in found.outcomes if o.planted > 0 and not o.asked]
    parts = [
        "# Verdicts on simulated noise",
        f"`{' '.join(found.command)}`, in {found.seconds:.0f} s.",
        bars(missed),
        "Too noisy for the threshold, so not asked to be found: "
        + ("; ".join(f"{o.noise}, {percent(o.planted)} at {percent(o.threshold)}" for o in unasked) or "none")
        + ".",
        "## Verdicts",
        table(
            OUTCOME,
            [_outcome(found, outcome) for outcome in found.outcomes],
        ),
        "## Intervals from a fixed number of restarts",
        table(("noise", "restarts", "t interval", "studentised bootstrap"), [_interval(i) for i in found.intervals]),
    ]
    return "\n\n".join(parts) + "\n", missed


def _missed(outcome: Outcome) -> list[str]:
    n, what = outcome.comparisons, f"{outcome.noise}, {percent(outcome.planted)} planted"
    missed = []
    if outcome.planted == 0 and (outcome.slower + outcome.faster) / n > FALSE_AT_MOST:
        missed.append(f"{what}: {outcome.slower + outcome.faster} of {n} verdicts are false")
    if outcome.asked and outcome.slower / n < FOUND_AT_LEAST[outcome.planted]:
        missed.append(f"{what}: {percent(outcome.slower / n)} found")
    low, high = COVERED
    if not low <= outcome.covered / n <= high:
        missed.append(f"{what}, threshold {percent(outcome.threshold)}: {percent(outcome.covered / n)} covered")
    return missed


def _outcome(found: Simulated, outcome: Outcome) -> tuple[str, ...]:
    n = outcome.comparisons
    shares = (outcome.slower, outcome.faster, outcome.same, outcome.inconclusive)
    return (
        outcome.noise,
        f"{100 * found.scatter[outcome.noise]:.1f}%",
        percent(outcome.planted),
        percent(outcome.threshold),
        f"{n:,}",
        *(share(count, n) for count in shares),
        f"{100 * outcome.covered / n:.1f}%",
        f"{outcome.median_restarts:g}",
    )


def _interval(interval: Interval) -> tuple[str, ...]:
    return (
        interval.noise,
        str(interval.restarts),
        f"{100 * interval.t:.1f}%",
        f"{100 * interval.bootstrap:.1f}%",
    )


def real(*found: Real) -> Said:
    """Of comparisons on one machine or more; bars are held against all of them together."""
    groups = _by_planted([case for one in found for case in one.cases])
    missed = [
        f"{percent(kind.share)} planted: {len(groups.get(kind, []))} of {count} comparisons were made"
        for kind, count in WANTED.items()
        if len(groups.get(kind, [])) < count
    ]
    missed += [bar for kind, cases in groups.items() for bar in _missed_really(kind, cases)]
    if _overhead_s(found[0]) > OVERHEAD_S:  # others were made by earlier versions, as their reports say
        missed.append(f"a block takes {_overhead(found[0])} beyond itself")
    parts = ["# Verdicts on planted truths, on machines", bars(missed)]
    return "\n\n".join([*parts, *(part for one in found if one.cases for part in _machine(one))]) + "\n", missed


def _by_planted(cases: Sequence[Case]) -> dict[Planted, list[Case]]:
    kinds = sorted({case.planted for case in cases}, key=lambda p: (p.share, p.threshold, p.loaded))
    return {kind: [case for case in cases if case.planted == kind] for kind in kinds}


def _overhead_s(found: Real) -> float:
    return statistics.median([case.overhead_s for case in found.cases] or [0.0])


def _overhead(found: Real) -> str:
    return f"{1e6 * _overhead_s(found):.0f} us"


def _machine(found: Real) -> list[str]:
    groups = _by_planted(found.cases)
    return [
        f"## {found.machine}",
        f"`{' '.join(found.command)}`",
        table(REALLY, [_really(found, kind, cases) for kind, cases in groups.items()]),
        f"Asking for a block takes {_overhead(found)} beyond the block itself (median).",
        "The same processes, judged otherwise: how often B is called slower, from A's blocks of one comparison's first "
        "restart and B's of the next one's, which weren't alive together: independent runs, as stored results are.",
        table(
            ("planted", "comparisons", "`bench ab`", *JUDGES),
            [_judged(kind, cases) for kind, cases in groups.items() if len(cases) > 1],
        ),
    ]


def _missed_really(kind: Planted, cases: Sequence[Case]) -> list[str]:
    what, n = f"{percent(kind.share)} planted", len(cases)
    if any((replay(c.logs, Rule(threshold=kind.threshold)).verdict or "inconclusive") != c.verdict for c in cases):
        return [f"{what}: verdicts are those of another version of the rule; measure anew"]
    false = sum(case.verdict in ("slower", "faster") for case in cases)
    found = sum(case.verdict == "slower" for case in cases)
    if kind.share == 0:
        return [f"{what}: {false} of {n} verdicts are false"] if false else []
    missed = []
    if found / n < FOUND_AT_LEAST[kind.share]:
        missed.append(f"{what}: {found} of {n} found")
    median_s = statistics.median(case.seconds for case in cases)
    if kind.share == 0.05 and median_s > MEDIAN_S_AT_MOST:
        missed.append(f"{what}: {median_s:.0f} s to a verdict")
    return missed


def _really(found: Real, kind: Planted, cases: Sequence[Case]) -> tuple[str, ...]:
    truth = found.long_runs[f"{kind.share:g}"] if kind.share else 1.0  # of a program against itself
    n = len(cases)
    verdicts = [case.verdict for case in cases]
    scatters = [statistics.stdev(case.logs) for case in cases if len(case.logs) > 1]
    return (
        percent(kind.share),
        percent(kind.threshold),
        "on and off" if kind.loaded else "none",
        str(n),
        *(share(verdicts.count(v), n) for v in VERDICTS),
        f"{statistics.median(case.ratio for case in cases):.4f}",
        f"{flops(kind.share) / flops(0.0):.4f}",
        f"{truth:.4f}",
        share(sum(case.low <= truth <= case.high for case in cases), n),
        f"{100 * math.sqrt(statistics.fmean(s**2 for s in scatters)):.2f}%",
        f"{statistics.median(case.seconds for case in cases):.0f}",
    )


def _judged(kind: Planted, cases: Sequence[Case]) -> tuple[str, ...]:
    apart = list(zip(cases, [*cases[1:], cases[0]], strict=True))
    said = [sum(judge(one.a_s, other.b_s) for one, other in apart) for judge in JUDGES.values()]
    ours = sum(case.verdict == "slower" for case in cases)
    return percent(kind.share), str(len(cases)), *(share(count, len(cases)) for count in (ours, *said))


def bars(missed: Sequence[str]) -> str:
    """Which bars are missed, in a sentence or a list."""
    if not missed:
        return "Every bar is kept."
    return "Bars that are missed:\n\n" + "\n".join(f"- {bar}" for bar in missed)


def share(count: int, of: int) -> str:
    """So many of so many: `3 (0.15%)`."""
    return f"{count} ({100 * count / of:.3g}%)" if count else "0"


def percent(part: float) -> str:
    """A share as `0.05%`."""
    return f"{100 * part:.3g}%"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
