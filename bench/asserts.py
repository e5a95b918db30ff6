"""That one function isn't slower than another, asserted: in a test, or anywhere."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from typing import Any, Literal, NoReturn

from bench.calls import Kind
from bench.handed import check_options
from bench.paired import BUDGET_S, Compared, Plan
from bench.pairing import Pairing
from bench.verdict import Rule
from toynet.errors import UsageError

BY = 0.05
Inconclusive = Literal["skip", "fail"]
# Says of all calls what becomes of what isn't clear, or isn't measured.
VARIABLE = "BENCH_INCONCLUSIVE"


class InconclusiveWarning(UserWarning):
    """Whether a function is slower wasn't clear within the budget."""


def assert_not_slower(
    new: Callable[..., Any],
    *args: Any,
    than: Callable[..., Any],
    by: float = BY,
    budget_s: float = BUDGET_S,
    inconclusive: Inconclusive | None = None,
    kind: Kind = "latency",
    carry: bool | None = None,
    equal: bool = True,
    tolerance: float | None = None,
    seed: int | None = None,
    **others: Any,
) -> Compared | None:
    """Raises AssertionError where `new(*args)` takes longer than `than(*args)` by more than `by` (0.05: 5%).

    Both are asked in turn, as `bench.compare` does it, whose parameters the others are; where both take as long, that
    is clear in about a second for a small function, and a false failure is as rare as a false verdict of `bench ab`.
    Results that differ are an AssertionError, too.

    Where it isn't clear within `budget_s` seconds, it neither passes nor fails: a test is skipped, with what it would
    take; outside of pytest there is an InconclusiveWarning. Beside other workers of pytest-xdist nothing is measured,
    since they take its cores, and likewise the test is skipped. With `inconclusive="fail"` both are an AssertionError
    (None: as the environment variable BENCH_INCONCLUSIVE says, `skip` or `fail`; without it, `skip`). Gives the
    comparison; None if it wasn't made, outside of a test.
    """
    __tracebackhide__ = True
    check_options(others)
    way = _way(inconclusive)
    plan = Plan(
        rule=Rule(threshold=by, only_slower=True),
        kind=kind,
        budget_s=budget_s,
        carry=carry,
        equal=equal,
        tolerance=tolerance,
        seed=seed,
    )
    if workers := parallel_workers():
        _not_clear(refusal(workers), way, stacklevel=3)
        return None
    compared = Pairing((than, new), args, plan, names=("old", "new")).run()
    settle(compared, way)
    return compared


def settle(compared: Compared, inconclusive: Inconclusive) -> None:
    """Raises, skips or warns as the comparison says, or does nothing."""
    __tracebackhide__ = True
    if compared.verdict in ("slower", "broken"):
        raise AssertionError(str(compared))
    if compared.verdict == "inconclusive":
        _not_clear(str(compared), inconclusive, stacklevel=4)


def parallel_workers() -> int:
    """How many workers of pytest-xdist run beside each other, this one among them; 0 if it is alone."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return workers if "PYTEST_XDIST_WORKER" in os.environ and workers > 1 else 0


def refusal(workers: int) -> str:
    """Why nothing is measured beside others."""
    return (
        f"not measured: {workers} workers of pytest-xdist run beside each other and take each other's cores; "
        "run it with `-n 0`."
    )


def _way(inconclusive: str | None) -> Inconclusive:
    """What is said of this call, or else of all."""
    where = "inconclusive" if inconclusive is not None else VARIABLE
    match os.environ.get(VARIABLE, "skip") if inconclusive is None else inconclusive:
        case "skip" | "fail" as way:
            return way
        case other:
            raise UsageError(f"{where}='skip' or 'fail' was expected, got {other!r}.")


def _not_clear(said: str, inconclusive: Inconclusive, *, stacklevel: int) -> None:
    __tracebackhide__ = True
    if inconclusive == "fail":
        raise AssertionError(said)
    if "PYTEST_CURRENT_TEST" in os.environ and "pytest" in sys.modules:  # not in a script that a test starts
        _skip(said)
    warnings.warn(said, InconclusiveWarning, stacklevel=stacklevel)


def _skip(said: str) -> NoReturn:
    __tracebackhide__ = True
    import pytest

    pytest.skip(said)
