"""A function and its arguments in this process: how it is compiled, called, and its state carried on."""

from __future__ import annotations

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from bench import timing
from bench.calls import Calls, Start
from bench.jitted import compilations
from bench.measured import Block
from toynet.errors import UsageError

pytestmark = pytest.mark.usefixtures("compiled_once")


def step(state: Any, batch: Any) -> tuple[Any, Any]:
    return {"n": state["n"] + 1, "w": state["w"] + jnp.sum(batch)}, jnp.mean(batch)


def arguments() -> tuple[Any, jax.Array]:
    return {"n": jnp.int32(0), "w": jnp.zeros(3)}, jnp.ones(4)


def ticks() -> Any:
    """A clock that moves by a second whenever it is read."""
    return itertools.count(0.0).__next__


def test_a_state_is_carried_on_through_calls_and_blocks_of_either_kind() -> None:
    calls = Calls(step, arguments())
    assert calls.carried
    assert calls.kinds == ("latency", "throughput")
    state, _ = calls.call()
    assert int(state["n"]) == 3  # compiled with a call, and called once more to see whether it is compiled again
    assert calls.block("latency", 5).steps == calls.block("throughput", 5).steps == 5
    state, loss = calls.call()
    assert int(state["n"]) == 14
    assert float(loss) == 1.0


def test_a_function_is_compiled_in_stages_and_its_first_call_is_apart() -> None:
    start = Calls(step, arguments(), clock=ticks()).start
    assert (start.trace_s, start.lower_s, start.compile_s, start.first_call_s) == (1, 1, 1, 1)
    assert isinstance(start, Start)


def test_what_a_call_costs_and_its_devices_are_known() -> None:
    calls = Calls(lambda x, y: x @ y, (jnp.ones((8, 16)), jnp.ones((16, 4))))
    assert calls.cost.product_flops == 2 * 8 * 16 * 4
    assert calls.cost.argument_bytes == 4 * (8 * 16 + 16 * 4)
    assert calls.devices == 1


def test_arguments_that_are_donated_stay_the_callers() -> None:
    state, batch = arguments()
    calls = Calls(jax.jit(step, donate_argnums=0), (state, batch))
    assert calls.donated == (0,)
    calls.block("throughput", 40)
    assert int(calls.call()[0]["n"]) == 43
    assert int(state["n"]) == 0
    assert not state["w"].is_deleted()


def test_what_is_donated_and_not_carried_on_is_copied_for_each_call_outside_of_its_time() -> None:
    fold = jax.jit(lambda state, batch: ({"n": state["n"] + 1}, batch + 1), donate_argnums=(0, 1))
    calls = Calls(fold, ({"n": jnp.int32(0)}, jnp.ones(4)), clock=ticks())
    assert calls.carried
    assert calls.donated == (0, 1)
    assert calls.kinds == ("latency",)
    assert calls.block("latency", 7) == Block(7, 7.0, None, 1.0)  # the clock is read twice a call, and nowhere else
    state, batch = calls.call()
    assert int(state["n"]) == 10
    assert batch.tolist() == [2, 2, 2, 2]


def test_a_lone_array_is_a_value_unless_it_is_donated_or_said_to_be_a_state() -> None:
    def more(x: Any) -> Any:
        return x + 1

    value = Calls(more, (jnp.zeros(2),))
    assert (value.carried, value.call().tolist()) == (False, [1, 1])
    said = Calls(more, (jnp.zeros(2),), carry=True)
    assert (said.carried, said.call().tolist()) == (True, [3, 3])
    donated = Calls(jax.jit(more, donate_argnums=0), (jnp.zeros(2),))
    assert (donated.carried, donated.call().tolist()) == (True, [3, 3])


def test_a_state_alone_is_carried_on_and_its_chain_is_bounded() -> None:
    waits = 0

    def wait(tree: Any) -> Any:
        nonlocal waits
        waits += 1
        return jax.block_until_ready(tree)

    count = jax.jit(lambda state: {"n": state["n"] + 1}, donate_argnums=0)
    calls = Calls(count, ({"n": jnp.int32(0)},), wait=wait)
    before = waits
    assert calls.block("throughput", 3 * timing.IN_FLIGHT).steps == 3 * timing.IN_FLIGHT
    assert waits - before >= 3
    assert int(calls.call()["n"]) == 3 * timing.IN_FLIGHT + 3


def test_a_state_needn_t_be_carried_on() -> None:
    calls = Calls(step, arguments(), carry=False)
    calls.block("latency", 3)
    assert int(calls.call()[0]["n"]) == 1


def test_a_state_among_more_outputs_and_arguments_is_carried_on() -> None:
    calls = Calls(lambda s, x, y: ((s[0] + x, s[1]), x, y), ((jnp.float32(0), jnp.ones(2)), 1.0, 2.0))
    calls.block("throughput", 4)
    assert float(calls.call()[0][0]) == 7.0


def test_a_state_that_can_t_be_carried_on_is_refused() -> None:
    with pytest.raises(UsageError, match="the tree, the shapes and the dtypes of its first argument"):
        Calls(lambda x: x.sum(), (jnp.ones(3),), carry=True)


def test_an_argument_that_can_t_be_traced_is_named() -> None:
    with pytest.raises(UsageError, match=r"args\[1\]\['mode'\] is a str"):
        Calls(lambda x, options: x, (jnp.ones(3), {"mode": "fast"}))


def test_one_of_several_processes_measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(UsageError, match="measured in one process, and this is one of 2"):
        Calls(step, arguments())


def test_static_arguments_of_a_jitted_function_are_left_as_they_are() -> None:
    scaled = jax.jit(lambda x, how: x * 2 if how == "twice" else x, static_argnums=1)
    assert Calls(scaled, (jnp.ones(2), "twice")).call().tolist() == [2, 2]


def test_numpy_arrays_are_put_on_the_device_and_keys_are_copied() -> None:
    calls = Calls(lambda key, x: jax.random.key_data(key).sum() + x, (jax.random.key(3), np.ones(2, np.uint32)))
    assert calls.call().tolist() == [4, 4]


@pytest.mark.parametrize("jitted", [False, True])
def test_what_was_compiled_before_is_compiled_anew(*, jitted: bool) -> None:
    function = jax.jit(step) if jitted else step
    Calls(function, arguments())
    with compilations() as compiled:
        Calls(function, arguments())
    assert len(compiled) == 1
    assert "step" in compiled[0]


def test_what_is_jitted_needn_t_be_compiled_anew() -> None:
    function = jax.jit(step)
    function(*arguments())
    with compilations() as compiled:
        Calls(function, arguments(), anew=False)
    assert compiled == []


def test_a_second_call_that_is_compiled_again_is_told_with_what_changed() -> None:
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,))
    batch = jax.device_put(jnp.ones(4), NamedSharding(mesh, PartitionSpec("data")))
    calls = Calls(lambda state, batch: (state + jnp.sum(batch), jnp.mean(batch)), (jnp.zeros(3), batch))
    assert calls.devices == 2
    assert calls.found == [
        f"Call 2 was compiled anew: args[0] was float32[3] and is float32[3] as {PartitionSpec()} over {{'data': 2}}."
    ]
    calls.block("latency", 2)
    assert calls.recompiled == 0


def test_arguments_over_several_devices_are_copied_as_they_lie() -> None:
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,))
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    donating = jax.jit(lambda x: (x + 1, jnp.sum(x)), donate_argnums=0)
    calls = Calls(donating, (jax.device_put(jnp.zeros(4), sharding),))
    assert calls.found == []
    calls.block("throughput", 3)
    found, total = calls.call()
    assert (found.tolist(), float(total), found.sharding) == ([6.0] * 4, 20.0, sharding)
    assert [c.kind for c in calls.cost.collectives] == ["all-reduce"]


def test_what_is_compiled_while_it_is_timed_is_counted() -> None:
    function: Any = jax.jit(step)
    calls = Calls(function, arguments())
    function.clear_cache()
    calls.block("latency", 3)
    assert calls.recompiled == 1


def test_renewed_calls_go_on_from_the_arguments_without_being_compiled() -> None:
    calls = Calls(step, arguments())
    with compilations() as compiled:
        calls.renew()
        assert int(calls.call()[0]["n"]) == 1
    assert compiled == []


def test_the_first_results_are_kept_where_they_are_asked_for_and_outlive_donation() -> None:
    calls = Calls(jax.jit(step, donate_argnums=0), arguments(), keep=True)
    calls.call()
    assert int(calls.first[0]["n"]) == 1
    assert Calls(step, arguments()).first is None


def test_a_state_that_doesn_t_stay_finite_is_known() -> None:
    calls = Calls(lambda x: {"x": x["x"] * 1e30}, ({"x": jnp.ones(2)},))
    assert not calls.is_finite()
    assert Calls(step, arguments()).is_finite()
    assert Calls(lambda x: x["x"], ({"x": jnp.array(jnp.nan)},)).is_finite()


def test_functions_that_other_libraries_jitted_are_left_as_they_are() -> None:
    mlp = eqx.nn.MLP(2, 2, 4, 1, key=jax.random.key(0))
    calls = Calls(eqx.filter_jit(lambda mlp, x: (mlp, jax.vmap(mlp)(x))), (mlp, jnp.ones((3, 2))))
    assert calls.jaxpr is None
    assert calls.cost.flops > 0
    assert calls.carried
    calls.block("throughput", 3)
    layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    calls = Calls(nnx.jit(lambda layer, x: layer(x)), (layer, jnp.ones((4, 2))))
    assert calls.call().shape == (4, 3)
