"""That a function isn't slower: what fails, passes, skips and warns."""

from __future__ import annotations

import sys
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from callers import new, old, world

import bench
from bench import asserts
from bench.asserts import InconclusiveWarning, settle
from bench.paired import Compared
from toynet.errors import UsageError


def compared(new_s: float = 1e-4, **options: Any) -> Compared:
    of = world(new_s=new_s, gives=options.pop("gives", {}), flops=options.pop("flops", {}))
    return of.compared(only_slower=True, **options)


def test_slower_is_an_assertion_error_with_ratio_restarts_threshold_and_counts() -> None:
    with pytest.raises(AssertionError) as raised:
        settle(compared(1.2e-4, flops={new: 1500.0}), "skip")
    assert str(raised.value) == (
        "new is slower than old by more than 5.0%: a call takes 1.200x (1.200 to 1.200) the time, in 6 restarts of "
        "both. FLOPs of a step: 1,000 in old, 1,500 in new."
    )


@pytest.mark.parametrize("new_s", [0.5e-4, 1e-4, 1.03e-4])
def test_as_quick_or_quicker_passes(new_s: float) -> None:
    settle(compared(new_s), "fail")


def test_other_results_are_an_assertion_error() -> None:
    with pytest.raises(AssertionError, match=r"their results differ: output is 2.0, and 1.0 was expected"):
        settle(compared(gives={old: np.float32(1), new: np.float32(2)}), "skip")


def test_what_isn_t_clear_skips_a_test_with_what_it_would_take() -> None:
    with pytest.raises(pytest.skip.Exception, match=r"isn't clear: .* a budget of about"):
        settle(compared(budget_s=0.2), "skip")


def test_what_isn_t_clear_fails_where_that_is_asked_for() -> None:
    with pytest.raises(AssertionError, match="isn't clear"):
        settle(compared(budget_s=0.2), "fail")


def test_what_isn_t_clear_warns_outside_of_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    with pytest.warns(InconclusiveWarning, match="isn't clear"):
        settle(compared(budget_s=0.2), "skip")


def test_beside_other_workers_of_xdist_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")

    def called(x: Any) -> Any:
        raise AssertionError("it was called")

    with pytest.raises(pytest.skip.Exception, match=r"2 workers of pytest-xdist .* run it with `-n 0`"):
        bench.assert_not_slower(called, 1.0, than=called)


def test_what_isn_t_measured_fails_where_nothing_may_pass_unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    with pytest.raises(AssertionError, match="not measured: 2 workers"):
        bench.assert_not_slower(old, 1.0, than=old, inconclusive="fail")
    monkeypatch.setenv(asserts.VARIABLE, "fail")
    with pytest.raises(AssertionError, match="not measured: 2 workers"):
        bench.assert_not_slower(old, 1.0, than=old)
    with pytest.raises(pytest.skip.Exception, match="not measured"):
        bench.assert_not_slower(old, 1.0, than=old, inconclusive="skip")


def test_a_script_that_a_test_starts_is_warned_and_not_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pytest")
    with pytest.warns(InconclusiveWarning, match="isn't clear"):
        settle(compared(budget_s=0.2), "skip")


def test_a_worker_of_xdist_that_is_alone_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "1")
    assert asserts.parallel_workers() == 0


def test_real_functions_are_asked_within_the_budget() -> None:
    def doubled(x: Any) -> Any:
        return x + x

    with pytest.raises(AssertionError, match=r"isn't clear: .* in 1 restart of both"):
        bench.assert_not_slower(doubled, jnp.ones(3), than=lambda x: 2 * x, budget_s=1e-6, inconclusive="fail")
    with pytest.raises(AssertionError, match="their results differ"):
        bench.assert_not_slower(doubled, jnp.ones(3), than=lambda x: 3 * x)


def test_an_unknown_way_of_taking_what_isn_t_clear_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    way: Any = "pass"
    with pytest.raises(UsageError, match="inconclusive='skip' or 'fail' was expected, got 'pass'"):
        bench.assert_not_slower(old, 1.0, than=old, inconclusive=way)
    monkeypatch.setenv(asserts.VARIABLE, "1")
    with pytest.raises(UsageError, match="BENCH_INCONCLUSIVE='skip' or 'fail' was expected, got '1'"):
        bench.assert_not_slower(old, 1.0, than=old)
