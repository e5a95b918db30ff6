"""The commands of the README run; those that take minutes are made small by what they offer for it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from documents import understood

from bench.cli import main
from bench.validate.planted import write_tree

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [block.splitlines() for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)]
MAKE = ["make bench", "make test"]
BRIEF = ["--restarts", "1", "--rounds", "1", "--budget", "5"]
# What isn't run: its flags are understood all the same.
RUN_ELSEWHERE = {
    "python -m bench ab . . --workloads tutorial --threshold 20%": "an ab of two trees is run, which is another block",
    "python -m bench gate --base HEAD --workloads tutorial --slower-than 20%": "tests/test_ab.py runs a gate",
    "python -m toynet train": "tests/test_toynet_cli.py runs it, and reads each of its lines",
    "python -m toynet train --local-processes 2": "tests/test_several.py trains in two processes",
}
MEASURES_NOTHING = {"compare", "history", "list", "project", "report"}
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
    (made / "bench").mkdir()
    (made / "bench" / "suite").symlink_to(ROOT / "bench" / "suite")
    return made


@pytest.mark.usefixtures("compiled_before")
@pytest.mark.parametrize("block", [block for block in BLOCKS if block != MAKE], ids=lambda block: block[0])
def test_the_commands_of_a_block_of_the_readme_work(
    block: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    for command in block:
        if command in RUN_ELSEWHERE:
            continue
        _, _, module, *argv = shlex.split(command)
        if module == "bench" and argv[0] in MEASURES_NOTHING:
            assert main(argv) == 0
            assert capsys.readouterr().out
        else:
            works(command, folder)


def works(command: str, folder: Path) -> None:
    """Asserts it of a command that measures or trains."""
    compares = " bench ab " in command
    done = run([*shlex.split(command), *shortened(command)], folder)
    unclear = 3  # after one restart
    assert done.returncode == (unclear if compares else 0), done.stderr
    assert done.stdout
    assert "BROKEN" not in done.stdout
    if " bench/suite " in command:
        assert "test_step[tutorial/single-1/m1/b32]" in done.stdout


def shortened(command: str) -> list[str]:
    """What is added to a command, so that it takes seconds."""
    if " bench ab " in command:
        return [*ONE_RESTART, "--modes", "single"]
    if " --scaling " in command:
        return [*BRIEF, "--scaling", "weak"]
    if " bench run " in command:
        return [*BRIEF, *(["--modes", "ensemble_data"] if "--modes" not in command else [])]
    if " -k single" in command:
        return ["-k", "single and tutorial"]  # without the large net, which is compiled and timed elsewhere
    return ["--epochs", "1"] if "--seeds" in command else []


def test_the_readme_has_the_commands_that_are_known_here() -> None:
    commands = [command for block in BLOCKS for command in block]
    assert set(commands) >= RUN_ELSEWHERE.keys()
    for command in RUN_ELSEWHERE:
        understood(command)
    assert [block for block in BLOCKS if not all(command.startswith("python ") for command in block)] == [MAKE]


def made(*words: str) -> list[str]:
    """The commands that make would run; those of the set-up may be among them."""
    done = run(["make", "--dry-run", *words], ROOT)
    assert done.returncode == 0, done.stderr
    return [line.partition(" #")[0].strip() for line in done.stdout.splitlines()]


def test_make_bench_measures_and_runs_the_suite() -> None:
    """A run and the suite are what other tests of the README run."""
    measured = ".venv/bin/python -m bench run --budget 9"
    suite = ".venv/bin/python -m pytest bench/suite --benchmark-autosave -k single"
    lines = made("bench", "RUN=--budget 9", "SUITE=-k single")
    assert [line for line in lines if line in (measured, suite)] == [measured, suite]


def test_make_test_runs_the_tests() -> None:
    (line,) = [line for line in made("test") if "python -m pytest " in line]
    assert line.split(" --ignore ")[0].endswith(" tests")


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
    assert ".venv/bin/python -m bench gate --base v1.0 --slower-than 3%" in made("gate", "BASE=v1.0")
