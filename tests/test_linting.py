"""`bench lint` and what `bench run` makes of it: what is printed, kept and refused, and with which exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import linting, worker
from bench.cases import Case
from bench.cli import main
from bench.measured import Finding
from toynet.errors import UsageError

TESTS = Path(__file__).parent
PRINTS = Finding("callback", "the step prints", "leave it out")
GROWS = Finding("growth", "state['seen'] grows", "give it a size", "error")
REFUSES = Finding("mode", "it isn't measured in ensemble: it sorts", "", "note")
FOUND = {"clean.py": (), "prints.py": (REFUSES, PRINTS), "grows.py": (PRINTS, GROWS, GROWS)}


@pytest.fixture
def _found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workloads that were looked over before, and one that can't be."""

    def of_workload(name: str, limit_s: float, examples: int | None = None, *_: object) -> tuple[Finding, ...]:
        if name not in FOUND:
            raise UsageError(f"{name!r} can't be looked over: it hangs.")
        return FOUND[name]

    monkeypatch.setattr(linting, "of_workload", of_workload)


def case(name: str) -> Case:
    return Case(workload=name, mode="single")


def test_a_real_workload_is_looked_over_in_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    assert main(["lint", "planted:restless", "--batch", "4"]) == 2
    printed = capsys.readouterr().out
    assert printed.startswith("planted:restless: error: init isn't the same when it is traced again: ")
    assert printed.count("\n") == 1


def test_what_a_run_would_refuse_is_refused_by_a_lint_in_the_same_words(tmp_path: Path) -> None:
    text = (
        "import jax.numpy as jnp\ndef init(key): return {'w': jnp.zeros(3)}\n"
        "def batch(key, n): return {'x': jnp.ones((n, 3))}\n"
        "def step(state, batch): state['w'] = state['w'] * 2; return state, {'loss': state['w'][0]}\n"
    )
    (tmp_path / "changing.py").write_text(text)
    with pytest.raises(UsageError, match="its step changes its own argument in place"):
        worker.lint(f"{tmp_path}/changing.py", None, 60.0)


@pytest.mark.usefixtures("_found")
def test_findings_are_printed_a_line_each_and_only_errors_make_the_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "clean.py", "prints.py"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "clean.py: nothing found.",
        "prints.py: note: it isn't measured in ensemble: it sorts.",
        "prints.py: warning: the step prints; leave it out.",
    ]
    assert main(["lint", "prints.py", "grows.py", "--quiet"]) == 2
    assert set(capsys.readouterr().out.splitlines()) == {"grows.py: error: state['seen'] grows; give it a size."}


@pytest.mark.usefixtures("_found")
def test_findings_are_there_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "clean.py", "prints.py", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["clean.py"] == []
    assert told["prints.py"][1] == {
        "kind": "callback",
        "message": "the step prints",
        "fix": "leave it out",
        "severity": "warning",
    }


@pytest.mark.usefixtures("_found")
def test_a_workload_that_cannot_be_looked_over_is_told_beside_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "hangs.py", "clean.py"]) == 2
    printed, complaint = capsys.readouterr()
    assert printed == "clean.py: nothing found.\n"
    assert complaint == "error: 'hangs.py' can't be looked over: it hangs.\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "no workload was named"),
        (["own.py", "--batch", "0"], "batch must be at least 1, got 0"),
        (["own.py", "--time-limit", "0"], "the time limit must be above 0"),
    ],
)
def test_a_command_line_that_cannot_be_is_refused(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lint", *argv]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("_found")
def test_a_run_looks_each_workload_of_the_users_own_over_once_and_no_preset() -> None:
    names = ("tutorial", "prints.py", "clean.py", "prints.py")
    assert linting.of_cases([case(name) for name in names], 1.0) == {"prints.py": (REFUSES, PRINTS), "clean.py": ()}


@pytest.mark.usefixtures("_found")
def test_a_lint_that_fails_is_a_finding_and_the_run_goes_on() -> None:
    found = linting.of_cases([case("hangs.py")], 1.0)
    assert [one.said for one in found["hangs.py"]] == [
        "the lint didn't come to its end: 'hangs.py' can't be looked over: it hangs"
    ]
    linting.check(found, found)


def test_a_run_of_workloads_none_of_which_can_be_measured_is_refused_with_the_first_error() -> None:
    with pytest.raises(UsageError) as refused:
        linting.check(FOUND, ["grows.py"])
    assert str(refused.value) == (
        "'grows.py' can't be measured: state['seen'] grows; give it a size (and 1 more, which "
        "`python -m bench lint grows.py` tells)."
    )


@pytest.mark.parametrize("others", [["clean.py"], ["prints.py"], ["tutorial"]])
def test_a_run_of_others_beside_one_that_cannot_be_measured_goes_on(others: list[str]) -> None:
    linting.check(FOUND, ["grows.py", *others])
