"""Two functions in turn, with a clock of the test's own."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from callers import World, new, old, steady, world

import bench
from bench.calls import Calls
from bench.paired import Compared, Plan
from bench.pairing import Pairing
from bench.verdict import Rule
from toynet.errors import UsageError


def ratio(of: Compared) -> float:
    assert of.ratio is not None
    return of.ratio.value


def noisy(call_s: float, share: float) -> Any:
    return lambda now: call_s * (1 + share * math.sin(1e4 * now))


@pytest.mark.parametrize(
    ("new_s", "verdict", "restarts"),
    [(1e-4, "same", 3), (1.03e-4, "same", 3), (1.2e-4, "slower", 6), (0.8e-4, "faster", 6)],
)
def test_a_difference_beyond_the_threshold_is_claimed_and_confirmed(new_s: float, verdict: str, restarts: int) -> None:
    compared = world(new_s=new_s).compared()
    assert (compared.verdict, compared.restarts) == (verdict, restarts)
    assert ratio(compared) == pytest.approx(new_s / 1e-4)
    assert compared.call_s is not None
    assert [each.value for each in compared.call_s] == pytest.approx([1e-4, new_s])


def test_what_isn_t_clear_ends_with_the_budget() -> None:
    unclear = World({old: noisy(1e-4, 0.5), new: noisy(1.1e-4, 0.5)})
    compared = unclear.compared(budget_s=4.0, threshold=0.001)
    assert compared.verdict == "inconclusive"
    assert unclear.now <= 4.0
    assert compared.seconds == unclear.now


def test_restarts_compile_both_anew_in_an_order_that_is_drawn_and_then_reversed() -> None:
    slower = world(new_s=1.2e-4)
    compared = slower.compared()
    assert compared.recompiled
    pairs = list(zip(slower.begun[::2], slower.begun[1::2], strict=True))
    assert len(pairs) == compared.restarts
    assert all(one != other for one, other in zip(pairs[::2], pairs[1::2], strict=True))
    begins = {world_of.begun[0] for seed in range(8) if (world_of := world()).compared(seed=seed)}
    assert begins == {old, new}


def test_who_begins_a_restart_s_rounds_is_drawn_too() -> None:
    slower = world(new_s=1.2e-4)
    slower.compared()
    assert {slower.blocks[i][0] for i in range(len(slower.blocks)) if i % 2 == 0} == {old, new}


def test_what_takes_long_to_compile_is_compiled_once_and_its_arguments_are_copied_anew() -> None:
    slow = world(compiling_s=0.6)
    compared = slow.compared(budget_s=10.0)
    assert not compared.recompiled
    assert len(slow.begun) == 2
    assert len(slow.renewed) == 2 * compared.restarts


def test_calibrating_leaves_neither_with_more_calls_behind_it() -> None:
    same = world()
    same.compared()
    first = next(i for i, (_, _, calls) in enumerate(same.blocks) if calls == 50)  # 5 ms of 0.1 ms
    assert len(same.renewed) == 2
    assert {calls for _, _, calls in same.blocks[first:]} == {50}


@pytest.mark.parametrize("new_s", [0.2e-4, 1e-4])
def test_that_it_isn_t_slower_is_clear_of_what_is_faster_without_restarts_that_confirm_it(new_s: float) -> None:
    compared = world(new_s=new_s).compared(only_slower=True)
    assert (compared.verdict, compared.restarts) == ("same", 3)


def test_what_one_of_them_needs_copied_is_copied_for_both() -> None:
    def dot(x: Any, y: Any) -> Any:
        return x @ y, y + 1

    made: list[Calls] = []

    def begin(*args: Any, **options: Any) -> Calls:
        made.append(Calls(*args, **options))
        return made[-1]

    donating = jax.jit(dot, donate_argnums=1)
    Pairing((dot, donating), (jnp.ones(3), jnp.ones(3)), Plan(rule=Rule(), budget_s=1e-6), begin=begin).run()
    assert {call.donated for call in made} == {(), (1,)}
    assert [call.spent for call in made] == [(1,), (1,)]


def test_a_machine_that_becomes_slower_is_not_taken_for_a_difference() -> None:
    both = steady(1e-4)
    later = World({f: lambda now: both(now) * (1 if now < 0.3 else 1.5) for f in (old, new)})
    assert later.compared().verdict == "same"


def test_results_that_differ_break_the_comparison_before_anything_is_timed() -> None:
    different = world(gives={old: np.float32(1), new: np.float32(2)})
    compared = different.compared()
    assert compared.verdict == "broken"
    assert compared.why.startswith("their results differ: output is 2.0, and 1.0 was expected")
    assert compared.ratio is None
    assert different.blocks == []


@pytest.mark.parametrize("options", [{"equal": False}, {"tolerance": 2.0}])
def test_results_may_differ_where_that_is_allowed(options: dict[str, Any]) -> None:
    compared = world(gives={old: np.float32(1), new: np.float32(2)}).compared(**options)
    assert compared.verdict == "same"
    assert ("output is 2.0" in compared.unlike) == ("equal" in options)


def test_what_is_compiled_while_it_is_timed_breaks_the_comparison() -> None:
    compared = world(recompiled={new: 3}).compared()
    assert (compared.verdict, compared.why) == ("broken", "new was compiled 3 more times while it was timed")


def test_what_is_found_of_calls_is_kept_once() -> None:
    compared = world(new_s=1.2e-4, found={new: ["Call 2 was compiled anew."]}, finite=False).compared()
    assert compared.found == (
        "new: Call 2 was compiled anew.",
        "old: the state that is carried on doesn't stay finite, and its time may depend on that.",
        "new: the state that is carried on doesn't stay finite, and its time may depend on that.",
    )


def test_where_one_of_them_carries_its_state_on_both_do() -> None:
    one = world(carried={old: False})
    one.compared()
    assert one.carry[:4] == [None, None, True, True]


def test_long_calls_have_few_rounds_and_more_restarts_in_their_budget() -> None:
    long = world(0.5, 0.5)
    long.compared(budget_s=60.0)
    assert len(long.blocks) == 2 + 3 * 2 * (1 + 2)  # rough times; in each restart one that isn't counted and two rounds


@pytest.mark.parametrize(("new_s", "calls", "verdict"), [(1.0, 25, "same"), (1.2, 75, "slower")])
def test_long_calls_need_a_budget_of_as_many_of_them_as_the_docs_say(new_s: float, calls: int, verdict: str) -> None:
    long = world(1.0, new_s, compiling_s=2 * new_s)  # the first call, and one that shows whether it is compiled again
    assert long.compared(budget_s=calls, only_slower=True).verdict == verdict


def test_functions_that_share_what_jax_compiled_are_compared_all_the_same() -> None:
    def more(state: Any) -> Any:
        return {"n": state["n"] + 1}

    jitted = jax.jit(more)
    pairs = [(jitted, jitted), (jitted, jax.jit(more, donate_argnums=0)), (jitted, lambda state: jitted(state))]
    for a, b in pairs:
        compared = bench.compare(a, b, {"n": jnp.int32(0)}, budget_s=1e-6)
        assert (compared.verdict, compared.why) == ("inconclusive", "")


def test_calls_that_need_copies_can_t_be_chained() -> None:
    with pytest.raises(UsageError, match="compare their latency"):
        world(kinds=("latency",)).compared(kind="throughput")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"threshold": 0.0}, "a threshold above 0"),
        ({"budget_s": 0.0}, "a budget of more than 0 seconds"),
        ({"tolerance": math.nan}, "a tolerance of 0 or more was expected, got nan"),
        ({"kind": "fused"}, "kind='latency' or 'throughput' was expected, got 'fused'"),
    ],
)
def test_what_can_t_be_asked_for_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        bench.compare(old, new, 1.0, **options)


def test_products_in_bfloat16_may_differ_by_its_roundings() -> None:
    def coarse(x: jax.Array) -> jax.Array:
        return (x.astype(jnp.bfloat16) @ x.astype(jnp.bfloat16)).astype(jnp.float32)

    def nearly(x: jax.Array) -> jax.Array:
        return 1.001 * coarse(x)

    compared = bench.compare(coarse, nearly, jnp.eye(4), budget_s=1e-6)
    assert (compared.verdict, compared.restarts) == ("inconclusive", 1)
    assert bench.compare(lambda x: x, lambda x: 1.001 * x, jnp.eye(4), budget_s=1e-6).verdict == "broken"


def test_real_functions_are_compared_in_a_restart_at_least() -> None:
    def one(state: Any, batch: jax.Array) -> Any:
        return {"w": state["w"] + batch}, jnp.sum(batch)

    donating = jax.jit(lambda state, batch: one(state, batch), donate_argnums=0)
    state = {"w": jnp.zeros(3)}
    compared = bench.compare(one, donating, state, jnp.ones(3), budget_s=1e-6, kind="throughput")
    assert compared.restarts == 1
    assert compared.call_s is not None
    assert compared.verdict == "inconclusive"  # one restart says nothing
    assert state["w"].tolist() == [0, 0, 0]
