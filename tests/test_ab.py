"""Two sides from the command line to a verdict: trees, revisions, interpreters, and what goes wrong with them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from bench import cli, noise
from bench.ab import Plan, _available, check_alive_at_once, check_room, paired
from bench.cases import Case, Selection
from bench.commands.comparing import status
from bench.comparison import PairResult, read
from bench.duet import Pace
from bench.environment import Backend, host
from bench.record import write
from bench.run import probe
from bench.sides import Side
from bench.verdict import Rule, Verdict, log_ratio
from toynet.errors import UsageError

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.usefixtures("compiled_before")

# A step of {products} small matrix products. Needs JAX and the type of workloads only.
MODULE = """
import jax, jax.numpy as jnp
from jax import lax
from toynet.workload import Workload

def init(key):
    return {{"weights": jax.random.normal(key, (64, 64)) / 8, "result": jnp.zeros((64, 64))}}

def batch(key, n):
    return jax.random.normal(key, (n, 64))

def step(state, batch, axis_name=None):
    result = lax.fori_loop(0, {products}, lambda _, x: jnp.tanh(x @ state["weights"]), batch)
    return {{"weights": state["weights"], "result": result}}, {{"loss": {loss}}}

mine = Workload(name="mine", init=init, batch=batch, step=step, batch_size={batch}, epoch_steps=2)
"""
BRIEF = ["--rounds-s", "0.1"]
# For what ends as soon as it can, however busy the machine is.
AT_MOST_S = 300
# Restarts are what takes time: where no verdict is awaited, the budget is spent before the second.
ONE_RESTART = [*BRIEF, "--budget", "0.1"]
QUICK = ["--workloads", "own_step:mine", "--threshold", "50%", "--quiet", *BRIEF]


def tree(folder: Path, products: int = 20, loss: str = "jnp.mean(batch**2)", batch: int = 64) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "own_step.py").write_text(MODULE.format(products=products, loss=loss, batch=batch))
    return folder


def ab(*arguments: object) -> int:
    return cli.main(["ab", *map(str, arguments)])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out" / "ab.json"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, where no noise floor is known."""
    monkeypatch.chdir(tmp_path)


def left_over(folder: Path) -> list[str]:
    """Processes that sides of trees in that folder started; other tests may have sides of their own meanwhile."""
    done = subprocess.run(["ps", "-A", "-ww", "-o", "args="], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if "bootstrap.py" in line and str(folder) in line]


def test_a_tree_with_ten_times_the_work_is_slower_as_measured_by_this_checkout(tmp_path: Path, out: Path) -> None:
    a, b = tree(tmp_path / "a"), tree(tmp_path / "b", products=200)
    (b / "bench").mkdir()
    (b / "bench" / "__init__.py").write_text("raise RuntimeError('the wrong bench')")
    assert ab(f"path={a}", f"path={b}", *QUICK, "--out", out) == 1
    found = read(out)
    assert found.complete
    (pair,) = found.pairs
    assert (pair.name, pair.verdict) == ("own_step:mine/single-1/m1/b64", "slower")
    assert pair.trial.ratio is not None
    assert pair.trial.ratio.value > 2
    assert len(pair.trial.logs) == len(pair.restarts)
    rounds = [[math.log(r.b_s / r.a_s) for r in restart.rounds] for restart in pair.restarts]
    assert [log_ratio(logs) for logs in rounds] == pytest.approx(pair.trial.logs)
    report = out.with_suffix(".md").read_text(encoding="utf-8")
    assert "B is slower than A by more than 50%" in report
    assert "Exact counts" in report or "FLOPs of a step are" in report
    assert not left_over(tmp_path)


def test_modes_device_counts_and_environments_are_sides(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests"))
    brief = ["--workloads", "planted:right", "--out", out, "--quiet", *ONE_RESTART]
    assert ab("mode=single", "mode=data_parallel,devices=2,env:JAX_LOG_COMPILES=0", *brief) == 3
    (pair,) = read(out).pairs
    assert pair.name == "planted:right/single-1/m1/b8 : planted:right/data_parallel-2/m1/b8"
    assert pair.costs is not None
    assert [len(cost.collectives) for cost in pair.costs] == [0, 1]
    assert "collectives are none in A, 1 all-reduce of" in out.with_suffix(".md").read_text(encoding="utf-8")


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Path]:
    """A repository whose newest commit does ten times the work; the current folder."""
    made = tree(tmp_path / "repository")
    git(made, "init", "--quiet", "--initial-branch=main")
    git(made, "add", ".")
    git(made, "commit", "--quiet", "--message", "quick")
    tree(made, products=200)
    git(made, "commit", "--quiet", "--all", "--message", "slow")
    with contextlib.chdir(made):
        yield made


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def test_a_gate_compares_a_revision_with_the_working_tree_and_says_if_that_is_dirty(
    repository: Path, out: Path
) -> None:
    with (repository / "own_step.py").open("a") as module:
        module.write("# not committed\n")
    gate = [
        "gate",
        "--workloads",
        "own_step.py:mine",
        "--slower-than",
        "50%",
        "--quiet",
        *ONE_RESTART,
        "--out",
        str(out),
    ]
    assert cli.main([*gate, "--base", "HEAD~1"]) == 3
    found = read(out)
    assert found.rule == Rule(threshold=0.5, only_slower=True)
    (a_s, b_s) = (found.pairs[0].step_s(side) for side in ("A", "B"))
    assert a_s is not None
    assert b_s is not None
    assert b_s.value > 2 * a_s.value
    assert found.a.commit != found.b.commit == git(repository, "rev-parse", "HEAD").strip()
    assert (found.a.dirty, found.b.dirty) == (False, True)
    assert "B has changes that aren't committed" in out.with_suffix(".md").read_text(encoding="utf-8")
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_sides_that_compute_different_things_are_broken_unless_that_is_allowed(tmp_path: Path, out: Path) -> None:
    sides = [f"path={tree(tmp_path / 'a')}", f"path={tree(tmp_path / 'b', loss='2 * jnp.mean(batch**2)')}"]
    assert ab(*sides, *QUICK, "--out", out) == 4
    (pair,) = read(out).pairs
    assert pair.why is not None
    told = r"the sides compute .*: the loss of the first step is (\S+) in A and (\S+) in B; .*allow-different.*"
    losses = re.fullmatch(told, pair.why)
    assert losses is not None
    assert float(losses[2]) == pytest.approx(2 * float(losses[1]), rel=1e-4)  # as printed
    assert not pair.restarts
    assert ab(*sides, *QUICK, *ONE_RESTART, "--allow-different-results", "--out", out) == 3
    assert "results differ, which was allowed: the loss of the first" in out.with_suffix(".md").read_text()


REFUSED = {
    "a side that is none": (["main", "."], "a side is written as"),
    "a revision that isn't there": (["rev=no-such-revision", "."], "no such revision"),
    "a threshold of nothing": ([".", ".", "--threshold", "0%"], "the threshold must be from 0.1% to 100%, got 0%"),
    "a seed that a record can't have": ([".", ".", "--seed", "-1"], "seed must be from 0 to 2**53, got -1."),
    "a threshold of too much": ([".", ".", "--threshold", "300%"], "the threshold must be from 0.1% to 100%, got 300%"),
    "a threshold without a sign": ([".", ".", "--threshold", "3"], "a percentage such as 3% was expected, got '3'"),
    "too few restarts": ([".", ".", "--restarts", "2"], "restarts must be from 3 to 60, got 2"),
    "a tolerance of nothing": ([".", ".", "--tolerance", "0"], "must be above 0 and below 1, got 0."),
    "one file on both sides": (
        ["rev=HEAD~1", ".", "--workloads", str(Path(__file__).parent / "planted.py:right")],
        "planted.py:right' is the same file on both sides; name it as it is called within their trees",
    ),
    "a budget of nothing": ([".", ".", "--budget", "0"], "the budget must be above 0"),
    "a mode that isn't one": ([".", "mode=singel"], "no mode is called 'singel'; did you mean 'single'?"),
    "more devices than there can be": ([".", "devices=9999,mode=data_parallel"], "9999 devices asked for"),
    "nothing to pair": (
        ["mode=single", "mode=ensemble", "--members", "8,64"],
        "tutorial: A has 1 cases and B has 2; choose --modes, --devices and --members",
    ),
    "a batch that doesn't divide": (
        [".", "mode=data_parallel,devices=3", "--workloads", "own_step:mine"],
        "a batch of 64 doesn't divide over 3 devices",
    ),
    "nothing that both have": (
        ["rev=HEAD~1", f"path={Path(__file__).parent}", "--workloads", "own_step:mine"],
        "there is nothing to compare: own_step:mine/single-1/m1/b64 is missing: in B, 'own_step:mine': there is no",
    ),
    "a workload that neither has": ([".", ".", "--workloads", "no_such:thing"], "there is no module 'no_such'"),
}


@pytest.mark.parametrize("what", list(REFUSED))
def test_bad_input_is_refused_in_a_sentence_and_nothing_is_written(
    what: str, repository: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments, said = REFUSED[what]
    workloads = [] if "--workloads" in arguments else ["--workloads", "tutorial"]
    assert ab(*arguments, *workloads, "--out", out) == 2
    captured = capfd.readouterr()
    assert captured.err.startswith("error: ")
    assert said in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert captured.out == ""
    assert not out.parent.exists()


def test_a_gate_without_a_base_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["gate"]) == 2
    assert "name a revision, as in --base main; on a first run, commit" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["0%", "300%"])
def test_a_gate_refuses_the_thresholds_that_ab_refuses(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["gate", "--base", "HEAD", "--slower-than", given]) == 2
    assert f"the threshold must be from 0.1% to 100%, got {given}" in capsys.readouterr().err


def test_an_interpreter_without_jax_is_refused(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    venv.create(tmp_path / "bare", with_pip=False)
    assert ab(".", f"python={tmp_path / 'bare' / 'bin' / 'python'}", "--out", out) == 2
    said = capsys.readouterr().err
    assert "side B can't start" in said
    assert "No module named 'jax'" in said or "No module named 'numpy'" in said
    assert not out.exists()


def test_a_side_whose_workload_fails_to_import_is_told_with_its_last_line(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    b = tree(tmp_path / "b")
    (b / "own_step.py").write_text("import no_such_dependency")
    assert ab(f"path={tree(tmp_path / 'a')}", f"path={b}", *QUICK, "--out", out) == 2
    assert "No module named 'no_such_dependency'" in capsys.readouterr().err
    assert not out.exists()


def test_an_interrupt_ends_workers_and_worktrees_and_keeps_what_there_is(
    repository: Path, tmp_path: Path, out: Path
) -> None:
    asked = ["ab", "rev=HEAD~1", "rev=HEAD~1", *QUICK[:2], *BRIEF, "--threshold", "0.1%"]
    (temporary := out.with_name("temporary")).mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
    for ending in (".md", ".png"):
        out.with_suffix(ending).write_text("of an earlier run")
    running = subprocess.Popen(
        [sys.executable, "-m", "bench", *asked, "--out", out], env=environment, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + AT_MOST_S
    while not out.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left_over(tmp_path)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=AT_MOST_S)
    assert running.returncode == 130
    assert said == f"interrupted; {out} has what was measured by then\n"
    assert len(git(repository, "worktree", "list").splitlines()) == 1
    assert not left_over(tmp_path)
    assert not list(temporary.iterdir())
    assert not read(out).complete
    assert read(out).pairs[0].trial.logs
    assert "The comparison was ended before its verdicts" in out.with_suffix(".md").read_text(encoding="utf-8")
    assert sorted(path.name for path in out.parent.iterdir()) == ["ab.json", "ab.md", "temporary"]


def plan(a: Side, b: Side, **selection: object) -> Plan:
    chosen = dataclasses.replace(Selection(workloads=("tutorial",), modes=("single",)), **selection)
    return Plan(a=a, b=b, selection=chosen, rule=Rule(), pace=Pace(), out=Path("x.json"), noise=None)


HERE = Side(text=".")


def told(pairs: Sequence[PairResult]) -> list[tuple[str, Verdict, str | None]]:
    return [(pair.name, pair.verdict, pair.why) for pair in pairs]


def test_cases_of_both_sides_are_paired_by_name() -> None:
    pairs = paired(plan(HERE, HERE, modes=("single", "ensemble"), members=(8, 64)), {"tutorial": 32}, {"tutorial": 32})
    assert [pair.name for pair in pairs] == [
        "tutorial/single-1/m1/b32",
        "tutorial/ensemble-1/m8/b32",
        "tutorial/ensemble-1/m64/b32",
    ]
    assert all(pair.a == pair.b for pair in pairs)


def test_new_missing_and_changed_cases_are_named() -> None:
    both = plan(HERE, HERE, workloads=("tutorial", "wide"))
    assert told(paired(both, {"tutorial": "it isn't there", "wide": 512}, {"tutorial": 32, "wide": 256})) == [
        ("tutorial/single-1/m1/b32", "not comparable", "new: in A, it isn't there"),
        (
            "wide/single-1/m1/b512 : wide/single-1/m1/b256",
            "not comparable",
            "changed: batch is 512 in A and 256 in B; --batch makes it the same",
        ),
    ]
    assert told(paired(plan(HERE, HERE), {"tutorial": 32}, {"tutorial": "gone."})) == [
        ("tutorial/single-1/m1/b32", "not comparable", "missing: in B, gone")
    ]


def test_a_batch_that_is_asked_for_makes_cases_comparable_again() -> None:
    found = paired(plan(HERE, HERE, batch=(64,)), {"tutorial": 32}, {"tutorial": 16})
    assert told(found) == [("tutorial/single-1/m1/b64", "inconclusive", None)]


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["same", "faster"], 0),
        (["same", "slower"], 1),
        (["inconclusive", "slower"], 1),
        (["inconclusive", "same"], 3),
        (["broken", "slower", "inconclusive"], 4),
        (["same", "not comparable"], 0),  # of a new case: A has none
    ],
)
def test_the_exit_status_is_that_of_the_worst_pair(verdicts: list[Verdict], expected: int) -> None:
    assert status(PairResult("x", None, None, verdict=verdict) for verdict in verdicts) == expected


def test_a_changed_case_is_not_passed_over() -> None:
    (changed,) = paired(plan(HERE, HERE), {"tutorial": 32}, {"tutorial": 16})
    (missing,) = paired(plan(HERE, HERE), {"tutorial": 32}, {"tutorial": "gone"})
    assert status([changed]) == status([missing]) == 3


def test_a_pair_for_which_one_side_lacks_devices_is_named() -> None:
    many, few = (Backend("gpu", "a gpu", n, False, {}, "3", {}) for n in (8, 2))
    chosen = plan(HERE, HERE, modes=("data_parallel",), devices=None)
    pairs = _available(paired(chosen, {"tutorial": 32}, {"tutorial": 32}), chosen, (many, few))
    assert [(pair.b and pair.b.devices, pair.why) for pair in pairs] == [
        (1, None),
        (2, None),
        (4, "B has too few devices: 2"),
        (8, "B has too few devices: 2"),
    ]
    asked = plan(HERE, HERE, modes=("data_parallel",), devices=(4,))
    with pytest.raises(UsageError, match="4 devices asked for, but gpu has 2"):
        _available(paired(asked, {"tutorial": 32}, {"tutorial": 32}), asked, (many, few))


def test_a_number_of_devices_that_no_case_has_is_refused_naming_the_mode_to_add() -> None:
    batch = {"tutorial": 32}
    said = "no case on 2 devices: single can't be run on so many; add a mode that can, as in --modes single,data_para"
    with pytest.raises(UsageError, match=re.escape(said)):
        paired(plan(HERE, HERE, devices=(1, 2)), batch, batch)
    added = plan(HERE, HERE, modes=("single", "data_parallel"), devices=(1, 2))
    assert len(paired(added, batch, batch)) == 3
    own = (
        Side(text="devices=1", devices=1),
        Side(text="mode=data_parallel,devices=2", mode="data_parallel", devices=2),
    )
    assert len(paired(plan(*own, devices=(1, 2)), batch, batch)) == 1


def test_sides_that_cannot_be_alive_at_once_are_refused() -> None:
    tpu, cpu = (Backend(platform, platform, 1, False, {}, "3", {}) for platform in ("tpu", "cpu"))
    check_alive_at_once((tpu, cpu))
    check_alive_at_once((cpu, cpu))
    with pytest.raises(UsageError, match="one process at a time may hold this tpu; run each side by itself"):
        check_alive_at_once((tpu, tpu))


def test_a_pair_whose_sides_have_no_place_beside_each_other_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    many = Case(workload="wide", mode="ensemble", members=64, batch=512)  # 1.2 GB each
    pair = PairResult(many.name, many, many, "latency", "inconclusive", None)
    cpu, gpu = (Backend(name, "a device", 1, name == "cpu", {}, "3", {}) for name in ("cpu", "gpu"))
    monkeypatch.setattr("bench.environment.free_bytes", lambda: 2 * 10**9)
    with pytest.raises(UsageError, match=r"m64/b512 takes 1\.2 GB at least, and 2\.3 GB with what it is compared with"):
        check_room([pair], (cpu, cpu))
    check_room([pair], (cpu, gpu))  # another memory
    check_room([msgspec.structs.replace(pair, verdict="not comparable")], (cpu, cpu))


def test_a_threshold_below_the_noise_floor_is_refused_with_the_floor(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = f"path={tree(tmp_path / 'a')}"
    floors = noise.Noise(
        created="2026-11-25T00:00:00Z",
        machine=noise.machine(host(ROOT), probe(60.0)),
        logs={noise.key("own_step:mine/single-1/m1/b64", "latency"): (1.5, -1.5, 1.4, -1.4)},
    )
    write(floors, tmp_path / "noise.json")
    assert ab(a, a, *QUICK, "--noise", tmp_path / "noise.json", "--out", out) == 2
    assert "a threshold of 50% is below the noise floor of own_step:mine/single-1/m1/b64" in capsys.readouterr().err
    assert not out.exists()


def test_a_noise_floor_of_another_machine_counts_nothing(tmp_path: Path) -> None:
    here = host(ROOT)
    backend = Backend("cpu", "cpu", 1, True, {"jaxlib": "1"}, "3", {})
    mine = noise.Noise(created="", machine=noise.machine(here, backend), logs={"x latency": (0.1, -0.1)})
    write(mine, tmp_path / "noise.json")
    assert set(noise.floors(tmp_path / "noise.json", here, backend, 60)) == {"x latency"}
    other = dataclasses.replace(backend, packages={"jaxlib": "2"})
    assert noise.floors(tmp_path / "noise.json", here, other, 60) == {}
    assert noise.floors(tmp_path / "none.json", here, backend, 60) == {}


def test_the_doctor_measures_the_noise_of_a_case_where_ab_looks_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree(tmp_path / "a"))
    floors = tmp_path / "noise.json"
    assert cli.main(["doctor", "--noise", *QUICK[:2], "--restarts", "3", *BRIEF, "--out", str(floors)]) == 0
    printed = capsys.readouterr().out
    assert "floor of a threshold" in printed
    assert len(json.loads(floors.read_text())["logs"]["own_step:mine/single-1/m1/b64 latency"]) == 3
    assert set(noise.floors(floors, host(ROOT), probe(60.0), 60)) == {"own_step:mine/single-1/m1/b64 latency"}
