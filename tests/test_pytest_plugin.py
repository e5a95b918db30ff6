"""A performance test among other tests, run by pytest in this process: what passes, what fails and with which words."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import pytest_benchmark.plugin

from bench import asserts
from bench.calls import Start
from bench.measured import Cost
from bench.paired import Compared
from bench.verdict import Rule, Trial, Verdict

pytest_plugins = ["pytester"]

# Two rounds, whatever a step takes; nothing is kept between the tests.
QUICK = ["-p", "no:cacheprovider", "--benchmark-max-time=0.000001", "--benchmark-min-rounds=2"]

STEP = """
import jax
import jax.numpy as jnp
import pytest

STATE = {"w": jnp.ones(4), "n": jnp.int32(0)}
BATCH = jnp.arange(8.0).reshape(2, 4)

def mean_loss(w, batch):
    return jnp.mean((batch @ w) ** 2)

def plain(state, batch):
    loss, grad = jax.value_and_grad(mean_loss)(state["w"], batch)
    return {"w": state["w"] - 0.01 * grad, "n": state["n"] + 1}, {"loss": loss}

step = jax.jit(plain, donate_argnums=0)
"""


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user's pytest, though these tests may be run by a worker of pytest-xdist."""
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    # What pytest-benchmark asks other processes for, the machine and the commit, takes a second.
    monkeypatch.setattr(pytest_benchmark.plugin, "get_cpu_info", dict)
    monkeypatch.setattr(pytest_benchmark.plugin, "get_tag", lambda: "tag")


def ran(pytester: pytest.Pytester, test: str, *options: str) -> pytest.RunResult:
    """A file with that test, in which every warning is an error."""
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    pytester.makepyfile(STEP + test)
    return pytester.runpytest_inprocess(*QUICK, *options)


def saved(pytester: pytest.Pytester, test: str) -> dict[str, Any]:
    """What pytest-benchmark's file says of the one test that it timed."""
    ran(pytester, test, "--benchmark-json=saved.json").assert_outcomes(passed=1)
    (benchmark,) = json.loads((pytester.path / "saved.json").read_text())["benchmarks"]
    return benchmark


def test_a_step_is_timed_and_its_first_output_given(pytester: pytest.Pytester) -> None:
    done = ran(
        pytester,
        """
def test_step(step_benchmark):
    state, metrics = step_benchmark(step, STATE, BATCH, equals=plain)
    assert metrics["loss"] == 260 and state["n"] == 1
""",
    )
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(["*benchmark: 1 tests*", "test_step *"])


def test_the_file_of_pytest_benchmark_has_the_stages_the_counts_and_the_versions(pytester: pytest.Pytester) -> None:
    benchmark = saved(pytester, "def test_step(step_benchmark):\n    step_benchmark(step, STATE, BATCH, samples=2)\n")
    assert benchmark["stats"]["rounds"] == 2
    facts = benchmark["extra_info"]
    assert all(facts[name] > 0 for name in ("trace_s", "lower_s", "compile_s", "first_step_s", "flops", "peak_bytes"))
    assert facts["accessed_bytes"] > 0
    assert (facts["devices"], facts["backend"], facts["dtype"], facts["samples"]) == (1, "cpu", "float32", 2)
    assert {"jax", "jaxlib", "compile_cached"} < facts.keys()


def test_rounds_are_by_the_time_and_the_least_number_that_a_marker_gives(pytester: pytest.Pytester) -> None:
    benchmark = saved(
        pytester,
        """
@pytest.mark.benchmark(min_rounds=3, group="steps")
def test_step(step_benchmark):
    step_benchmark(step, STATE, BATCH)
""",
    )
    assert (benchmark["stats"]["rounds"], benchmark["group"]) == (3, "steps")


def test_the_state_is_carried_from_round_to_round_and_the_arguments_are_left_as_they_were(
    pytester: pytest.Pytester,
) -> None:
    done = ran(
        pytester,
        """
def test_step(step_benchmark):
    seen = []
    @jax.jit
    def counting(state, batch):
        jax.debug.callback(lambda n: seen.append(int(n)), state["n"])
        return step(state, batch)
    step_benchmark(counting, STATE, BATCH)
    jax.effects_barrier()
    assert seen == list(range(len(seen))) and len(seen) >= 4
    assert STATE["n"] == 0 and step_benchmark.benchmark.stats.stats.rounds == 2
""",
    )
    done.assert_outcomes(passed=1)


def test_an_argument_that_a_step_deletes_without_giving_it_back_is_there_in_every_round(
    pytester: pytest.Pytester,
) -> None:
    done = ran(
        pytester,
        """
def test_kernel(step_benchmark):
    kernel = jax.jit(lambda x, y: (x * y, y.sum()), donate_argnums=0)
    product, _ = step_benchmark(kernel, BATCH, jnp.full((2, 4), 2.0), carry=False)
    assert product.tolist() == (BATCH * 2).tolist()
""",
    )
    done.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param('"n": state["n"] + 1.0', "args[0]['n'] was int32[] and is float32[]", id="dtype"),
        pytest.param('"n": jnp.array([state["n"]])', "args[0]['n'] was int32[] and is int32[1]", id="shape"),
    ],
)
def test_a_step_whose_state_comes_back_otherwise_fails(pytester: pytest.Pytester, change: str, said: str) -> None:
    done = ran(
        pytester,
        f"""
def test_step(step_benchmark):
    step_benchmark(lambda state, batch: ({{"w": state["w"], {change}}}, 1.0), STATE, BATCH)
""",
    )
    done.assert_outcomes(failed=1)
    said = f"<lambda> gives its state back otherwise than it came, so that a loop of it compiles again: {said}."
    assert said in done.stdout.str()


def test_a_step_that_is_traced_again_for_a_weak_type_fails(pytester: pytest.Pytester) -> None:
    done = ran(
        pytester,
        """
def test_step(step_benchmark):
    weak = {"w": jnp.asarray(1.0), "n": 0}
    step_benchmark(lambda state, batch: ({"w": state["w"] * batch.sum(), "n": state["n"] + 1}, 1.0), weak, BATCH)
""",
    )
    done.assert_outcomes(failed=1)
    assert "<lambda> is compiled more than once. Call 2 was compiled anew:" in done.stdout.str()
    assert "args[0]['w'] was float32[] of weak type and is float32[]" in done.stdout.str()


def test_an_argument_that_is_no_state_may_come_back_otherwise(pytester: pytest.Pytester) -> None:
    done = ran(
        pytester,
        """
def test_sums(step_benchmark):
    step_benchmark(lambda tree: (jax.tree.map(jnp.sum, tree), 1.0), STATE, carry=False)
""",
    )
    done.assert_outcomes(passed=1)


def test_a_step_that_is_compiled_again_while_it_is_timed_fails_and_has_no_time(pytester: pytest.Pytester) -> None:
    done = ran(
        pytester,
        """
class Aging:
    lower = jax.jit(jnp.sum).lower
    calls = 0

    def __call__(self, x):
        self.calls += 1
        return x.sum() if self.calls < 4 else jax.jit(lambda x: x.sum() + self.calls)(x)

def test_step(step_benchmark):
    step_benchmark(Aging(), BATCH)
""",
        "--benchmark-json=saved.json",
    )
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["Aging was compiled again while it was timed, * times."])
    done.stdout.no_fnmatch_line("*benchmark: 1 tests*")
    assert json.loads((pytester.path / "saved.json").read_text())["benchmarks"] == []


def test_a_step_that_computes_something_else_fails_with_the_leaf_and_has_no_time(pytester: pytest.Pytester) -> None:
    done = ran(
        pytester,
        """
def test_step(step_benchmark):
    def double(state, batch):
        state, metrics = plain(state, batch)
        return state, {"loss": metrics["loss"] * 2}
    step_benchmark(double, STATE, BATCH, equals=step)
""",
    )
    done.assert_outcomes(failed=1)
    said = "double doesn't give what is expected: output[1]['loss'] is 520.0, and 260.0 was expected: off by 1.0e+00 of"
    assert said in done.stdout.str()
    done.stdout.no_fnmatch_line("*benchmark: 1 tests*")


def test_a_tolerance_is_of_each_leafs_largest_and_an_expected_tree_will_do(pytester: pytest.Pytester) -> None:
    done = ran(
        pytester,
        """
import numpy as np

@pytest.mark.parametrize("tolerance", [None, 0.1])
def test_sum(step_benchmark, tolerance):
    step_benchmark(lambda batch: batch.sum(0), BATCH, equals=np.array([4.0, 6, 8, 10.5]), tolerance=tolerance)
""",
    )
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["<lambda> doesn't give what is expected: output[[]3[]] is 10.0, and 10.5 was expected*"])


def test_disabled_the_checks_are_made_and_nothing_is_timed(pytester: pytest.Pytester) -> None:
    test = """
@pytest.mark.parametrize("factor", [1, 2])
def test_sum(step_benchmark, factor):
    assert step_benchmark(lambda batch: factor * batch.sum(), BATCH, equals=28.0) == 28
"""
    done = ran(pytester, test, "--benchmark-disable")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.no_fnmatch_line("*benchmark: 1 tests*")


def test_only_benchmarks_are_run_where_they_alone_are_asked_for(pytester: pytest.Pytester) -> None:
    test = """
def test_else():
    pass

def test_step(step_benchmark):
    step_benchmark(step, STATE, BATCH)
"""
    ran(pytester, test, "--benchmark-only").assert_outcomes(passed=1, skipped=1)


def test_a_second_call_is_refused(pytester: pytest.Pytester) -> None:
    done = ran(
        pytester,
        """
def test_step(step_benchmark):
    step_benchmark(step, STATE, BATCH)
    step_benchmark(step, STATE, BATCH)
""",
    )
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["step_benchmark was called twice, and a test has one time: parametrize the test."])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("lambda x, how: x, BATCH, 'fast'", "step_benchmark(<lambda>): args[[]1[]] is a str, which jit can't trace*"),
        (
            "lambda x, rate: rate * x, BATCH, rate=2.0",
            "step_benchmark(<lambda>): no option is called 'rate', *functools.partial(function, rate=...).",
        ),
        ("7, BATCH", "step_benchmark(int): a function was expected, and then its arguments, got 7 as the function."),
    ],
)
def test_what_cannot_be_traced_is_said_in_a_sentence(pytester: pytest.Pytester, call: str, said: str) -> None:
    done = ran(pytester, f"def test_step(step_benchmark):\n    step_benchmark({call})\n")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines([said])
    done.stdout.no_fnmatch_line("*During handling*")


def test_nan_that_nobody_expects_is_a_warning(pytester: pytest.Pytester) -> None:
    test = "def test_step(step_benchmark):\n    step_benchmark(lambda x: x - jnp.inf * 0, BATCH{})\n"
    done = ran(pytester, test.format(""))
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*UserWarning: <lambda> gives NaN, of arguments without one."])
    ran(pytester, test.format(", equals=BATCH * jnp.nan")).assert_outcomes(passed=1)


def test_without_pytest_benchmark_it_says_what_to_install(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_step(step_benchmark):\n    pass\n\ndef test_else():\n    pass\n")
    done = pytester.runpytest_inprocess("-p", "no:benchmark", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=1, errors=1)
    done.stdout.fnmatch_lines(["step_benchmark is built on pytest-benchmark*pip install pytest-benchmark."])


def test_beside_other_tests_it_is_checked_and_then_skipped_with_the_reason(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "4")
    test = """
@pytest.mark.parametrize("factor", [1, 2])
def test_sum(step_benchmark, factor):
    step_benchmark(lambda batch: factor * batch.sum(), BATCH, equals=28.0)
"""
    done = ran(pytester, test, "-rs")
    done.assert_outcomes(skipped=1, failed=1)
    done.stdout.fnmatch_lines(
        ["*not measured: 4 workers of pytest-xdist *run it with `-n 0`. Its results were checked."]
    )
    ran(pytester, test, "--benchmark-disable").assert_outcomes(passed=1, failed=1)
    done = ran(pytester, "def test_step(step_benchmark):\n    step_benchmark(step, STATE, BATCH)\n", "-rs")
    done.stdout.fnmatch_lines(["*`-n 0`. It was called, and its results weren't checked, for want of `equals`."])


def test_in_the_only_worker_it_is_timed(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "1")
    benchmark = saved(pytester, "def test_step(step_benchmark):\n    step_benchmark(step, STATE, BATCH)\n")
    assert benchmark["stats"]["rounds"] == 2


def test_workers_of_pytest_xdist_refuse_to_measure(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    pytester.makepyfile(
        """
def test_step(step_benchmark):
    step_benchmark(abs, 1.0, equals=1.0)

def test_else():
    pass
"""
    )
    done = pytester.runpytest_inprocess(*QUICK, "-n", "2", "-rs")
    done.assert_outcomes(passed=1, skipped=1)
    done.stdout.fnmatch_lines(
        ["*not measured: 2 workers of pytest-xdist *run it with `-n 0`. Its results were checked."]
    )


NOT_SLOWER = """
from bench import assert_not_slower

def old(x):
    return x.sum()

def new(x):
    return 28.0 + 0 * x[0, 0]

def test_sum():
    assert_not_slower(new, BATCH, than=old)
"""


@pytest.mark.parametrize(
    ("verdict", "log", "outcomes", "said"),
    [
        ("same", 0.0, {"passed": 1}, ""),
        ("slower", 0.2, {"failed": 1}, "AssertionError: new is slower than old by more than 5"),
        ("inconclusive", 0.05, {"skipped": 1}, "Whether new is slower than old by more than 5"),
    ],
)
def test_a_function_that_must_not_be_slower_passes_fails_or_is_skipped_by_the_verdict(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    verdict: Verdict,
    log: float,
    outcomes: dict[str, int],
    said: str,
) -> None:
    monkeypatch.setattr(asserts.Pairing, "run", lambda _: compared(verdict, log))
    done = ran(pytester, NOT_SLOWER, "-rs")
    done.assert_outcomes(**outcomes)
    assert said in done.stdout.str()


def compared(verdict: Verdict, log: float) -> Compared:
    """What became of five restarts, in each of which the new function took e to that `log` times as long, about."""
    start = Start(trace_s=0.1, lower_s=0.1, compile_s=0.1, compile_cached=False, first_call_s=0.1)
    cost = Cost(0.0, 0.0, 0, 0, 0, 0, ())
    return Compared(
        names=("old", "new"),
        verdict=verdict,
        rule=Rule(threshold=0.05, only_slower=True),
        trial=Trial(logs=(log, log + 0.001, log - 0.001, log, log)),
        kind="latency",
        call_s=None,
        starts=(start, start),
        costs=(cost, cost),
        devices=1,
        seconds=1.0,
        recompiled=True,
    )


def test_a_function_that_computes_something_else_fails_before_it_is_timed(pytester: pytest.Pytester) -> None:
    done = ran(pytester, NOT_SLOWER.replace("28.0 +", "29.0 +"))
    done.assert_outcomes(failed=1)
    said = "old and new can't be compared: their results differ: output is 29.0, and 28.0 was expected"
    assert f"AssertionError: {said}" in done.stdout.str()


def test_beside_other_tests_whether_a_function_is_slower_is_not_measured(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "4")
    done = ran(pytester, NOT_SLOWER, "-rs")
    done.assert_outcomes(skipped=1)
    done.stdout.fnmatch_lines(["*not measured: 4 workers of pytest-xdist *run it with `-n 0`."])


def test_the_plugin_loads_nothing_but_pytest(pytester: pytest.Pytester) -> None:
    """Every pytest of an environment that has this project loads it."""
    path = pytester.makepyfile(
        """
import sys
import pytest
before = set(sys.modules)
import bench.pytest_plugin
assert {name.partition(".")[0] for name in set(sys.modules) - before} <= {"bench"}, set(sys.modules) - before
"""
    )
    assert pytester.run(sys.executable, path).ret == 0
