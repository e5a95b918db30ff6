"""Where the traces of a record's cases lie, and what their times are good for."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, unquote

from bench.record import CaseResult
from bench.report.document import Report


def links(cases: Sequence[CaseResult]) -> tuple[tuple[str, str], ...]:
    """The trace of each case that has one."""
    return tuple((f"trace of {one.case.name}", quote(one.trace)) for one in cases if one.trace is not None)


def relocated(report: Report, before: Path, after: Path) -> Report:
    """The report with links that led on from one folder leading on from another."""
    moved = ((text, quote(os.path.relpath(before / unquote(target), after))) for text, target in report.links)
    return dataclasses.replace(report, links=tuple(moved))


def trace_sentences(cases: Sequence[CaseResult]) -> list[str]:
    """What opens traces, if there are any; and which there aren't, and why."""
    traced = sum(one.trace is not None for one in cases)
    said = [
        f"{traced} {'case has' if traced == 1 else 'cases have'} a trace of a few steps, which https://ui.perfetto.dev "
        "opens, and XProf its folder. They were made after the first rounds, under a profiler that makes steps slower: "
        "they show what runs when, and the times of this report are not of them."
    ]
    if any(one.trace is not None and one.case.processes > 1 for one in cases):
        said.append(
            "The trace of a case over several processes is that of rank 0; each other rank has put its own beside it, "
            "on its host, into a folder of the same name with -rank1, -rank2 and so on behind it."
        )
    return said * bool(traced) + [f"{one.case.name} has no trace: {one.untraced}." for one in cases if one.untraced]
