"""`bench compare`: stored records held against the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from bench.commands.reporting import Format, refused, show
from bench.commands.status import DONE, INCONCLUSIVE, UNUSABLE
from bench.commands.writing import Out, target
from toynet.errors import UsageError

if TYPE_CHECKING:
    from bench.contrast import Compared
    from bench.record import Record
    from bench.report.document import Section


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Hold stored records against the first of them: other hardware, or other versions on the same. Not paired.

    Exit status 3 if something that they share isn't comparable. Example:
    python -m bench compare results/baseline-cpu.json results/latest.json
    """

    records: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Files that `run` wrote, two or more."""
    format: Format = "terminal"
    """How; html is one page for a browser, json is for programs."""
    out: Out = None
    """The file to write instead of standard output, in a folder that is made if need be; for html, results/report.html
    unless another is given."""

    def execute(self) -> int:
        if len(self.records) < 2:
            raise UsageError(
                f"two records or more were expected, got {len(self.records)}; `python -m bench run` writes them."
            )
        out = target(self.format, self.out, self.records)
        status = DONE
        read: list[tuple[Path, Record]] = []
        for path in self.records:
            try:
                read.append((path, _of_another_run(path, read)))
            except UsageError as error:
                status = refused(error)
        if len(read) < 2:
            return status
        from bench import contrast

        names = contrast.names([path for path, _ in read])
        found = contrast.compared([(name, record) for name, (_, record) in zip(names, read, strict=True)])
        show([_section(found, charts=self.format == "html")], self.format, out)
        whole = all(contrast.whole for contrast in found.contrasts)
        return status if whole or status == UNUSABLE else INCONCLUSIVE


def _section(found: Compared, *, charts: bool) -> Section:
    from bench.report import compared
    from bench.report.document import Section

    name = ", ".join(held.name for held in found.records)
    if charts:
        from bench.report.charts import of_compared

        return Section(name, compared.build(found), tuple(of_compared(found)))
    return Section(name, compared.build(found))


def _of_another_run(path: Path, before: Sequence[tuple[Path, Record]]) -> Record:
    """Raises UsageError for the file of another command, too, and for a run that was named before."""
    from bench import record

    if (kind := record.tag(path)) is not None:
        raise UsageError(f"{path} is {record.called(kind)}, and a record of `python -m bench run` was expected.")
    found = record.read(path)
    for first, other in before:
        if found == other:
            same = "was named before" if path.resolve() == first.resolve() else f"is the run that {first} has"
            raise UsageError(f"{path} {same}, and would compare with itself; name another run.")
    return found
