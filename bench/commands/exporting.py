"""`bench report --format` for other tools: what of a record each format takes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands.reporting import refused
from bench.commands.status import DONE
from bench.report.exports import Format
from toynet.errors import UsageError

if TYPE_CHECKING:
    from bench.report.exports.source import Source

# They describe one run: with two, cases of the same name would be one.
OF_ONE_RECORD: tuple[Format, ...] = ("github-action-benchmark", "bmf", "pytest-benchmark")
# Who reads them takes samples for independent, and would lose that the sides were asked in turn.
OF_RUNS_ONLY: tuple[Format, ...] = ("gobench", "pytest-benchmark")


def exported(form: Format, paths: Sequence[Path]) -> tuple[str, int, int]:
    """The records in that format, how many these are, and the exit status; what can't be is refused, the others stand.

    What has no time, and a run's copies, are left out, and named on standard error.
    """
    if form in OF_ONE_RECORD and len(paths) > 1:
        raise UsageError(f"--format {form} describes one run, and {len(paths)} records were named; name one at a time.")
    from bench.report.harmless import harmless

    status, sources = DONE, list["Source"]()
    for path in paths:
        try:
            source = _source(form, path)
            if copied := [other.path for other in sources if other.content == source.content]:
                said = f"warning: {path}: left out, for its run was named before, as {copied[0]}."
                print(harmless(said), file=sys.stderr)
                continue
            sources.append(source)
        except UsageError as error:
            status = refused(error)
    return (_renderer(form)(sources) if sources else ""), len(sources), status


def _source(form: Format, path: Path) -> Source:
    from bench import comparison, record
    from bench.report.exports.source import Source

    kind = record.tag(path)
    if kind == "comparison" and form in OF_RUNS_ONLY:
        raise UsageError(
            f"{path}: a comparison's samples are paired, which --format {form} can't say; use csv, bmf, "
            "github-action-benchmark or job-summary."
        )
    if kind not in (None, "comparison"):
        raise UsageError(
            f"{path} is {record.called(kind)}, and --format {form} takes records of `run`, `ab` or `gate`."
        )
    source = Source(path, record.read(path) if kind is None else comparison.read(path))
    if form != "job-summary":  # whose table has what broke
        _said_of_missing(source)
    return source


def _said_of_missing(source: Source) -> None:
    from bench.report.exports.source import has_times, left_out
    from bench.report.harmless import harmless

    if not has_times(source.content):
        raise UsageError(f"{source.path}: nothing of it was measured, so there is nothing to export.")
    if missing := left_out(source.content):
        said = f"warning: {source.path}: left out, as they have no time: {', '.join(missing)}."
        print(harmless(said), file=sys.stderr)


def _renderer(form: Format) -> Callable[[Sequence[Source]], str]:
    from bench.report.exports import action, bmf, gobench, job_summary, pytest_json, rows

    return {
        "gobench": gobench.render,
        "github-action-benchmark": action.render,
        "bmf": bmf.render,
        "pytest-benchmark": pytest_json.render,
        "csv": rows.as_csv,
        "columns": rows.as_columns,
        "job-summary": job_summary.render,
    }[form]
