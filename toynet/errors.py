"""What a user can get wrong, said in one sentence."""

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """What was asked for can't be done; the message says what was expected, what came, what to do."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that isn't one of the known ones, with the nearest of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}."
    return UsageError(f"no {kind} is called {name!r}; {hint}")
