"""What is said of a comparison: a row and a sentence a pair, and counts apart from times."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import msgspec
import pytest

from bench.cases import Case
from bench.comparison import Comparison, PairResult, Restart, Round, SideResult
from bench.duet import Pace
from bench.environment import Backend, Host
from bench.measured import Collective, Cost, Stages
from bench.report import markdown
from bench.report.verdicts import build
from bench.verdict import Rule, Trial

SINGLE = Case(workload="tutorial", mode="single")
COST = Cost(1000.0, 2000.0, 30, 40, 50, 10, ())
COLD = Stages(0.1, 0.2, 0.3, False, 0.4, 0.5)
HOST = Host("a cpu", 8, (0, 1), 25_000_000_000, "Linux", {}, "0" * 40, False)
BACKEND = Backend("cpu", "cpu", 1, True, {"jax": "0.10.2"}, "3.11.7", {})


def pair(name: str = "tutorial/single-1/m1/b32", ratio: float = 1.05, restarts: int = 6, **more: Any) -> PairResult:
    logs = tuple(math.log(ratio) + 0.001 * (-1) ** n for n in range(restarts))
    rounds = tuple(Round("A", 0.02, 0.02 * ratio, 0.05) for _ in range(6))
    ran = tuple(Restart(((0,), (0,)), (20, 20), rounds) for _ in range(restarts))
    given: dict[str, Any] = {"verdict": "slower", "costs": (COST, COST), "stages": (COLD, COLD), **more}
    return PairResult(name, SINGLE, SINGLE, trial=Trial(logs), restarts=ran, **given)


def comparison(*pairs: PairResult, **more: Any) -> Comparison:
    given: dict[str, Any] = {
        "a": SideResult("rev=main", "a" * 40, False, BACKEND),
        "b": SideResult(".", "b" * 40, False, BACKEND),
        "complete": True,
        **more,
    }
    return Comparison(
        created="2026-11-25T08:00:00Z",
        command=("python", "-m", "bench", "ab"),
        rule=Rule(threshold=0.03),
        pace=Pace(),
        host=HOST,
        load_at_start=0.1,
        load_at_end=0.2,
        seconds=15.0,
        pairs=pairs,
        **given,
    )


def said(*pairs: PairResult, **more: Any) -> str:
    return "\n".join(build(comparison(*pairs, **more)).sentences)


@pytest.mark.parametrize(
    ("verdict", "ratio", "sentence"),
    [
        ("slower", 1.05, "B is slower than A by more than 3.0%: a step of B takes 1.050x (1.049 to 1.051) the time"),
        ("faster", 0.95, "B is faster than A by more than 3.0%: a step of B takes 0.950"),
        ("same", 1.0, "B is the same as A within 3.0%: a step of B takes 1.000x"),
    ],
)
def test_a_verdict_is_said_with_its_ratio_and_the_threshold(verdict: str, ratio: float, sentence: str) -> None:
    assert sentence in said(pair(ratio=ratio, verdict=verdict))


def test_what_is_inconclusive_says_what_it_would_take() -> None:
    lines = said(pair(ratio=1.0299, verdict="inconclusive"))
    assert "is inconclusive after 6 restarts: a step of B takes 1.03" in lines
    assert "or a threshold of 3.2% to call it the same." in lines
    one = pair(ratio=1.03, restarts=1, verdict="inconclusive")
    assert "one restart says nothing, and the 3 that a test needs would take a --budget of about 45 s." in said(one)


def test_what_can_not_be_compared_says_why() -> None:
    broken = pair(verdict="broken", why="B: ended by SIGKILL")
    new = PairResult("wide/single-1/m1/b512", None, SINGLE, verdict="not comparable", why="new: in A, it isn't there")
    lines = said(broken, new)
    assert "tutorial/single-1/m1/b32 is broken: B: ended by SIGKILL." in lines
    assert "wide/single-1/m1/b512 is not comparable: new: in A, it isn't there." in lines
    rows = build(comparison(broken, new)).tables[0].rows
    assert [row[1] for row in rows] == ["BROKEN", "not comparable"]
    assert [row[-1] for row in rows] == ["BROKEN", "new"]


def test_counts_are_compared_exactly_and_apart_from_times() -> None:
    assert "Exact counts (FLOPs, bytes, peak memory, collectives, traces) are the same" in said(pair())
    other = dataclasses.replace(
        COST, flops=1001.0, temporary_bytes=51, collectives=(Collective("all-reduce", 1, 8, 2),)
    )
    lines = said(pair(costs=(COST, other), traces=(1, 3)))
    assert "traces of a step are 1 in A, 3 in B." in lines
    assert "tutorial/single-1/m1/b32: FLOPs of a step are 1,000 in A, 1,001 in B." in lines
    assert "peak memory is 110 B in A, 111 B in B." in lines
    assert "collectives are none in A, 1 all-reduce of 8 B over 2 in B." in lines
    assert "bytes accessed" not in lines
    assert "Exact counts" not in lines


def test_a_cold_cache_against_a_warm_one_is_told() -> None:
    warm = dataclasses.replace(COLD, compile_cached=True)
    assert "A's step came from a compilation cache, B's was compiled." in said(pair(stages=(warm, COLD)))
    assert "cache" not in said(pair(stages=(warm, warm)))


def test_changes_that_are_not_committed_and_results_that_differ_are_told() -> None:
    dirty = SideResult(".", "b" * 40, True, BACKEND)
    assert "B has changes that aren't committed" in said(pair(), b=dirty)
    assert "A has changes" not in said(pair(), b=dirty)
    assert "results differ, which was allowed: the loss is 1 in A." in said(pair(unlike="the loss is 1 in A"))


def test_the_noise_floor_is_told_or_how_to_get_one() -> None:
    assert "`python -m bench doctor --noise` measures it" in said(pair())
    floors = {"tutorial/single-1/m1/b32 latency": 0.012}
    assert "Noise floors measured on this machine before: tutorial/single-1/m1/b32 1.2%." in said(pair(), floors=floors)


def test_more_simulated_devices_than_cores_are_marked() -> None:
    four = Case(workload="tutorial", mode="data_parallel", data_shards=4)
    rows = build(comparison(msgspec.structs.replace(pair(), b=four))).tables[0].rows
    assert rows[0][-1] == "B oversubscribed"


def test_the_sides_stand_in_the_environment() -> None:
    lines = build(comparison(pair())).environment
    assert lines[1:3] == (
        "A: rev=main; aaaaaaaaaaaa; cpu: Python 3.11.7 jax 0.10.2",
        "B: the working tree; bbbbbbbbbbbb; cpu: Python 3.11.7 jax 0.10.2",
    )


def test_a_comparison_that_was_ended_says_so() -> None:
    assert "The comparison was ended before its verdicts" in said(pair(), complete=False)


def test_names_of_users_are_escaped() -> None:
    evil = pair(name="a|b:<i>*c*", verdict="broken", why="line one\n| line <b>two</b> |")
    text = markdown.render(build(comparison(evil)))
    assert "| a\\|b:\\<i\\>\\*c\\* | BROKEN |" in text
    assert "is broken: line one \\| line \\<b\\>two\\</b\\> \\|." in text
