"""docs/ci.md: its file for GitHub Actions is one, and does with each exit status of `gate` what the page says."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from documents import ROOT, blocks, text, understood

PAGE = ROOT / "docs" / "ci.md"
(FILE,) = blocks(PAGE, "yaml")
WORKFLOW: dict[Any, Any] = yaml.safe_load(FILE)
STEPS: list[dict[str, Any]] = WORKFLOW["jobs"]["gate"]["steps"]
RUN = [step["run"] for step in STEPS if "run" in step]
(GATE,) = [step for step in STEPS if step.get("name") == "Gate"]


def test_the_file_has_what_a_workflow_needs() -> None:
    assert set(WORKFLOW) == {"name", True, "permissions", "concurrency", "jobs"}  # YAML 1.1 reads `on` as true
    assert WORKFLOW[True] == {"pull_request": None}
    assert WORKFLOW["permissions"] == {"contents": "read"}
    for step in STEPS:
        assert ("uses" in step) != ("run" in step)
        assert "uses" not in step or re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"])


def test_the_base_is_what_was_merged_and_is_there(tmp_path: Path) -> None:
    """A branch's name is anybody's to choose, so none is a part of a script."""
    assert not any("${{" in script for script in RUN)
    (base,) = re.findall(r"--base (\S+)", GATE["run"])
    depth = next(step for step in STEPS if "checkout" in step.get("uses", ""))["with"]["fetch-depth"]
    origin, clone = tmp_path / "origin", tmp_path / "clone"

    def git(*words: str, of: Path = origin) -> str:
        who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
        return subprocess.run(["git", *who, *words], cwd=of, check=True, capture_output=True, text=True).stdout.strip()

    origin.mkdir()
    git("init", "--quiet", "--initial-branch=main")
    for branch, message in (("main", "root"), ("main", "base"), ("topic", "change")):
        git("checkout", "--quiet", "-B", branch)
        git("commit", "--quiet", "--allow-empty", "--message", message)
    git("checkout", "--quiet", "main")
    git("merge", "--quiet", "--no-ff", "--message", "merge", "topic")  # as GitHub does for a pull request
    git("clone", "--quiet", f"--depth={depth}", origin.as_uri(), str(clone), of=tmp_path)
    assert git("log", "-1", "--format=%s", base, of=clone) == "base"


@pytest.mark.parametrize("script", RUN)
def test_its_commands_are_understood(script: str) -> None:
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
    for command in re.findall(r"python -m .*", script.replace("\\\n", " ")):
        understood(command.partition(" ||")[0])


def test_what_is_kept_is_what_gate_writes() -> None:
    (out,) = re.findall(r"--out (\S+)", GATE["run"])
    (kept,) = [step for step in STEPS if "upload-artifact" in step.get("uses", "")]
    assert kept["if"] == "always()"
    assert Path(out).match(kept["with"]["path"])


@pytest.mark.parametrize(("status", "passes"), [(0, True), (1, False), (2, False), (3, True), (4, False)])
def test_the_gate_passes_and_fails_as_the_page_says(status: int, passes: bool, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nexit {status}\n")
    python.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", GATE["run"]]  # as GitHub does
    done = subprocess.run(shell, env=environment, capture_output=True, text=True)
    assert done.returncode == (0 if passes else status)
    assert done.stdout.startswith("::warning ") == (status == 3)
    (said,) = re.findall(rf"^\| {status} \| .+ \| (.+) \|$", text(PAGE), re.MULTILINE)
    assert said.startswith("passes") == passes
