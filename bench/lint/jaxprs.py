"""What stands in a traced program, and where in the user's code it comes from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

# Whose lines aren't the user's.
_OURS = tuple(str(Path(__file__).parents[2] / package) + os.sep for package in ("bench", "toynet"))
_OTHERS = (str(Path(jax.__file__).parent) + os.sep, f"{os.sep}site-packages{os.sep}", f"{os.sep}lib{os.sep}python")


def equations(jaxpr: Any, at: str = "") -> Iterator[tuple[Any, str]]:
    """Every equation of a (closed) jaxpr, those within others too, each with the user's line that it comes from.

    A line reads ` (own.py, line 12)`. What a library has jitted is traced once for all who call it, and so has the line
    of the call; `at` is that of whatever is known of where the jaxpr is called.
    """
    for eqn in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        line = where(eqn) or at
        yield eqn, line
        for inner in jaxprs_within(eqn):
            yield from equations(inner, line)


def where(eqn: Any) -> str:
    """The innermost line of the user's that an equation comes from; empty if there is none in what is jitted."""
    for frame in getattr(eqn.source_info.traceback, "frames", ()):
        if is_users(frame.file_name):
            return line_of(frame.file_name, frame.line_num)
    return ""


def is_users(file: str) -> bool:
    """Whether a file is neither JAX's, nor of an installed library, nor of this project."""
    return not (file.startswith((*_OURS, "<")) or any(part in file for part in _OTHERS))


def line_of(file: str, line: int) -> str:
    """A line as it stands behind what it is of."""
    return f" ({Path(file).name}, line {line})"


def jaxprs_within(eqn: Any) -> list[Any]:
    """The jaxprs, closed or not, that an equation has among its parameters."""
    values = (value if isinstance(value, tuple | list) else (value,) for value in eqn.params.values())
    return [inner for some in values for inner in some if hasattr(inner, "eqns") or hasattr(inner, "jaxpr")]


def constants(jaxpr: Any) -> Iterator[Any]:
    """The arrays that a closed jaxpr, and those within it, have besides their arguments."""
    yield from jaxpr.consts
    for eqn, _ in equations(jaxpr):
        for inner in jaxprs_within(eqn):
            yield from getattr(inner, "consts", ())
