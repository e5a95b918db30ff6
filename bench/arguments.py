"""The arguments of a command line: lists separated by commas, and errors of one sentence."""

from __future__ import annotations

import contextlib
import io
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Protocol

import tyro

from toynet.errors import UsageError, unknown

PROG = "python -m bench"


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


Names = Annotated[tuple[str, ...], _listed("NAME,NAME,...", str)]
Counts = Annotated[tuple[int, ...], _listed("N,N,...", _count)]
Meshes = Annotated[tuple[tuple[int, int], ...], _listed("AxB,AxB,...", _mesh, lambda mesh: f"{mesh[0]}x{mesh[1]}")]


def own(what: str) -> Any:
    """What a flag's help says of its default."""
    return tyro.conf.arg(help_behavior_hint=f"(default: {what})")


Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff]


def parsed(argv: Sequence[str], commands: Mapping[str, Callable[..., Command]]) -> Command:
    """The command of a command line; raises UsageError for what tyro would say in a box."""
    named = bool(argv) and not argv[0].startswith("-")
    if named and argv[0] not in commands:
        raise unknown("command", argv[0], commands)
    app = tyro.extras.SubcommandApp()
    for name, command in commands.items():
        app.command(name=name)(command)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return app.cli(prog=PROG, args=argv)
    except SystemExit as left:
        if not left.code:  # --help
            raise
        raise UsageError(_sentence(said.getvalue(), f"{PROG} {argv[0]}" if named else PROG)) from None


def _is_rule(line: str) -> bool:
    return bool(re.fullmatch(r"[─-]{3,}", line))


def _sentence(box: str, command: str) -> str:
    """The first paragraph in a box of tyro's, below its title, and where to read on."""
    lines = [line.strip("│ ") for line in re.sub(r"\x1b\[[\d;]*m", "", box).splitlines()[1:]]
    lines = list(itertools.dropwhile(_is_rule, lines))  # the title is underlined where the locale has no box
    said = " ".join(itertools.takewhile(lambda line: line and not _is_rule(line), lines)).rstrip(".")
    for tyros, ours in (
        (r" \(applied to [^)]*\)", ""),
        (r"\. Expected", "; expected"),
        (r"invalid literal for int\(\) with base 10:", "a whole number was expected, got"),
        (r"could not convert string to float:", "a number was expected, got"),
    ):
        said = re.sub(tyros, ours, said)
    near = re.search(r"Perhaps you meant: +(--[\w-]+)", " ".join(lines))
    return f"{said}; " + (f"did you mean {near[1]}?" if near and near[1] not in said else f"see {command} --help.")
