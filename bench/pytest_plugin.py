"""The plugin for pytest, with `step_benchmark`. Where it is installed every pytest loads it, so it imports little."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from bench.calls import Calls

# More tell no more of a small step, and each is kept in a file.
ROUNDS_AT_MOST = 1000
MISSING = (
    "step_benchmark is built on pytest-benchmark, which isn't installed here, or is switched off: "
    "python -m pip install pytest-benchmark."
)
# Beside other tests, where it isn't timed.
CHECKED = "Its results were checked."
UNCHECKED = "It was called, and its results weren't checked, for want of `equals`."


def pytest_configure(config: pytest.Config) -> None:
    """The fixture, or what says that pytest-benchmark isn't there."""
    there = hasattr(config.option, "benchmark_disable")
    config.pluginmanager.register(Measuring() if there else Missing(), "toynet-bench-step")


class Missing:
    """Without pytest-benchmark."""

    @pytest.fixture
    def step_benchmark(self) -> None:
        """Fails, saying what to install."""
        pytest.fail(MISSING, pytrace=False)


class Measuring:
    """With pytest-benchmark, whose own fixture pytest must see among those of a test, for `--benchmark-only`."""

    @pytest.fixture
    def step_benchmark(self, request: pytest.FixtureRequest, benchmark: BenchmarkFixture) -> Iterator[StepBenchmark]:
        """Checks a training step, or another function of arrays, and times it: `step_benchmark(step, state, batch)`."""
        step_benchmark = StepBenchmark(benchmark, Budget.of(request.node))
        yield step_benchmark
        step_benchmark.end()


@dataclass(frozen=True)
class Budget:
    """What pytest-benchmark's options and its marker say of the rounds of a test."""

    max_time_s: float
    min_rounds: int
    timed: bool
    """Not with `--benchmark-disable`."""

    @classmethod
    def of(cls, node: pytest.Item) -> Budget:
        """The options, or what the test's own `@pytest.mark.benchmark` has instead."""
        option, marker = node.config.option, node.get_closest_marker("benchmark")
        own = marker.kwargs if marker else {}
        return cls(
            float(own.get("max_time", option.benchmark_max_time)),
            own.get("min_rounds", option.benchmark_min_rounds),
            option.benchmark_enable or not option.benchmark_disable,
        )

    def rounds(self, rough_s: float) -> int:
        """As many as the time allows for calls of so many seconds."""
        return max(self.min_rounds, min(int(self.max_time_s / rough_s), ROUNDS_AT_MOST))


class StepBenchmark:
    """Called once in a test, with a function and its arguments; checks its calls and has pytest-benchmark time them."""

    def __init__(self, benchmark: BenchmarkFixture, budget: Budget) -> None:
        self.benchmark = benchmark
        """pytest-benchmark's own fixture, with `stats`, `extra_info` and `group`."""
        self._budget = budget
        self._called = self._handed_on = False

    def __call__(
        self,
        step: Callable[..., Any],
        /,
        *args: Any,
        equals: Any = None,
        tolerance: float | None = None,
        carry: bool | None = None,
        samples: int | None = None,
        **others: Any,
    ) -> Any:
        """What the first call of `step(*args)` gave, once it was checked, and rounds of calls were timed.

        Each call is waited for. Where its first output is like its first argument, as a state is, the next call takes
        it, and may delete it (`carry` says whether, where that isn't plain); a deleted argument that is no state is
        copied before each call. The test fails if a call after the first is compiled again, or if the first isn't what
        `equals` says: a function of the same arguments, or a tree. Numbers may be off by `tolerance` of their leaf's
        largest (None: by what their dtype rounds to). Without `equals`, NaN of arguments without one is a warning.
        `samples` is how many examples a call has, for a reader of `extra_info`. Where other tests run at once, the test
        is skipped after its checks.
        """
        from bench import checks
        from bench.asserts import parallel_workers, refusal
        from bench.calls import Calls
        from bench.handed import check_options
        from bench.jitted import compilations
        from toynet.errors import UsageError

        if self._called:
            pytest.fail(
                "step_benchmark was called twice, and a test has one time: parametrize the test.", pytrace=False
            )
        self._called = True
        name = getattr(step, "__name__", type(step).__name__)
        try:
            check_options(others)
            calls = Calls(step, args, carry=carry, keep=True)
        except UsageError as error:
            raise pytest.fail.Exception(f"step_benchmark({name}): {error}", pytrace=False) from None
        why = checks.recompiled(calls, args, carry)
        if not why and equals is not None:
            why = checks.wrong(calls, equals, tolerance)
        if why:
            pytest.fail(f"{name} {why}", pytrace=False)
        if equals is None and (why := checks.nan(calls, args)):
            warnings.warn(f"{name} {why}", stacklevel=2)
        if self._budget.timed and (workers := parallel_workers()):
            pytest.skip(f"{refusal(workers)} {CHECKED if equals is not None else UNCHECKED}")
        self.benchmark.extra_info.update(checks.facts(calls, args, samples))
        with compilations() as compiled:
            self._time(calls)
        if compiled:
            self._forget()
            pytest.fail(f"{name} was compiled again while it was timed, {len(compiled)} times.", pytrace=False)
        return calls.first

    def _time(self, calls: Calls) -> None:
        rounds = self._budget.rounds(calls.block("latency", 1).seconds) if self._budget.timed else 1
        # In the only worker of pytest-xdist it is disabled too, though nothing runs beside it.
        self.benchmark.disabled = not self._budget.timed
        self._hand_on(calls.of, setup=lambda: (calls.ready(), {}), rounds=rounds)

    def _hand_on(self, function: Callable[..., Any], **options: Any) -> None:
        self._handed_on = True
        self.benchmark.pedantic(function, **options)

    def _forget(self) -> None:
        """Leaves its time out of pytest-benchmark's files and its table."""
        self.benchmark.has_error = True
        if self.benchmark.stats is not None:
            self.benchmark.stats.stats.data.clear()

    def end(self) -> None:
        """Uses pytest-benchmark's fixture where a check has failed before: it would warn that it wasn't."""
        if self._called and not self._handed_on:
            self.benchmark.disabled = True
            self._hand_on(lambda: None)
