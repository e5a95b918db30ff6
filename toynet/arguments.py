"""Command lines with subcommands, whose errors are one sentence."""

from __future__ import annotations

import contextlib
import io
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import tyro

from toynet.errors import UsageError, unknown

T = TypeVar("T")


def parsed(program: str, argv: Sequence[str], commands: Mapping[str, Callable[..., Any]]) -> Any:
    """What the named command makes of its flags; raises UsageError for what tyro would say in a box."""
    named = bool(argv) and not argv[0].startswith("-")
    if named and argv[0] not in commands:
        raise unknown("command", argv[0], commands)
    app = tyro.extras.SubcommandApp()
    for name, command in commands.items():
        app.command(name=name)(command)
    return _understood(lambda: app.cli(prog=program, args=argv), f"{program} {argv[0]}" if named else program)


def parsed_alone(program: str, argv: Sequence[str], command: Callable[..., T]) -> T:
    """The same of a program that is one command."""
    return _understood(lambda: tyro.cli(command, prog=program, args=argv), program)


def _understood(parse: Callable[[], Any], command: str) -> Any:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return parse()
    except SystemExit as left:
        if not left.code:  # --help
            raise
        raise UsageError(_sentence(said.getvalue(), command)) from None


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
        (r"no type matching \{None\}\|INT could be instantiated from \[(.*)\]", r"a whole number was expected, got \1"),
        (r"no type matching \{None\}\|FLOAT could be instantiated from \[(.*)\]", r"a number was expected, got \1"),
        (r"could not convert string to float:", "a number was expected, got"),
    ):
        said = re.sub(tyros, ours, said)
    listed = said.partition(f"Missing from {command}: ")[2]
    if missing := re.findall(r"(\S+) (.+?)\.? \(required\)", listed):
        named = " and ".join(f"{name} ({what[:1].lower()}{what[1:]})" for name, what in missing)
        said = f"{named} {'are' if len(missing) > 1 else 'is'} missing"
    near = re.search(r"Perhaps you meant: +(--[\w-]+)", " ".join(lines))
    return f"{said}; " + (f"did you mean {near[1]}?" if near and near[1] not in said else f"see {command} --help.")
