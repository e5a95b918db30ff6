"""README.md and the pages in docs/, taken apart: their blocks, their commands, and whether a command is understood."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from bench import cli
from bench.peers import __main__ as peers
from bench.peers import switches
from bench.validate import __main__ as validate
from toynet import __main__ as toynet
from toynet.arguments import parsed, parsed_alone

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").glob("*.md"))
ALL = [README, *PAGES]


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """What stands between its fences of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text(page), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[str]:
    """The lines of its console blocks."""
    return [line for block in blocks(page, "console") for line in block.splitlines()]


def inline(page: Path) -> list[str]:
    """Commands within its sentences and tables, those that are broken over lines made one."""
    prose = re.sub(r"^```.*?^```", "", text(page), flags=re.DOTALL | re.MULTILINE)
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose) if re.match(r"!?python -m \w", code)]


def understood(command: str) -> None:
    """Raises UsageError for a command of this project that its own parser wouldn't take."""
    words = shlex.split(re.sub(r"\$\(.*?\)|\$\w+", "X", re.split(r" >+ ", command)[0].lstrip("!")))
    words = words[next(i for i, word in enumerate(words) if word == "python") :]  # after what it sets
    program, argv = " ".join(words[:3]), words[3:]
    if any(word in ("...", "A", "REC") for word in argv) or argv in ([], ["--help"]):
        return  # it stands for others
    match words[2]:
        case "bench":
            assert argv[0] in cli.COMMANDS, command
            parsed(program, argv, {argv[0]: cli._command(argv[0])})
        case "bench.validate":
            parsed(program, argv, validate.COMMANDS)
        case "bench.peers":
            parsed_alone(program, argv, peers.Command)
        case "bench.peers.switches":
            parsed_alone(program, argv, switches.Command)
        case "toynet":
            parsed(program, argv, {"train": toynet.Train})
        case module:
            assert module in ("pytest", "pytest_benchmark", "pip"), command


def headings(page: Path) -> Iterator[str]:
    """The names by which links lead to its headings, as GitHub makes them."""
    prose = re.sub(r"^```.*?^```", "", text(page), flags=re.DOTALL | re.MULTILINE)
    for title in re.findall(r"^#+ (.+)$", prose, re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def flags() -> set[str]:
    """Those of all commands of this project."""
    kinds = [
        *(cli._command(name) for name in cli.COMMANDS),
        *validate.COMMANDS.values(),
        peers.Command,
        switches.Command,
        toynet.Train,
    ]
    names = {field.name for kind in kinds if dataclasses.is_dataclass(kind) for field in dataclasses.fields(kind)}
    return {name.replace("_", "-") for name in names} | {"workload", "help"}
