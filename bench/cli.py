"""`python -m bench ...`: the commands, and their exit status. What a command needs is imported when it runs.

Exit status: 0 done (no case slower), 1 slower than allowed, 2 unusable input or environment,
3 inconclusive, 4 a case broke, 130 interrupted.
"""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Callable, Sequence

from bench.arguments import Command
from bench.commands.comparing import Ab, Gate
from bench.commands.doctoring import Doctor
from bench.commands.measuring import List, Run
from bench.commands.projecting import Project
from bench.commands.reporting import ReportCommand, refused
from bench.commands.status import INTERRUPTED
from toynet.arguments import parsed
from toynet.errors import UsageError

COMMANDS: dict[str, Callable[..., Command]] = {
    "list": List,
    "run": Run,
    "ab": Ab,
    "gate": Gate,
    "report": ReportCommand,
    "project": Project,
    "doctor": Doctor,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line; gives its exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends workers as Ctrl-C does
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # where a locale has no ± sign
    try:
        return parsed("python -m bench", sys.argv[1:] if argv is None else argv, COMMANDS).execute()
    except UsageError as error:
        return refused(error)
    except KeyboardInterrupt:
        print("interrupted; if a round had ended, the record has it", file=sys.stderr)
        return INTERRUPTED
