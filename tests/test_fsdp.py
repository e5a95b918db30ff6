"""Divided states: who holds what, what is exchanged for it, and a step without its collectives."""

import dataclasses
import math
from typing import Any

import chex
import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec as P
from programs import described, first_batch, place, program

from bench import cost
from toynet import fsdp
from toynet.config import VIRTUAL_SHARDS, Config
from toynet.errors import UsageError
from toynet.modes import Layout, by_name
from toynet.program import Program, bind
from toynet.train import training_batches, workload
from toynet.workload import Parts, Workload

DIVIDED = ("fsdp", "zero1")
# A step that is nearly all products: of each weight they take 6 operations an example, its sum over devices 1.
LARGE = Config(hidden_dim=12, batch_size=800)


def bound(config: Config, mode: str, devices: int, *, communicates: bool = True) -> Program:
    members, mesh = (2, (2, devices // 2)) if mode == "ensemble_data" else (1, (1, devices))
    layout = Layout(members=members, batch=config.batch_size, member_shards=mesh[0], data_shards=mesh[1])
    return bind(workload("tutorial", config), by_name(mode), layout, communicates=communicates)


def step_cost(bound: Program, config: Config) -> cost.Cost:
    step: Any = bound.step
    return cost.of(step.lower(described(bound), bound.place(first_batch(config))).compile())


@pytest.mark.parametrize("devices", [2, 8])
@pytest.mark.parametrize("mode", DIVIDED)
def test_a_step_needs_of_each_device_its_share_of_state_and_batch(mode: str, devices: int) -> None:
    config = Config(hidden_dim=64)
    # 4 bytes each: weights and adam's two moments, divided, but for the 2 output biases on 8 devices; two counters;
    # of each of 32 / n examples 2 coordinates, a label and a mask.
    share = (2 * 64 + 64 + 64 * 2) // devices + (1 if devices == 2 else 2)
    params = share if mode == "fsdp" else 2 * 64 + 64 + 64 * 2 + 2
    expected = 4 * (params + 2 * share + 2 + 32 // devices * 4)
    assert step_cost(bound(config, mode, devices), config).argument_bytes == expected


@pytest.mark.parametrize("mode", DIVIDED)
def test_the_collectives_are_those_that_the_leaves_ask_for(mode: str) -> None:
    # The tutorial's 2-10-2: over 2 devices all four leaves divide, over 5 three of them, over 3 none.
    config = Config()
    for devices, leaves in ((1, 0), (2, 4), (3, 0), (5, 3)) if mode == "fsdp" else ((5, 3),):
        made = bound(config, mode, devices)
        found = step_cost(made, config).collectives
        counts = {collective.kind: collective.count for collective in found}
        assert set(counts) == made.collectives
        assert counts.get("all-gather", 0) == counts.get("reduce-scatter", 0) == leaves
        assert counts.get("all-reduce", 0) == (devices > 1)
        assert {collective.group_size for collective in found} <= {devices}


@pytest.mark.parametrize("mode", DIVIDED)
def test_each_device_holds_its_part_and_the_whole_has_the_shapes_of_single(mode: str) -> None:
    config = Config()
    made = bound(config, mode, 5)
    state = made.init(made.keys(config.seed))
    single = program(config)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, single.init(single.keys(config.seed)))
    chex.assert_trees_all_equal(made.members(state), single.members(single.init(single.keys(config.seed))))
    kernel = state.opt_state[0].mu["params"]["Dense_0"]["kernel"]
    assert (kernel.shape, kernel.addressable_shards[0].data.shape) == ((2, 10), (2, 2))
    params = jax.tree.leaves(state.params)
    parts = sum(math.prod(leaf.addressable_shards[4].data.shape) for leaf in params)
    assert parts == ((20 + 10 + 20) / 5 + 2 if mode == "fsdp" else 52)


def test_counters_and_random_keys_are_not_divided() -> None:
    parts = Parts(params=lambda s: s["w"], sums=lambda p, b: (p, b), means=lambda g, r: (g, r), update=lambda s, g: s)
    mine = Workload(
        name="mine",
        init=lambda key: {"w": jnp.zeros((3, 4)), "moment": jnp.zeros((4, 3)), "key": key, "seen": jnp.zeros(4, int)},
        batch=lambda key, n: None,
        step=lambda state, batch, axis_name=None: (state, None),
        parts=parts,
    )
    assert fsdp.divided(mine, by_name("fsdp"), 2).state == {
        "w": P(None, "data"),
        "moment": P("data"),
        "key": P(),
        "seen": P(),
    }
    assert fsdp.divided(mine, by_name("zero1"), 2).state["w"] == P()
    computed = dataclasses.replace(mine, parts=dataclasses.replace(parts, params=lambda s: 1.0))
    with pytest.raises(UsageError, match="must select leaves of its state"):
        fsdp.divided(computed, by_name("zero1"), 2)


@pytest.mark.parametrize("mode", ["data_parallel", "ensemble_data", *DIVIDED])
def test_without_its_collectives_a_program_has_none_and_costs_what_it_costs_with_them(mode: str) -> None:
    alone = bound(LARGE, mode, 4, communicates=False)
    with_them, without = (step_cost(b, LARGE) for b in (bound(LARGE, mode, 4), alone))
    assert with_them.collectives
    assert not without.collectives
    assert without.flops == pytest.approx(with_them.flops, rel=0.01)
    assert without.argument_bytes == with_them.argument_bytes
    epoch: Any = alone.epoch
    batches = alone.place_stacked(training_batches(LARGE))
    compiled = epoch.lower(described(alone), batches, 1).compile()
    assert cost.of(compiled).collectives == ()
    assert alone.collectives == set()
    chex.assert_tree_all_finite(compiled(alone.init(alone.keys(0)), batches, 3))


def test_without_collectives_each_device_steps_on_its_own_part_of_the_batch() -> None:
    config = Config()
    alone, single = bound(config, "data_parallel", 2, communicates=False), program(config)
    batch = first_batch(config)
    state, _ = alone.step(alone.init(alone.keys(config.seed)), alone.place(batch))
    for half, part in enumerate((slice(16), slice(16, 32))):
        begun = place(single, [single.members(single.init(single.keys(config.seed)))])
        expected, _ = single.step(begun, single.place(jax.tree.map(lambda leaf, p=part: leaf[p], batch)))
        mine = jax.tree.map(lambda leaf, k=half: leaf.addressable_shards[k].data, state)
        chex.assert_trees_all_close(mine, expected, rtol=1e-5, atol=1e-6)


def test_deterministic_sums_cannot_do_without_their_collectives() -> None:
    with pytest.raises(UsageError, match="deterministic sums are made in 8 parts of the whole batch"):
        bound(Config(virtual_shards=VIRTUAL_SHARDS), "data_parallel", 2, communicates=False)
