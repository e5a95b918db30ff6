"""One function measured in this process, and what the package offers as a library."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import partial
from typing import Any

import jax.numpy as jnp
import pytest
from callers import World, new, old, steady, world

import bench
from bench.library import Measured, measured
from bench.report import inline
from toynet.errors import UsageError


def run(of: World, budget_s: float = 2.0) -> Measured:
    return measured(old, (), budget_s=budget_s, carry=None, begin=of.begin, clock=of.clock)


def test_a_call_is_timed_waited_for_and_in_a_chain_with_an_interval_from_restarts() -> None:
    found = run(world())
    assert found.latency_s.value == pytest.approx(1e-4)
    assert found.throughput_s is not None
    assert found.throughput_s.value == pytest.approx(1e-4)
    assert found.dispatch_s is not None
    assert found.dispatch_s.value == pytest.approx(0.5e-4)
    assert (found.restarts, found.latency_s.restarts) == (5, 5)
    assert found.flops_per_s is not None
    assert found.flops_per_s.value == pytest.approx(1000 / 1e-4)


def test_restarts_scatter_and_the_interval_has_their_scatter() -> None:
    slower_later = World({old: lambda now: 1e-4 if now < 1 else 1.2e-4})
    found = run(slower_later).latency_s
    assert found.low is not None
    assert found.high is not None
    assert found.low < 1e-4 < 1.2e-4 < found.high


def test_each_restart_compiles_anew_unless_that_takes_long() -> None:
    quick, slow = world(compiling_s=0.3), world(compiling_s=0.5)
    assert run(quick).recompiled
    assert len(quick.begun) == 5
    assert quick.renewed == [old]
    found = run(slow)
    assert not found.recompiled
    assert len(slow.begun) == 1
    assert len(slow.renewed) == found.restarts


def test_a_budget_is_kept_but_for_two_restarts_of_a_few_blocks() -> None:
    quick = world()
    run(quick, budget_s=1.0)
    assert quick.now == pytest.approx(1.0, abs=0.1)
    long = World({old: steady(3.0)})
    assert run(long).restarts == 2
    assert len(long.blocks) == 1 + 2 * (1 + 3)  # a rough time, and in each restart one that isn't counted and three


def test_long_calls_and_those_that_need_copies_are_only_waited_for() -> None:
    assert run(World({old: steady(0.3)})).throughput_s is None
    assert run(world(kinds=("latency",))).throughput_s is None


def test_what_is_found_is_said_once() -> None:
    found = run(world(found={old: ["Call 2 was compiled anew."]}, recompiled={old: 1}, finite=False)).found
    assert found == (
        "Call 2 was compiled anew.",
        "It was compiled again while it was timed, which is in these times.",
        "The state that is carried on doesn't stay finite, and its time may depend on that.",
    )


def test_a_budget_is_above_zero() -> None:
    with pytest.raises(UsageError, match="a budget of more than 0 seconds"):
        bench.measure(old, 1.0, budget_s=-1.0)


def test_keywords_of_the_function_are_refused_with_the_way_to_bind_them() -> None:
    said = r"no option is called 'rate', and .* bind .* functools.partial\(function, rate=\.\.\.\)"
    with pytest.raises(UsageError, match=said):
        bench.measure(old, 1.0, rate=2.0)
    with pytest.raises(UsageError, match="no option is called 'n'"):
        bench.assert_not_slower(old, 1.0, than=old, n=2)


def test_a_function_without_a_name_is_the_function() -> None:
    assert measured(lambda: 0, (), budget_s=1e-6, carry=None).name == "the function"


def test_a_real_function_is_measured() -> None:
    def step(state: Any, batch: Any) -> Any:
        return {"w": state["w"] + batch @ batch}, jnp.sum(batch)

    found = bench.measure(step, {"w": jnp.zeros((4, 4))}, jnp.ones((4, 4)), budget_s=0.01)
    assert found.name == "step"
    assert found.carried
    assert found.restarts == 2
    assert found.cost.product_flops == 2 * 4**3
    assert 0 < found.latency_s.value < 1


def test_a_measurement_says_itself_on_a_line_and_as_a_table() -> None:
    found = run(world())
    assert repr(found) == "<Measured old: 100.0 us ±<0.01% a call, 100.0 us ±<0.01% chained, 5 restarts>"
    html = found._repr_html_()
    assert '<th scope="col" style="text-align:left;padding:0.1em 0.8em;vertical-align:top">old</th>' in html
    assert "10.00 MFLOP/s" in html
    assert "compiled anew, with fresh copies of the arguments" in html
    assert "bench run" in html


def test_a_comparison_says_itself_on_a_line_in_sentences_and_as_a_table() -> None:
    slower = world(new_s=1.2e-4, flops={new: 1200.0}).compared()
    assert repr(slower) == "<Compared new with old: slower, 1.200x (1.200 to 1.200), 6 restarts>"
    assert str(slower) == (
        "new is slower than old by more than 5.0%: a call takes 1.200x (1.200 to 1.200) the time, in 6 restarts of "
        "both. FLOPs of a step: 1,000 in old, 1,200 in new."
    )
    html = slower._repr_html_()
    assert "<td" in html
    assert "1,200" in html
    assert "bench ab" in html


def test_an_unclear_comparison_says_what_it_would_take() -> None:
    for quick in (world(), world(compiling_s=3.0)):  # whose programs are made anew, or stay
        short = quick.compared(budget_s=0.2)
        assert short.restarts == 1
        assert "isn't clear" in str(short)
        assert "Intervals come" not in short._repr_html_()  # one restart has none
        needed = re.search(r"a test needs 3, a budget of about (\S+) s\.", str(short))
        assert needed
        assert quick.again().compared(budget_s=float(needed[1])).verdict == "same"


def test_broken_comparisons_have_the_reason_and_no_ratio() -> None:
    broken = world(recompiled={new: 1}).compared()
    assert str(broken) == "old and new can't be compared: new was compiled 1 more times while it was timed."
    assert repr(broken).startswith("<Compared new with old: broken")


def test_a_notebook_s_table_does_nothing_but_stand_there_in_any_colours() -> None:
    def named(x: Any) -> Any:
        return x

    named.__name__ = "<script>alert(1)</script>"
    of = World({named: steady(1e-4), old: steady(1e-4)})
    found = measured(named, (), budget_s=1.0, carry=None, begin=of.begin, clock=of.clock)
    html = found._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "color:inherit;background:transparent" in html


def test_functions_without_names_of_their_own_are_a_and_b() -> None:
    assert inline.names([partial(partial(old)), new], "AB") == ("old", "new")
    names = bench.compare(lambda x: x, lambda x: x, jnp.ones(2), budget_s=1e-6).names
    assert names == ("A", "B")


def test_the_package_offers_three_functions_and_loads_nothing_until_one_is_asked_for() -> None:
    script = (
        "import sys, bench; before = set(sys.modules); assert set(bench.__all__) <= set(dir(bench)); "
        "print({'jax', 'numpy', 'msgspec', 'toynet', 'bench.calls'} & before)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    assert run.stdout == "set()\n"
    assert all(callable(getattr(bench, name)) for name in bench.__all__)
    with pytest.raises(AttributeError, match="no attribute 'measured_by_hand'"):
        bench.measured_by_hand  # noqa: B018


def test_no_module_hides_a_function_of_the_library() -> None:
    import importlib.util

    assert [importlib.util.find_spec(f"bench.{name}") for name in bench.__all__] == [None] * len(bench.__all__)
