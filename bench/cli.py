"""`python -m bench ...`: the commands, and their exit status. What a command needs is imported when it runs.

Exit status: 0 done (no case slower), 1 slower than allowed, 2 unusable input or environment,
3 inconclusive, 4 a case broke, 130 interrupted.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bench.commands.reporting import finished
from toynet.arguments import parsed

if TYPE_CHECKING:
    from bench.arguments import Command

# Where each is in `bench.commands`: one that was named is all that is loaded.
COMMANDS = {
    "list": "measuring:List",
    "run": "measuring:Run",
    "lint": "linting:Lint",
    "ab": "comparing:Ab",
    "gate": "comparing:Gate",
    "compare": "contrasting:Compare",
    "report": "reporting:ReportCommand",
    "history": "looking_back:HistoryCommand",
    "project": "projecting:Project",
    "doctor": "doctoring:Doctor",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line; gives its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    wanted = argv[:1] if argv and argv[0] in COMMANDS else list(COMMANDS)
    return finished(lambda: parsed("python -m bench", argv, {name: _command(name) for name in wanted}).execute())


def _command(name: str) -> Callable[..., Command]:
    module, _, command = COMMANDS[name].partition(":")
    return getattr(importlib.import_module(f"bench.commands.{module}"), command)
