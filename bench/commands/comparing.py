"""`bench ab` and `bench gate`: two sides, paired, to a verdict a case."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from bench.arguments import Counts, Names, Percent, Switch, Tolerance, own
from bench.commands.measuring import NOISE, Cases
from bench.commands.reporting import reported, while_read
from bench.commands.status import BROKEN, DONE, INCONCLUSIVE, SLOWER
from bench.workers import LIMIT_S
from toynet.errors import UsageError

if TYPE_CHECKING:
    from bench.comparison import Comparison, PairResult
    from bench.report.document import Report
    from bench.verdict import Rule


@dataclass(frozen=True, kw_only=True)
class Comparing(Cases):
    """What `ab` and `gate` take besides the sides."""

    modes: Names = ("single",)
    """Ways of running them."""
    members: Counts = (8,)
    """Members of an ensemble."""
    paths: Names = ("plain",)
    """How steps are computed: 'plain', or 'fast' as is quickest at their sizes."""
    kind: Literal["latency", "throughput", "fused"] = "latency"
    """What is compared: steps that are waited for, a chain of them, or many in one program."""
    budget: float = 300.0
    """Seconds to spend, about, where verdicts aren't clear before."""
    restarts: Annotated[int | None, own("as many as the last look has, 60", "N")] = None
    """Restarts of both sides, at most."""
    rounds_s: float = 1.0
    """Seconds of each restart to spend on asking both sides in turn, about."""
    noise: Path = NOISE
    """Noise floors of this machine, as `doctor --noise` leaves them; a threshold below one is refused."""
    time_limit: float = LIMIT_S
    """Seconds after which a worker that doesn't answer is broken."""
    tolerance: Tolerance = None
    """How far results may be from those of single, relative to each leaf's largest entry: gradients, steps, states."""
    allow_different_results: Switch = False
    """Compare times although the sides' losses differ."""
    seed: int = 0
    """Of the orders and the cores drawn."""
    out: Path = Path("results/ab-latest.json")
    """The record, in a folder that is made if need be; its report (.md) is written beside it."""
    quiet: Switch = False
    """Print nothing but errors."""

    def compared(self, a: str, b: str, rule: Rule) -> int:
        from bench import sides
        from bench.ab import Plan, compare
        from bench.duet import Pace
        from bench.progress import comparing
        from bench.verdict import LOOKS

        restarts = LOOKS[-1] if self.restarts is None else self.restarts
        plan = Plan(
            a=sides.side(a),
            b=sides.side(b),
            selection=self.selection(),
            kind=self.kind,
            rule=rule,
            pace=Pace(rounds_s=self.rounds_s, restarts=restarts, budget_s=self.budget, seed=self.seed),
            out=self.out,
            noise=self.noise,
            limit_s=self.time_limit,
            tolerance=self.tolerance,
            allow_different=self.allow_different_results,
            command=("python", "-m", "bench", *sys.argv[1:]),
        )
        with reported(self.out, _report_of), comparing(quiet=self.quiet) as watch:
            comparison = compare(plan, watch)
        _show(comparison, self.out, quiet=self.quiet)
        _summarise(comparison, self.out)
        return status(comparison.pairs)


@dataclass(frozen=True, kw_only=True)
class Ab(Comparing):
    """Compare two sides, alive at once and asked in turn, to a verdict a case.

    A side is path=DIR,python=INTERPRETER,rev=GIT_REV,env:NAME=VALUE,devices=N,mode=NAME, each part
    optional; `.` is the working tree as it is.

    Example: python -m bench ab rev=main . --workloads tutorial --threshold 2%
    """

    a: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="A")]
    """What it was, such as rev=main."""
    b: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="B")]
    """What it is, such as the working tree, `.`."""
    threshold: Percent = 0.01
    """How much longer, or shorter by the same factor, a step may be and still count as the same."""

    def execute(self) -> int:
        from bench.verdict import Rule

        return self.compared(self.a, self.b, Rule(threshold=self.threshold))


@dataclass(frozen=True, kw_only=True)
class Gate(Comparing):
    """Compare a revision with the working tree, for CI: exit status 1 if a case became slower, 3 if that isn't clear.

    Example: python -m bench gate --base main --slower-than 3%
    """

    base: str = ""
    """The revision, or a side as `ab` takes it."""
    head: str = "."
    """What is compared with it."""
    slower_than: Percent = 0.03
    """By how much a step may become slower."""

    def execute(self) -> int:
        if not self.base:
            raise UsageError(
                "nothing to compare with: name a revision, as in --base main; on a first run, commit what you have "
                "and name that commit."
            )
        base = self.base if "=" in self.base else f"rev={self.base}"
        from bench.verdict import Rule

        return self.compared(base, self.head, Rule(threshold=self.slower_than, only_slower=True))


def status(pairs: Iterable[PairResult]) -> int:
    """The exit status of a comparison."""
    from bench.comparison import outcome

    return {"broken": BROKEN, "slower": SLOWER, "inconclusive": INCONCLUSIVE, "not slower": DONE}[outcome([*pairs])]


def _report_of(out: Path) -> None:
    from bench.comparison import read
    from bench.report.verdicts import build

    _write(build(read(out)), out)


def _write(report: Report, out: Path) -> None:
    from bench.report import markdown

    out.with_suffix(".md").write_text(markdown.render(report), encoding="utf-8")


def _summarise(comparison: Comparison, out: Path) -> None:
    """Adds to the summary of a job of GitHub Actions, in one. That it can't be written changes no verdict."""
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if not summary:
        return
    from bench.report.exports import job_summary
    from bench.report.exports.source import Source
    from bench.report.harmless import harmless

    try:
        job_summary.append([Source(out, comparison)], Path(summary))
    except OSError as error:
        said = f"warning: the job summary, {summary}, can't be written: {error.strerror}."
        print(harmless(said), file=sys.stderr)


def _show(comparison: Comparison, out: Path, *, quiet: bool) -> None:
    from bench.report import terminal
    from bench.report.verdicts import build

    report = build(comparison)
    _write(report, out)
    if not quiet:
        to = terminal.console()
        with while_read():
            terminal.show(report, to)
            to.print(f"\n{out}", soft_wrap=True, markup=False)
