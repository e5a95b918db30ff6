"""Pages in docs/ lead where they say, and tell of all that a report can have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documents import ALL, PAGES, README, ROOT, flags, headings, text

from bench.breakdown import WHAT_TO_TRY
from bench.report import growth, scaling, table, verdicts

INDEX = ROOT / "docs" / "README.md"
READING = ROOT / "docs" / "reading-a-report.md"
SCALING = ROOT / "docs" / "scaling.md"
# Programs of others, and what stands for theirs, as far as code begins with it.
OTHERS = (
    "--adapter",
    "--allow-run-as-root",
    "--benchmark",
    "--bind-to",
    "--build-arg",
    "--csv",
    "--gpus-per-task",
    "--group-by",
    "--histogram",
    "--map-by",
    "--worker",
    "gcloud",
    "mpirun",
    "nvidia-smi",
    "sbatch",
    "srun",
    "xprof",
    "pytest-benchmark",
    "python -m pytest",
)
VERDICTS = ("same", "faster", "slower", "inconclusive", "not comparable", "broken")


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text(page)):
        if "://" in target:
            continue
        file, _, heading = target.partition("#")
        found = page.parent / file if file else page
        assert found.exists(), target
        assert not heading or heading in headings(found), target


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.name)
def test_files_of_the_project_that_a_page_names_are_there(page: Path) -> None:
    named = re.findall(r"`((?:bench|deploy|toynet|tests|docs|examples)/[\w./-]+)`", text(page))
    assert [file for file in named if not (ROOT / file).exists()] == []


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.name)
def test_flags_that_a_page_names_are_some_command_s(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", text(page), flags=re.DOTALL | re.MULTILINE)
    named = {
        flag
        for code in re.findall(r"`([^`]+)`", prose)
        for flag in re.findall(r"(?<!\S)--([a-z][\w-]*)", code)
        if not code.startswith(OTHERS)
    }
    assert named <= flags()


def test_the_index_has_each_page_once() -> None:
    rows = re.findall(r"^\| \[(.+?)\]\((.+?)\) \| .+ \|$", text(INDEX), re.MULTILINE)
    assert all(name == target for name, target in rows)
    assert sorted(name for name, _ in rows) == sorted(page.name for page in PAGES if page != INDEX)
    assert "(docs/README.md)" in text(README)


@pytest.mark.parametrize(
    "columns",
    [table.COLUMNS, scaling.SCALING_COLUMNS, scaling.PARTS_COLUMNS, growth.COLUMNS, verdicts.COLUMNS],
    ids=["run", "scaling", "parts", "growth", "verdicts"],
)
def test_reading_a_report_tells_of_each_column(columns: tuple[table.Column, ...]) -> None:
    bold = set(re.findall(r"\*\*(.+?)\*\*", text(READING)))
    assert {column.heading for column in columns} <= bold


def test_reading_a_report_tells_of_each_verdict_and_bound() -> None:
    page = text(READING)
    assert all(f"| **{verdict}** |" in page for verdict in VERDICTS)
    assert all(bound in page for bound in WHAT_TO_TRY)


def test_the_page_of_workloads_tells_of_each_kind_of_finding() -> None:
    sources = "".join(map(text, [ROOT / "bench" / "linting.py", *(ROOT / "bench" / "lint").glob("*.py")]))
    kinds = set(re.findall(r'Finding\(\s*"(.+?)"', sources))
    page = text(ROOT / "docs" / "own-workload.md").partition("## What is looked at before")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| \*\*(.+?)\*\* \|", page, re.MULTILINE)) == kinds


def test_excerpts_of_reports_are_those_of_committed_ones() -> None:
    """Rows of tables below a heading line of a report's, and lines of texts that begin as a report's do."""
    committed = "\n".join(text(file) for file in sorted((ROOT / "results").glob("*.md")))
    page = text(READING) + text(SCALING)
    tables = re.findall(r"^\| (?:mode|scaling) \| .*\n\| -.*\n((?:\|.*\n)+)", page, re.MULTILINE)
    rows = [row for rows in tables for row in rows.splitlines()]
    lines = [
        line
        for block in re.findall(r"^```text\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]
    assert len(rows) == 12
    assert len(lines) == 5
    assert [line for line in (*rows, *lines) if line not in committed] == []
