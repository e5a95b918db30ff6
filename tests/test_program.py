"""What the compiled programs contain, where their outputs lie, and that wrong ones don't go unnoticed."""

import dataclasses
import functools
import re
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from programs import after, described, deviation, first_batch, member, place, program

from toynet.config import VIRTUAL_SHARDS, Config
from toynet.data import Batch
from toynet.errors import UsageError
from toynet.modes import MODES, Layout, by_name
from toynet.program import Program, bind
from toynet.train import TrainState, loss_sum, mean_gradients, workload

pytestmark = pytest.mark.usefixtures("compiled_once")

CONFIG = Config()
CASES = [
    ("single", 1, (1, 1)),
    ("ensemble", 3, (1, 1)),
    ("data_parallel", 1, (1, 1)),
    ("data_parallel", 1, (1, 8)),
    ("ensemble_data", 3, (4, 1)),
    ("ensemble_data", 3, (2, 4)),
    ("fsdp", 1, (1, 5)),
    ("zero1", 1, (1, 5)),
]
COLLECTIVE = re.compile(r" (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\(")
# A wrong mode is off by more than this share of a leaf's largest entry, a right one by less than 2e-5 (test_agreement).
WRONG = 1e-2


@functools.cache
def stepped(mode: str, members: int, mesh: tuple[int, int]) -> tuple[Program, list[Any]]:
    """A program whose step may be traced once, and its states and metrics over three steps, each waited for."""
    plain = workload("tutorial", CONFIG)
    assert plain.parts is not None
    chex.clear_trace_counter()

    @chex.assert_max_traces(n=1)
    def step_once(state: Any, batch: Any, axis_name: str | None = None) -> tuple[Any, Any]:
        return plain.step(state, batch, axis_name)

    @chex.assert_max_traces(n=1)
    def update_once(state: Any, grads: Any) -> Any:
        assert plain.parts is not None
        return plain.parts.update(state, grads)

    once = dataclasses.replace(plain.parts, update=update_once)
    layout = Layout(members=members, batch=CONFIG.batch_size, member_shards=mesh[0], data_shards=mesh[1])
    bound = bind(dataclasses.replace(plain, step=step_once, parts=once), by_name(mode), layout)
    batch = bound.place(first_batch(CONFIG))
    outputs: list[Any] = [(bound.init(bound.keys(CONFIG.seed)), None)]
    for _ in range(3):
        outputs.append(jax.block_until_ready(bound.step(outputs[-1][0], batch)))
    return bound, outputs


def collectives(bound: Program, config: Config) -> list[str]:
    step: Any = bound.step
    return COLLECTIVE.findall(step.lower(described(bound), bound.place(first_batch(config))).compile().as_text())


@pytest.mark.parametrize(("mode", "members", "mesh"), CASES)
def test_a_step_keeps_structure_shapes_dtypes_and_shardings_and_deletes_its_state(
    mode: str, members: int, mesh: tuple[int, int]
) -> None:
    bound, outputs = stepped(mode, members, mesh)
    before, (state, metrics) = outputs[0][0], outputs[-1]
    chex.assert_trees_all_equal_structs(before, state)
    chex.assert_trees_all_equal_shapes_and_dtypes(before, state)
    chex.assert_tree_all_finite((state, metrics))
    chex.assert_shape(metrics, (bound.layout.padded_members,) if bound.mode.ensemble else ())
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before))
    shardings = jax.tree.leaves(jax.tree.broadcast(bound.state_sharding, state))
    for leaf, sharding in zip(jax.tree.leaves(state), shardings, strict=True):
        assert leaf.sharding.is_equivalent_to(sharding, leaf.ndim)
        assert len(leaf.sharding.device_set) == mesh[0] * mesh[1]
        if bound.mode.ensemble:  # each shard holds its members and no more
            assert len(leaf.addressable_shards[0].data) == bound.layout.padded_members // mesh[0]


@pytest.mark.parametrize(("mode", "members", "mesh"), CASES)
def test_a_step_is_traced_and_compiled_once(mode: str, members: int, mesh: tuple[int, int]) -> None:
    step: Any = stepped(mode, members, mesh)[0].step
    assert step._cache_size() == 1


@pytest.mark.parametrize(
    ("mode", "members", "mesh", "virtual_shards", "expected"),
    [
        ("single", 1, (1, 1), 0, []),
        ("single", 1, (1, 1), VIRTUAL_SHARDS, []),
        ("ensemble", 3, (1, 1), 0, []),
        ("data_parallel", 1, (1, 1), 0, []),
        ("data_parallel", 1, (1, 2), 0, ["all-reduce"]),
        ("data_parallel", 1, (1, 8), 0, ["all-reduce"]),
        ("data_parallel", 1, (1, 8), VIRTUAL_SHARDS, ["all-gather"]),
        ("ensemble_data", 3, (4, 1), 0, []),
        ("ensemble_data", 3, (2, 4), 0, ["all-reduce"]),
        ("ensemble_data", 3, (2, 4), VIRTUAL_SHARDS, ["all-gather"]),
    ],
)
def test_a_step_has_exactly_the_collectives_of_its_mode(
    mode: str, members: int, mesh: tuple[int, int], virtual_shards: int, expected: list[str]
) -> None:
    config = Config(virtual_shards=virtual_shards)
    assert collectives(program(config, mode, members, mesh), config) == expected


def test_deterministic_sums_are_bit_equal_on_1_2_4_and_8_devices_after_an_epoch() -> None:
    config = Config(batch_size=30, virtual_shards=VIRTUAL_SHARDS)
    single = after(program(config), config, 1)
    for devices in (1, 2, 4, 8):
        chex.assert_trees_all_equal(after(program(config, "data_parallel", 1, (1, devices)), config, 1), single)
    plain = Config(batch_size=30)
    # The same sums in another order: a few roundings, grown over 27 steps.
    assert deviation(single, after(program(plain), plain, 1)) < 1e-4


def test_deterministic_ensembles_have_bit_equal_gradients_and_on_several_devices_states() -> None:
    """One device is left out of the latter: there XLA multiplies by a reciprocal where adam divides."""
    config = Config(virtual_shards=VIRTUAL_SHARDS)
    batch = first_batch(config)

    def gradients(bound: Program) -> Any:
        assert bound.gradients is not None
        return bound.members(bound.gradients(bound.init(bound.keys(config.seed)), bound.place(batch)))

    whole = gradients(program(config, "ensemble", 3))
    states = []
    for mesh in ((1, 8), (2, 4)):
        bound = program(config, "ensemble_data", 3, mesh)
        chex.assert_trees_all_equal(gradients(bound), whole)
        states.append(after(bound, config, 1))
        chex.assert_trees_all_equal(states[-1], states[0])


def test_devices_that_do_not_divide_the_virtual_shards_are_refused() -> None:
    with pytest.raises(UsageError, match=r"8 parts, which 3 devices can't share equally"):
        program(Config(virtual_shards=VIRTUAL_SHARDS), "data_parallel", 1, (1, 3))


def test_a_workload_without_a_mask_is_refused_a_batch_that_would_need_padding() -> None:
    unmasked = dataclasses.replace(workload("mine", Config()), masked=False)
    with pytest.raises(UsageError, match="a batch of 30 doesn't divide over 4 devices, and 'mine' has no mask"):
        bind(unmasked, MODES["data_parallel"], Layout(batch=30, data_shards=4))


def test_padding_members_are_not_handed_out_and_padding_examples_do_not_count() -> None:
    config = Config(batch_size=30)
    bound = program(config, "ensemble_data", 3, (2, 4))
    placed = bound.place(first_batch(config))
    state = bound.init(bound.keys(0))
    chex.assert_tree_shape_prefix(state, (4,))
    chex.assert_tree_shape_prefix(bound.members(state), (3,))
    chex.assert_tree_shape_prefix(placed, (32,))
    assert placed.mask.sum() == 30


def _gradients_summed_unasked(config: Config, state: TrainState, batch: Batch, axis_name: str | None = None) -> Any:
    """The trap: parameters equal on all devices, whose gradients shard_map sums, averaged as if it didn't."""

    def mean_loss(params: Any) -> jax.Array:
        return loss_sum(config, params, batch)[0] / jnp.sum(batch.mask)

    gradients = jax.grad(mean_loss)(state.params)
    return lax.pmean(gradients, axis_name) if axis_name else gradients


def _gradients_without_mask(config: Config, state: TrainState, batch: Batch, axis_name: str | None = None) -> Any:
    unmasked = batch._replace(mask=jnp.ones_like(batch.mask))
    return mean_gradients(config, state, unmasked, axis_name)[0]


# A batch of 30 is padded to 32 on 8 devices; 32 isn't.
@pytest.mark.parametrize(("wrong", "batch"), [(_gradients_summed_unasked, 32), (_gradients_without_mask, 30)])
def test_a_planted_factor_and_a_forgotten_mask_show_in_the_raw_gradients(wrong: Any, batch: int) -> None:
    config = Config(batch_size=batch)
    planted = dataclasses.replace(workload("planted", config), gradients=functools.partial(wrong, config))
    bound = bind(planted, MODES["data_parallel"], Layout(batch=batch, data_shards=8))
    single = program(config)
    assert single.gradients is not None
    assert bound.gradients is not None
    state, _ = after(single, config, 1)
    examples = first_batch(config)
    right = single.members(single.gradients(state, single.place(examples)))
    found = bound.members(bound.gradients(place(bound, [state]), bound.place(examples)))
    assert deviation(found, right) > WRONG
    if wrong is _gradients_summed_unasked:
        # Exactly n times too long, which is why adam, dividing by it, would hide it.
        assert deviation(found, jax.tree.map(lambda g: 8 * g, right)) < 1e-4


def test_adam_hides_a_planted_factor_from_the_losses() -> None:
    """Why gradients are compared: the loss curve of gradients eight times too long passes for the right one."""
    config = Config()

    def step(state: TrainState, batch: Batch, axis_name: str | None = None) -> tuple[TrainState, Any]:
        from toynet.train import optimizer

        gradients, metrics = mean_gradients(config, state, batch, axis_name)
        longer = jax.tree.map(lambda g: 8 * g, gradients)
        updates, opt_state = optimizer(config).update(longer, state.opt_state, state.params)
        return TrainState(jax.tree.map(jnp.add, state.params, updates), opt_state, state.step + 1), metrics

    planted = bind(dataclasses.replace(workload("planted", config), step=step), MODES["single"], Layout())
    right, wrong = (after(bound, config, 1)[1] for bound in (program(config), planted))
    assert deviation(wrong.loss, right.loss) < 1e-3


def test_replicated_members_show_against_lone_runs_of_their_seeds() -> None:
    config = Config()
    bound = program(config, "ensemble_data", 4, (4, 1))
    single = program(config)
    assert single.gradients is not None
    assert bound.gradients is not None
    same_keys = jnp.stack([jax.random.PRNGKey(config.seed)] * 4)
    batch = first_batch(config)
    found = bound.members(bound.gradients(bound.init(same_keys), bound.place(batch)))
    off = []
    for i in range(4):
        state = single.init(jax.random.PRNGKey(config.seed + i))
        off.append(deviation(member(found, i), single.members(single.gradients(state, single.place(batch)))))
    assert off[0] < 2e-5
    assert min(off[1:]) > WRONG


def test_members_in_one_program_differ_from_each_other() -> None:
    bound = program(Config(), "ensemble_data", 8, (8, 1))
    kernels = bound.members(bound.init(bound.keys(0))).params["params"]["Dense_0"]["kernel"]
    assert len({kernel.tobytes() for kernel in np.asarray(kernels)}) == 8


def test_each_member_has_the_key_of_its_seed_however_many_there_are() -> None:
    # A key takes the lower half of a seed; the last member is repeated where members don't divide.
    for seed in (42, 2**31 - 2, 2**32 - 2):
        keys = program(Config(), "ensemble_data", 3, (4, 1)).keys(seed)
        assert np.array_equal(keys, [jax.random.PRNGKey(seed + i) for i in (0, 1, 2, 2)])
    assert program(Config(), "ensemble", 16_384, (1, 1)).keys(0).shape == (16_384, 2)


def test_the_losses_of_a_large_ensemble_are_those_of_its_members() -> None:
    members, some = 2048, 8
    whole, part = program(CONFIG, "ensemble", members, (1, 1)), program(CONFIG, "ensemble", some, (1, 1))
    state = whole.init(whole.keys(CONFIG.seed))
    last = jax.tree.map(lambda leaf: leaf[-some:].copy(), state)
    batch = first_batch(CONFIG)
    losses = whole.step(state, whole.place(batch))[1].loss[-some:]
    np.testing.assert_allclose(losses, part.step(last, part.place(batch))[1].loss, rtol=1e-5)
