"""`bench history`: many records, the trend of each case and where it changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from bench.arguments import Percent
from bench.commands.reporting import Format, refused, show
from bench.commands.status import DONE, UNUSABLE
from bench.commands.writing import Out, check_apart, target
from toynet.errors import UsageError

if TYPE_CHECKING:
    from bench.history import History
    from bench.report.document import Section


@dataclass(frozen=True, kw_only=True)
class HistoryCommand:
    """Show what became of each case over many records: its trend, and since which commit it is slower or faster.

    Example: python -m bench history results/ --least 2%
    """

    places: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Records that `run` wrote, and folders to look for them in, however deep."""
    kind: Literal["latency", "fused"] = "latency"
    """Steps that are waited for, or many in one program."""
    least: Percent = 0.01
    """Changes by less are left out."""
    format: Format = "terminal"
    """How; html is one page for a browser, with charts, and json is for programs."""
    out: Out = None
    """The file to write instead of standard output, in a folder that is made if need be; for html, results/report.html
    unless another is given."""

    def execute(self) -> int:
        from bench.history import history

        if not self.places:
            raise UsageError("no record and no folder was named; `python -m bench history results/` takes a whole one.")
        if not 0 <= self.least < 1:
            raise UsageError(f"--least is a share from 0% to 100%, got {100 * self.least:g}%.")
        out = target(self.format, self.out, ())
        found = history(self.places, self.kind, self.least)
        for refusal in found.archive.refusals:
            refused(refusal)
        runs, where = found.archive.runs, ", ".join(map(str, self.places))
        if not runs and found.archive.refusals:
            return UNUSABLE
        if not runs:
            raise UsageError(f"{where}: there is no record of `python -m bench run` to look back on.")
        if out is not None:
            check_apart(out, [run.path for run in runs])
        show([_section(where, found, charts=self.format == "html")], self.format, out)
        return UNUSABLE if found.archive.refusals else DONE


def _section(name: str, found: History, *, charts: bool) -> Section:
    from bench.report import trends
    from bench.report.document import Section

    if charts:
        from bench.report.charts import of_history

        return Section(name, trends.build(found), tuple(of_history(found)))
    return Section(name, trends.build(found))
