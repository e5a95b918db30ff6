"""What docs/clusters.md says that processes say is what the code says, with other names and numbers."""

from __future__ import annotations

import ast
import functools
import re

from documents import ROOT, text

SOURCES = [*(ROOT / "toynet").glob("*.py"), *(ROOT / "bench").glob("*.py")]


@functools.cache
def templates() -> frozenset[str]:
    """Every text of the code, with {} for what is filled in."""
    found = set()
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values]
                found.add(unfilled("".join(parts)))
    return frozenset(found)


def unfilled(said: str) -> str:
    """With {} for each name and number, and for several in a row."""
    said = re.sub(r"rank \d+ on node\d+|node\d+(:\d+)?|\d+", "{}", said)
    return re.sub(r"(\{\})+", "{}", said)


def is_said(sentence: str, by: frozenset[str]) -> bool:
    parts = [unfilled(part).strip(" .") for part in sentence.split("...")]
    return all(any(part in template for template in by) for part in parts)


def test_what_lost_processes_say_is_quoted_as_it_is_said() -> None:
    quoted = re.findall(r"`(rank \d[^`]+)`", text(ROOT / "docs" / "clusters.md"))
    assert len(quoted) >= 10
    by = templates()
    assert [one for one in quoted if not is_said(one, by)] == []
    assert not is_said("rank 1 on node2 went away", by)


def test_questions_quote_what_is_said() -> None:
    asked = re.findall(r"^\*\*(.*?)\*\*", text(ROOT / "docs" / "questions.md"), re.MULTILINE)
    quoted = [one for line in asked for one in re.findall(r'"(.*?)"', line) if "rank " in line or "gone on" in line]
    assert len(quoted) >= 4
    by = templates()
    assert [one for one in quoted if not is_said(one, by)] == []
