"""`python -m bench ...`: the commands, and their exit status. What a command needs is imported when it runs.

Exit status: 0 done (no case slower), 1 slower than allowed, 2 unusable input or environment,
3 inconclusive, 4 a case broke, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from bench.arguments import Command
from bench.commands.comparing import Ab, Gate
from bench.commands.contrasting import Compare
from bench.commands.doctoring import Doctor
from bench.commands.looking_back import HistoryCommand
from bench.commands.measuring import List, Run
from bench.commands.projecting import Project
from bench.commands.reporting import ReportCommand, finished
from toynet.arguments import parsed

COMMANDS: dict[str, Callable[..., Command]] = {
    "list": List,
    "run": Run,
    "ab": Ab,
    "gate": Gate,
    "compare": Compare,
    "report": ReportCommand,
    "history": HistoryCommand,
    "project": Project,
    "doctor": Doctor,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line; gives its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    return finished(lambda: parsed("python -m bench", argv, COMMANDS).execute())
