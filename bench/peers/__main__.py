"""`python -m bench.peers`: holds the training against what a user would pick instead.

Exit status: 0 every bar is kept, 1 one isn't, 2 unusable input, 4 a row is broken, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from bench.arguments import Names, Switch, own
from bench.commands.reporting import finished, report_beside, reported, while_read
from bench.commands.status import BROKEN, DONE, SLOWER, UNUSABLE
from bench.peers.rows import chosen
from toynet.arguments import parsed_alone

if TYPE_CHECKING:
    from bench.peers.measure import Plan
    from bench.peers.record import Peers

RESTARTS, ROUNDS = 5, 3
QUICK = (2, 1)


@dataclass(frozen=True, kw_only=True)
class Command:
    """Hold the training against what a user would pick instead: the tutorial's own loop, scikit-learn, PyTorch, others.

    Takes about 13 minutes on two idle cores. PyTorch is needed by some rows, which are left out without it.
    Example: python -m bench.peers --only loop,sklearn --restarts 3
    """

    only: Annotated[Names, own("all")] = ()
    """Rows: loop, sklearn, torch, cold, one-by-one, sklearn-512, sklearn-512-all-cores, vmap, data-parallel-wide,
    data-parallel-tutorial, wide-4096, wide-512."""
    restarts: Annotated[int | None, own(f"{RESTARTS}; with --quick {QUICK[0]}", "N")] = None
    """Times that every process is ended and started again; intervals come from these."""
    rounds: Annotated[int | None, own(f"{ROUNDS}; with --quick {QUICK[1]}", "N")] = None
    """Blocks that every contender is asked for between restarts."""
    quick: Switch = False
    """For a look: few restarts and rounds, so wide intervals."""
    time_limit: float = 600.0
    """Seconds after which a contender that doesn't answer is broken."""
    out: Path = Path("results/peers/training.json")
    """The record; its report (.md), and records of `bench run` (.WORKLOAD.json), are written beside it."""
    quiet: Switch = False
    """Print nothing but errors."""

    def execute(self) -> int:
        from bench.keeping import check_writable
        from bench.peers.measure import Plan
        from bench.peers.report import build
        from bench.report import terminal

        restarts, rounds = QUICK if self.quick else (RESTARTS, ROUNDS)
        plan = Plan(
            rows=chosen(self.only),
            restarts=restarts if self.restarts is None else self.restarts,
            rounds=rounds if self.rounds is None else self.rounds,
            out=self.out,
            limit_s=self.time_limit,
            command=("python", "-m", "bench.peers", *sys.argv[1:]),
        )
        check_writable(self.out)
        with reported(self.out, report_beside):
            found = measured(plan, quiet=self.quiet)
        report = build(found)
        report_beside(self.out)
        if not self.quiet:
            with while_read():
                terminal.show(report, terminal.console())
        return status(found)


def measured(plan: Plan, *, quiet: bool) -> Peers:
    """All rows of the plan."""
    from bench import environment
    from bench.peers.measure import begun, left_s, raced, scaled_up
    from bench.progress import progress, racing
    from bench.run import probe

    record = begun(plan, probe(plan.limit_s), len(environment.usable_cores()))
    with racing(quiet=quiet) as show, closing(raced(record, plan)) as rounds:
        for record in rounds:
            last = record.samples[-1:]
            show("".join(f"{s.contender}, start {s.restart + 1}, round {s.round + 1}" for s in last), left_s(record))
    with progress(quiet=quiet) as watch:
        return scaled_up(record, plan, watch)


def status(record: Peers) -> int:
    """The exit status that a record asks for."""
    from bench.peers.report import missed

    statuses = {result.status for result in record.results}
    if "broken" in statuses:
        return BROKEN
    if "measured" not in statuses:
        return UNUSABLE
    return SLOWER if missed(record) else DONE


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line; gives its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    return finished(lambda: parsed_alone("python -m bench.peers", argv, Command).execute())


if __name__ == "__main__":
    sys.exit(main())
