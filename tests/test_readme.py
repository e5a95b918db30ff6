"""Every command of the README runs; those that set up or take minutes are made small by what they offer for it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.validate.planted import write_tree

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [block.splitlines() for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)]
MAKE = ["make bench", "make test"]
WHO = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
BRIEF = ["--restarts", "1", "--rounds", "1", "--budget", "5"]
QUICK = ["--modes", "single", "--workloads", "tutorial", *BRIEF]
ONE_RESTART = ["--rounds-s", "0.1", "--budget", "0.1"]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    python = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{python}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the commands of a block run, one after another as a reader would; it has the records and the suite."""
    made = tmp_path / "readme"
    shutil.copytree(ROOT / "results", made / "results")
    (own_step,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (made / "own_step.py").write_text(own_step, encoding="utf-8")
    for name, share in (("before", 0.0), ("after", 0.2)):
        write_tree(made / name, share)
    for git in (["init", "--quiet"], ["add", "own_step.py"], [*WHO, "commit", "--quiet", "--message", "first"]):
        subprocess.run(["git", *git], cwd=made, check=True)
    (made / "bench").mkdir()
    (made / "bench" / "suite").symlink_to(ROOT / "bench" / "suite")
    return made


@pytest.mark.usefixtures("compiled_before")
@pytest.mark.parametrize("block", [block for block in BLOCKS if block != MAKE], ids=lambda block: block[0])
def test_the_commands_of_a_block_of_the_readme_work(block: list[str], folder: Path) -> None:
    for command in block:
        works(command, folder)


def works(command: str, folder: Path) -> None:
    """Asserts it."""
    compares = re.search(r"bench (ab|gate) ", command) is not None
    short = ONE_RESTART if compares else BRIEF if " bench run " in command else []
    if " -k single" in command:
        short = ["-k", "single and tutorial"]  # without the large net, which is compiled and timed elsewhere
    done = run([*shlex.split(command), *short], folder)
    unclear = 3  # after one restart
    assert done.returncode == (unclear if compares else 0), done.stderr
    assert done.stdout
    assert "BROKEN" not in done.stdout
    if command in ("python -m toynet train", "python -m toynet train --local-processes 2"):
        assert done.stdout.splitlines()[0] == "step: 000, loss: 0.5196, accuracy: 0.7188"
        assert done.stdout.splitlines()[-1] == "Accuracy on the test set: 0.9950"


def test_the_readme_has_the_commands_that_are_known_here() -> None:
    assert [block for block in BLOCKS if not all(command.startswith("python ") for command in block)] == [MAKE]


def make_would_set_up() -> bool:
    """Anew, that is, which would clear the very environment that these tests may be running in."""
    return subprocess.run(["make", "--question", "setup"], cwd=ROOT, capture_output=True).returncode != 0


@pytest.mark.usefixtures("compiled_before")
@pytest.mark.skipif(make_would_set_up(), reason="set up without make, or before pyproject.toml changed")
def test_make_bench_leaves_a_record_a_report_and_a_picture(tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    arguments = [
        f"RUN={shlex.join([*QUICK, '--out', str(out)])}",
        "SUITE=-k 'tutorial and single' --benchmark-storage " + str(tmp_path / "saved"),
    ]
    done = run(["make", "bench", *arguments], ROOT)
    assert done.returncode == 0, done.stderr
    assert json.loads(out.read_text())["complete"]
    assert out.with_suffix(".md").read_text(encoding="utf-8").startswith("# Step time by mode and devices\n")
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert "test_step[tutorial/single-1/m1/b32]" in done.stdout
    assert len(list((tmp_path / "saved").rglob("*.json"))) == 1


def test_make_test_runs_the_tests() -> None:
    done = run(["make", "--dry-run", "test"], ROOT)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if "python -m pytest " in line]
    assert line.split("#")[0].strip().endswith(" tests")


@pytest.mark.parametrize(
    ("section", "report"),
    [
        ("What it gives", "baseline-cpu.md"),
        ("How does it scale, and why?", "baseline-scaling-wide-cpu.md"),
        ("How fast is the training itself?", "peers/training.md"),
    ],
)
def test_the_tables_of_the_readme_are_those_of_committed_reports(section: str, report: str) -> None:
    text = README.partition(f"## {section}")[2].partition("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) > 10
    committed = (ROOT / "results" / report).read_text(encoding="utf-8")
    assert all(row in committed for row in rows)


def test_make_gate_compares_with_the_base_that_it_is_given() -> None:
    done = run(["make", "--dry-run", "gate", "BASE=v1.0"], ROOT)
    assert done.returncode == 0, done.stderr
    command = "python -m bench gate --base v1.0 --slower-than 3%"
    assert any(line.strip().endswith(command) for line in done.stdout.splitlines())
