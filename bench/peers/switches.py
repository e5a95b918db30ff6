"""`python -m bench.peers.switches`: whether the path that is chosen is the quicker one, at sizes around each switch.

Exit status: 0 every choice is within 10% of the better one, 1 one isn't, 2 unusable input, 4 a point is broken, 130
interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.arguments import Switch
from bench.commands.reporting import finished, report_beside, reported, while_read
from bench.commands.status import BROKEN, DONE, SLOWER
from bench.peers.points import POINTS, REGRET_AT_MOST, regret
from toynet.arguments import parsed_alone
from toynet.errors import UsageError

if TYPE_CHECKING:
    from bench.peers.measure import Plan
    from bench.peers.record import Peers, Result
    from bench.report.document import Report

LEGEND = (
    "other path: how many times as fast as the plain one the other is, broadcast of a lone member, lanes of several; "
    "in brackets the 95% interval, which comes from restarts. chosen takes: how many times as long as the better one "
    f"the one that `toynet.paths.choose` takes; {REGRET_AT_MOST:g} is allowed. All epochs in one program, "
    "the first weights drawn in it; both alive at once and asked in turn."
)


def build(record: Peers) -> Report:
    """The report of a record."""
    from bench.peers.report import environment_lines
    from bench.report.document import Column, Report, Table

    columns = (Column("walk", numeric=False), Column("value"), Column("chosen", numeric=False), Column("other path"))
    table = Table("Around each switch", (*columns, Column("chosen takes")), tuple(map(_row, record.results)))
    return Report("Which path is quicker", environment_lines(record), (table,), _sentences(record), (LEGEND,))


def is_one(record: Peers) -> bool:
    """Whether a record is of points around switches, and not of peers."""
    return all(result.row.name in POINTS for result in record.results)


def _row(result: Result) -> tuple[str, ...]:
    from bench.report import quantity

    point, lost = POINTS[result.row.name], regret(result)
    gain = quantity.between(result.ratio) if result.ratio else result.status
    chosen = "plain" if point.chosen.plain else "lanes" if point.chosen.block else point.chosen.product
    return point.walk, str(point.value), chosen, gain, "" if lost is None else f"{lost:.2f}x"


def _sentences(record: Peers) -> tuple[str, ...]:
    wrong = [one.row.name for one in record.results if (regret(one) or 1.0) > REGRET_AT_MOST]
    said = [f"The other path would be more than 10% quicker at {', '.join(wrong)}."] if wrong else []
    said += [f"{one.row.name} is broken: {one.why.rstrip('.')}." for one in record.results if one.status == "broken"]
    if not record.complete:
        said.append("The run was ended early: what stands here is what there was by then.")
    return tuple(said or ["Every choice is within 10% of the better one."])


@dataclass(frozen=True, kw_only=True)
class Command:
    """Measure both paths at sizes around each switch between them, alive at once and asked in turn.

    Takes about seven minutes on two idle cores.
    Example: python -m bench.peers.switches --restarts 5
    """

    restarts: int = 3
    """Times that both processes are ended and started again; intervals come from these."""
    rounds: int = 3
    """Blocks that each is asked for between restarts."""
    time_limit: float = 600.0
    """Seconds after which a process that doesn't answer is broken."""
    out: Path = Path("results/peers/switches.json")
    """The record; its report (.md) is written beside it."""
    quiet: Switch = False
    """Print nothing but errors."""

    def execute(self) -> int:
        from bench.keeping import check_writable
        from bench.peers.measure import Plan
        from bench.report import terminal

        plan = Plan(
            rows=tuple(point.row for point in POINTS.values()),
            restarts=self.restarts,
            rounds=self.rounds,
            out=self.out,
            limit_s=self.time_limit,
            command=("python", "-m", "bench.peers.switches", *sys.argv[1:]),
        )
        check_writable(self.out)
        with reported(self.out, report_beside):
            found = measured(plan, quiet=self.quiet)
        report = build(found)
        report_beside(self.out)
        if not self.quiet:
            with while_read():
                terminal.show(report, terminal.console())
        if any(result.status == "broken" for result in found.results):
            return BROKEN
        return SLOWER if any((regret(result) or 1.0) > REGRET_AT_MOST for result in found.results) else DONE


def measured(plan: Plan, *, quiet: bool) -> Peers:
    """All points of the plan."""
    from bench.peers.measure import begun, completed, left_s, raced
    from bench.progress import racing
    from bench.run import probe
    from toynet.xla import usable_cores

    backend = probe(plan.limit_s)
    if backend.platform != "cpu":
        raise UsageError(
            f"paths are chosen by size on CPUs only, and this is {backend.platform}; set JAX_PLATFORMS=cpu."
        )
    record = begun(plan, backend, len(usable_cores()))
    with racing(quiet=quiet) as show, closing(raced(record, plan)) as rounds:
        for record in rounds:
            last = record.samples[-1:]
            show("".join(f"{s.contender}, start {s.restart + 1}, round {s.round + 1}" for s in last), left_s(record))
    return completed(record, plan)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line; gives its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    return finished(lambda: parsed_alone("python -m bench.peers.switches", argv, Command).execute())


if __name__ == "__main__":
    sys.exit(main())
