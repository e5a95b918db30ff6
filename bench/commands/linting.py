"""`bench lint`: what would spoil the times of a workload, before it is measured."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from bench.arguments import Switch, own
from bench.commands.reporting import refused, while_read
from bench.commands.status import DONE, UNUSABLE
from bench.workers import LIMIT_S
from toynet.errors import UsageError

if TYPE_CHECKING:
    from bench.measured import Finding


@dataclass(frozen=True, kw_only=True)
class Lint:
    """Say what would spoil the times of workloads, and what to do about it; a few steps are run, and nothing is timed.

    Example: python -m bench lint own_step:workload
    """

    workloads: Annotated[tuple[str, ...], tyro.conf.Positional, own("none; name one at least", "NAME ...")]
    """Workloads of your own: "package.module:attribute", "path/to/file.py" or "path/to/file.py:attribute"."""
    batch: Annotated[int | None, own("each workload's own", "N")] = None
    """Global batch."""
    format: Literal["terminal", "json"] = "terminal"
    """How; json is for programs."""
    time_limit: float = LIMIT_S
    """Seconds that looking a workload over may take."""
    quiet: Switch = False
    """Print errors only."""

    def execute(self) -> int:
        from bench import linting
        from bench.limits import check_seconds

        check_seconds({"time limit": self.time_limit})
        if self.batch is not None and self.batch < 1:
            raise UsageError(f"batch must be at least 1, got {self.batch}.")
        if not self.workloads:
            raise UsageError("no workload was named; name one of your own, such as own_step:workload or own_step.py.")
        status, found = DONE, {}
        for name in self.workloads:
            try:
                with self._told(name):
                    found[name] = linting.of_workload(name, self.time_limit, self.batch)
            except UsageError as error:
                status = refused(error)
        with while_read():
            self._print(found)
        return UNUSABLE if any(one.severity == "error" for of in found.values() for one in of) else status

    def _told(self, name: str) -> AbstractContextManager[object]:
        """That a workload is being looked over, on a terminal; nothing is timed that it could disturb."""
        from rich.markup import escape

        from bench.report.harmless import harmless
        from bench.report.terminal import console

        to = console(error=True)
        shown = to.is_terminal and not self.quiet
        return to.status(escape(harmless(f"looking over {name}"))) if shown else nullcontext()

    def _print(self, found: Mapping[str, tuple[Finding, ...]]) -> None:
        from bench.report.harmless import harmless

        told = {name: [one for one in of if one.severity == "error" or not self.quiet] for name, of in found.items()}
        if self.format == "json":
            print(json.dumps({name: [dataclasses.asdict(one) for one in of] for name, of in told.items()}, indent=1))
            return
        for name, of in told.items():
            for one in of:
                print(harmless(f"{name}: {one.severity}: {one.said}."))
            if not of and not self.quiet:
                print(harmless(f"{name}: nothing found."))
