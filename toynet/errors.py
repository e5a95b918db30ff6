"""What a user can get wrong, said in one sentence."""

import difflib
from collections.abc import Iterable

# Of names that there are: all commands, modes and presets, and not all that a module has.
NAMED = 12


class UsageError(ValueError):
    """What was asked for can't be done; the message says what was expected, what came, what to do."""


class ProcessLost(Exception):
    """A process that the others can't do without has gone; the message names its rank and host, and says how."""


class ProcessInterrupted(ProcessLost):
    """It was interrupted by its user, as the others may be, too."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that isn't one of the known ones, with the one that it may have meant, or with all."""
    names = sorted(known)
    longer = [known for known in names if name and (known.startswith(name) or name.startswith(known))]
    if near := longer if len(longer) == 1 else difflib.get_close_matches(name, names, n=1):
        hint = f"did you mean {near[0]!r}?"
    else:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        hint = f"there are: {', '.join(names[:NAMED])}{more}."
    return UsageError(f"no {kind} is called {name!r}; {hint}")
