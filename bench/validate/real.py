"""Comparisons on the machine at hand whose truth is planted, one after another, while something else comes and goes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from bench import environment
from bench.ab import Plan, compare
from bench.cases import Selection
from bench.comparison import Comparison
from bench.duet import Pace
from bench.reading import read_as
from bench.record import write
from bench.report.words import host_line
from bench.run import ROOT
from bench.sides import side
from bench.validate.planted import STEP, long_run, write_tree
from bench.verdict import Rule, Verdict
from toynet.errors import UsageError

SCHEMA = 1


class Planted(msgspec.Struct, frozen=True):
    """What a comparison was set up as."""

    share: float
    """How much longer B's step takes: 0.05 for 5%."""
    threshold: float
    loaded: bool
    """Whether another process came and went beside it."""


class Case(msgspec.Struct, frozen=True):
    """One comparison: what was planted, what was said, and the blocks that it rests on."""

    planted: Planted
    verdict: Verdict
    seconds: float
    ratio: float
    low: float
    high: float
    logs: tuple[float, ...]
    """Log-ratios of the restarts."""
    a_s: tuple[float, ...]
    b_s: tuple[float, ...]
    """Seconds a step, by block, of the first restart."""
    overhead_s: float
    """Of a block, from asking to answer beyond the block itself; the median."""


class Real(msgspec.Struct, frozen=True, kw_only=True, tag="validation"):
    """Comparisons with planted truths on one machine."""

    schema: int = SCHEMA
    command: tuple[str, ...]
    machine: str
    long_runs: dict[str, float] = {}
    """By planted share: the ratio of step times in one long run of both, without the harness."""
    cases: tuple[Case, ...] = ()


# How many comparisons of each there are to be.
WANTED = {
    Planted(0.0, 0.01, loaded=True): 100,
    Planted(0.02, 0.01, loaded=True): 40,
    Planted(0.05, 0.01, loaded=True): 40,
    Planted(0.20, 0.03, loaded=True): 20,
}


def missing(elsewhere: Sequence[Real]) -> dict[Planted, int]:
    """How many of each are wanted beside those that were made on other machines."""
    have = Counter(case.planted for other in elsewhere for case in other.cases)
    return {planted: count - have[planted] for planted, count in WANTED.items() if count > have[planted]}


def begun(command: Sequence[str]) -> Real:
    """Nothing measured yet, on this machine."""
    host = environment.host(ROOT)
    return Real(command=tuple(command), machine=host_line(host))


def _with_long_runs(found: Real) -> Real:
    shares = {planted.share for planted in WANTED} - {float(share) for share in found.long_runs}
    measured = {f"{share:g}": long_run(share) for share in sorted(shares)}
    return msgspec.structs.replace(found, long_runs={**found.long_runs, **measured})


@contextlib.contextmanager
def load(seed: int) -> Iterator[None]:
    """Another process that keeps one core busy, on and off at random for 0.1 to 2 seconds each."""
    process = multiprocessing.get_context("spawn").Process(target=_busy, args=(seed,), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _busy(seed: int) -> None:
    drawn = random.Random(seed)
    while os.getppid() != 1:
        until = time.monotonic() + drawn.uniform(0.1, 2)
        while time.monotonic() < until:
            pass
        time.sleep(drawn.uniform(0.1, 2))


def compared(planted: Planted, *, budget_s: float, seed: int) -> Case:
    """One whole comparison of two trees, as `bench ab path=A path=B` runs it."""
    with tempfile.TemporaryDirectory(prefix="planted-") as folder, contextlib.ExitStack() as stack:
        a, b = write_tree(Path(folder, "a"), 0.0), write_tree(Path(folder, "b"), planted.share)
        if planted.loaded:
            stack.enter_context(load(seed))
        plan = Plan(
            a=side(f"path={a}"),
            b=side(f"path={b}"),
            selection=Selection(workloads=(f"{STEP}:workload",), modes=("single",)),
            rule=Rule(threshold=planted.threshold),
            pace=Pace(budget_s=budget_s, seed=seed),
            out=Path(folder, "ab.json"),
            noise=None,
        )
        return _case(compare(plan, lambda *_: None), planted)


def _case(found: Comparison, planted: Planted) -> Case:
    pair = found.pairs[0]
    estimate = pair.trial.ratio
    if estimate is None or estimate.low is None or estimate.high is None:
        raise UsageError(f"a planted comparison was not measured: {pair.why}.")
    first = pair.restarts[0]
    rounds = [one for restart in pair.restarts for one in restart.rounds]
    return Case(
        planted=planted,
        verdict=pair.verdict,
        seconds=found.seconds,
        ratio=estimate.value,
        low=estimate.low,
        high=estimate.high,
        logs=pair.trial.logs,
        a_s=tuple(r.a_s / first.steps[0] for r in first.rounds),
        b_s=tuple(r.b_s / first.steps[1] for r in first.rounds),
        overhead_s=statistics.median((r.asked_s - r.a_s - r.b_s) / 2 for r in rounds),
    )


def _continued(path: Path, begun: Real) -> Real:
    found = read_as(path, Real, SCHEMA)
    if found.machine != begun.machine:
        raise UsageError(f"{path} was made on another machine ({found.machine}): move it away to begin anew.")
    return found


def extended(
    path: Path,
    begun: Real,
    wanted: Mapping[Planted, int],
    *,
    budget_s: float,
    until_s: float,
    say: Callable[[str], None],
) -> Real:
    """Runs comparisons until there are as many of each as wanted, or time is up.

    Each is written down at once; those that `path` already has count. Raises UsageError if they were
    made on another machine.
    """
    found = _with_long_runs(_continued(path, begun) if path.exists() else begun)
    write(found, path)
    end = time.monotonic() + until_s
    while time.monotonic() < end:
        have = Counter(case.planted for case in found.cases)
        missing = [planted for planted, count in wanted.items() if have[planted] < count]
        if not missing:
            break
        # The one with the smallest share done comes next, so that whatever happens to the machine happens to all.
        planted = min(missing, key=lambda planted: have[planted] / wanted[planted])
        case = compared(planted, budget_s=budget_s, seed=len(found.cases))
        found = msgspec.structs.replace(found, cases=(*found.cases, case))
        write(found, path)
        say(
            f"{len(found.cases)}: {100 * planted.share:g}% planted, threshold {100 * planted.threshold:g}%: "
            f"{case.verdict}, {case.ratio:.4f} ({case.low:.4f} to {case.high:.4f}), {len(case.logs)} restarts, "
            f"{case.seconds:.0f} s"
        )
    return found
