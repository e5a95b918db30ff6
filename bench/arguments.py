"""The types of arguments of `python -m bench`: lists separated by commas, and switches."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Protocol

import tyro


class Command(Protocol):
    """A command line that was understood."""

    def execute(self) -> int: ...


def _listed(metavar: str, parse: Callable[[str], Any], show: Callable[[Any], str] = str) -> Any:
    """A flag whose value is a list separated by commas, of one item at least."""

    def items(given: list[str]) -> tuple[Any, ...]:
        found = tuple(parse(item) for item in given[0].split(",") if item)
        if not found:
            raise ValueError("a list of at least one item was expected, got none")
        return found

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=items,
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: [",".join(show(item) for item in value)],
    )


def _count(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"whole numbers separated by commas were expected, got {text!r}") from None


def _mesh(text: str) -> tuple[int, int]:
    members, cross, data = text.partition("x")
    if not (cross and members.isdecimal() and data.isdecimal()):
        raise ValueError(f"a mesh is written as 4x2, members x data, not {text!r}")
    return int(members), int(data)


def _percent(given: list[str]) -> float:
    number, sign, rest = given[0].partition("%")
    try:
        if not sign or rest:
            raise ValueError
        return float(number) / 100
    except ValueError:
        raise ValueError(f"a percentage such as 3% was expected, got {given[0]!r}") from None


def _folder(given: list[str]) -> Path:
    if not given[0]:  # which Path takes for the one that is worked in
        raise ValueError("the name of a folder was expected, got none")
    return Path(given[0])


def _in_units(units: dict[str, float], what: str) -> Callable[[list[str]], float]:
    """Parses a number above 0 with one of those units."""

    def parse(given: list[str]) -> float:
        written = re.fullmatch(r"([\d.]+(?:e[+-]?\d+)?)\s*([a-zA-Z/]+)", given[0])
        try:
            value = float(written[1]) * units[written[2]] if written else 0.0
        except (ValueError, KeyError):
            value = 0.0
        if not 0 < value < math.inf:
            raise ValueError(f"{what} was expected, got {given[0]!r}")
        return value

    return parse


def _quantity(metavar: str, units: dict[str, float], what: str) -> Any:
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=_in_units(units, what),
        is_instance=lambda value: isinstance(value, float),
        str_from_instance=lambda value: [str(value)],
    )


Seconds = Annotated[
    float, _quantity("TIME", {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}, "a time above 0 such as 5us")
]
Bandwidth = Annotated[
    float,
    _quantity("RATE", {"GB/s": 1e9, "MB/s": 1e6, "kB/s": 1e3, "B/s": 1.0}, "bytes a second above 0 such as 50GB/s"),
]
Percent = Annotated[
    float,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="PERCENT",
        instance_from_str=_percent,
        is_instance=lambda value: isinstance(value, float),
        str_from_instance=lambda value: [f"{100 * value:g}%"],
    ),
]
"""A share, written as 3%."""
Names = Annotated[tuple[str, ...], _listed("NAME,NAME,...", str)]
Counts = Annotated[tuple[int, ...], _listed("N,N,...", _count)]
Meshes = Annotated[tuple[tuple[int, int], ...], _listed("AxB,AxB,...", _mesh, lambda mesh: f"{mesh[0]}x{mesh[1]}")]


Folder = Annotated[
    Path | None,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="DIR",
        instance_from_str=_folder,
        is_instance=lambda value: value is None or isinstance(value, Path),
        str_from_instance=lambda value: [str(value)],
    ),
]
"""One that has a name, or none."""


def own(what: str, metavar: str | None = None) -> Any:
    """What a flag's help says of its default, and of what it takes."""
    return tyro.conf.arg(help_behavior_hint=f"(default: {what})", metavar=metavar)


Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff]

Tolerance = Annotated[float | None, own("by what a workload computes in", "SHARE")]
"""A share of a leaf's largest entry, or what is usual."""
