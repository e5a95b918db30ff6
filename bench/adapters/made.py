"""What the adapters have in common whose modules are made by a function of the user's."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from toynet.errors import UsageError


def made(make: Callable[..., Any], name: str, value: Any, **more: Any) -> Any:
    """What `make` gives for one argument, handed over by name where it has it, and those of `more` that it has."""
    taken = inspect.signature(make).parameters
    given = {key: each for key, each in {name: value, **more}.items() if key in taken}
    return make(**given) if name in given else make(value, **given)


def check(make: Any, module: type) -> None:
    """Raises UsageError if what should make a module is one, or can't be called."""
    if isinstance(make, module) or not callable(make):
        raise UsageError(
            "a function that makes the module was expected, for each member has parameters of its own; got a "
            f"{type(make).__name__}."
        )
