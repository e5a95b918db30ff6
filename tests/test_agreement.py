"""Every mode computes what `single` computes, one member after another."""

import functools
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import after, deviation, first_batch, member, place, program, stack

from toynet.config import Config
from toynet.data import Batch
from toynet.modes import by_name
from toynet.paths import Path
from toynet.program import Program
from toynet.train import training_batches

pytestmark = pytest.mark.usefixtures("compiled_once")

# Sums over the batch in another order differ by a few roundings of 6e-8, and where the terms of a leaf
# cancel, by more of its largest entry: 3.2e-7 at worst here. A wrong mode is off by 1e-2 and more.
GRADIENTS = 2e-5
# Adam divides a gradient by the root of its mean square, and the step is a hundredth of that: roundings shrink.
STEP = 1e-5
# Roundings grow over an epoch's steps: 2.3e-7 was the most of any loss.
CURVE = 1e-5
# In float64 a rounding is 1e-16. After 300 steps 4e-14 was the most; an error of the algorithm doesn't shrink with it.
ORACLE = 1e-12

MEMBERS = 5
BROADCAST, LANES = Path(product="broadcast"), Path(block=2, chunk=5)
DATA_PARALLEL = [("data_parallel", 1, (1, n)) for n in (2, 4, 8)]
# Over 2 devices each leaf of the net divides; over 5 its output bias doesn't, and its first kernel along axis 1.
DIVIDED = [(mode, 1, (1, n)) for mode in ("fsdp", "zero1") for n in (2, 5)]
ENSEMBLES = [
    ("ensemble", 3, (1, 1)),
    ("ensemble_data", 3, (2, 1)),
    ("ensemble_data", 3, (2, 2)),
    ("ensemble_data", MEMBERS, (4, 2)),
    ("ensemble_data", 3, (1, 8)),
]
# 24 divides over 8 devices; 11 needs padding, and of 8 devices, or of 5, one at least gets nothing but padding.
CASES = [(*case, 11) for case in DATA_PARALLEL + DIVIDED + ENSEMBLES]
CASES += [(*case, 24) for case in DATA_PARALLEL[::2]]
# Of 3 or 5 members the second or third block of 2 is filled up, and so is the last chunk of 5 examples.
FAST = [("single", 1, (1, 1), BROADCAST, 11), ("data_parallel", 1, (1, 4), BROADCAST, 11)]
FAST += [(*ENSEMBLES[i], LANES, 24) for i in (0, 1, 3)] + [(*ENSEMBLES[0], Path(block=3, chunk=24), 24)]


@functools.cache
def lone(config: Config) -> Program:
    return program(config)


@functools.cache
def warm_states(config: Config) -> list[Any]:
    """Members after an epoch. At first some gradients are zero but for roundings, and adam steps by their sign."""
    states, _ = after(program(config, "ensemble", MEMBERS), config, 1)
    return [member(states, i) for i in range(MEMBERS)]


@functools.cache
def expected(config: Config) -> list[tuple[Any, Any]]:
    """Gradients, and next state with metrics, of each member in mode `single`."""
    return [results(lone(config), [state], first_batch(config)) for state in warm_states(config)]


@functools.cache
def lone_run(config: Config, seed: int, times: int) -> tuple[Any, Any]:
    single = lone(config)
    batches = single.place_stacked(training_batches(config))
    return single.members(single.epoch(single.init(jax.random.PRNGKey(seed)), batches, times))


def results(bound: Program, members: list[Any], batch: Batch) -> tuple[Any, Any]:
    """Raw gradients, and one step, from members' states and a batch on the host."""
    assert bound.gradients is not None
    placed = bound.place(batch)
    gradients = bound.members(bound.gradients(place(bound, members), placed))
    return gradients, bound.members(bound.step(place(bound, members), placed))


@pytest.mark.parametrize(("mode", "members", "mesh", "batch"), CASES)
def test_gradients_and_a_step_from_the_same_state_equal_those_of_single(
    mode: str, members: int, mesh: tuple[int, int], batch: int
) -> None:
    of_single(program(Config(batch_size=batch), mode, members, mesh), Config(batch_size=batch))


@pytest.mark.parametrize(("mode", "members", "mesh", "path", "batch"), FAST)
def test_every_path_gives_the_gradients_and_the_step_of_the_plain_single(
    mode: str, members: int, mesh: tuple[int, int], path: Path, batch: int
) -> None:
    of_single(program(Config(batch_size=batch), mode, members, mesh, path), Config(batch_size=batch))


def of_single(bound: Program, config: Config) -> None:
    """Asserts that a program's gradients, and its step from the same states, are those of single."""
    members = bound.layout.members
    gradients, step = results(bound, warm_states(config), first_batch(config))
    their_gradients, their_step = zip(*expected(config)[:members], strict=True)
    if bound.mode.ensemble:
        assert deviation(gradients, stack(list(their_gradients))) < GRADIENTS
        assert deviation(step, stack(list(their_step))) < STEP
    else:
        assert deviation(gradients, their_gradients[0]) < GRADIENTS
        assert deviation(step, their_step[0]) < STEP


@pytest.mark.parametrize(("mode", "members", "mesh"), [DATA_PARALLEL[2], DIVIDED[1], ENSEMBLES[0], ENSEMBLES[3]])
def test_losses_over_an_epoch_are_those_of_lone_runs(mode: str, members: int, mesh: tuple[int, int]) -> None:
    config = Config(batch_size=30)
    bound = program(config, mode, members, mesh)
    _, metrics = after(bound, config, 1)
    curves = stack([lone_run(config, config.seed + i, 1)[1] for i in range(members)])
    assert deviation(metrics, curves if bound.mode.ensemble else member(curves, 0)) < CURVE


@pytest.mark.parametrize(("mode", "members", "mesh"), DATA_PARALLEL + DIVIDED[1::2] + ENSEMBLES[:1] + ENSEMBLES[2:4])
def test_in_float64_states_equal_those_of_lone_runs_after_300_steps(
    mode: str, members: int, mesh: tuple[int, int]
) -> None:
    config = Config(batch_size=30, size=750, dtype="float64")  # 20 batches of an epoch
    with jax.enable_x64(True):
        bound = program(config, mode, members, mesh)
        reached = after(bound, config, 15)
        theirs = stack([lone_run(config, config.seed + i, 15) for i in range(members)])
    state = reached[0]
    assert (state.step == 300).all()
    assert deviation(reached, theirs if bound.mode.ensemble else member(theirs, 0)) < ORACLE


@pytest.mark.parametrize(("mode", "members", "mesh"), [ENSEMBLES[0], ENSEMBLES[3]])
def test_every_member_begins_where_a_lone_run_of_its_seed_begins(
    mode: str, members: int, mesh: tuple[int, int]
) -> None:
    config = Config()
    bound = program(config, mode, members, mesh)
    states = bound.members(bound.init(bound.keys(7)))
    for i in range(members):
        begun = lone(config).members(lone(config).init(jax.random.PRNGKey(7 + i)))
        # The same random bits, scaled by a square root that vmap may compute with one rounding more or less.
        assert deviation(member(states, i), begun) < 1e-6


@st.composite
def sizes(draw: st.DrawFn) -> tuple[str, int, tuple[int, int], np.ndarray, int]:
    """Mode, members, mesh, mask (one entry an example of the batch) and a seed of examples."""
    mode = draw(st.sampled_from(["data_parallel", "ensemble", "ensemble_data", "fsdp", "zero1"]))
    members = draw(st.integers(1, 8)) if by_name(mode).ensemble else 1
    member_shards = draw(st.integers(1, 8)) if mode == "ensemble_data" else 1
    data_shards = 1 if mode == "ensemble" else draw(st.integers(1, 8 // member_shards))
    n = draw(st.sampled_from([1, 2, 7, 24, 39]))  # few sizes, for each is a program of its own
    mask = draw(st.one_of(st.lists(st.sampled_from([0.0, 1.0]), min_size=n, max_size=n), st.just([0.0] * n)))
    return mode, members, (member_shards, data_shards), np.array(mask), draw(st.integers(0, 2**32 - 1))


@functools.cache
def small_states() -> list[Any]:
    """Eight members of a net of 4 hidden units, which every batch size shares: only gradients are compiled anew."""
    config = Config(hidden_dim=4, dtype="float64")
    ensemble = program(config, "ensemble", 8)
    states = ensemble.members(ensemble.init(ensemble.keys(0)))
    return [member(states, i) for i in range(8)]


@pytest.mark.parametrize(("mode", "members", "mesh", "path", "_"), [FAST[0], FAST[2], FAST[4]])
def test_in_float64_every_path_reaches_the_states_of_lone_runs_after_300_steps(
    mode: str, members: int, mesh: tuple[int, int], path: Path, _: int
) -> None:
    config = Config(batch_size=24, size=600, dtype="float64")  # 20 batches of an epoch
    with jax.enable_x64(True):
        bound = program(config, mode, members, mesh, path)
        reached = after(bound, config, 15)
        theirs = stack([lone_run(config, config.seed + i, 15) for i in range(members)])
    assert deviation(reached, theirs if bound.mode.ensemble else member(theirs, 0)) < ORACLE


@settings(max_examples=10)
@given(sizes())
def test_any_batch_mask_devices_and_members_give_the_gradients_of_single(
    drawn: tuple[str, int, tuple[int, int], np.ndarray, int],
) -> None:
    mode, members, mesh, mask, seed = drawn
    numbers = np.random.default_rng(seed)
    batch = Batch(numbers.normal(size=(len(mask), 2)), numbers.integers(0, 2, len(mask), np.int32), mask)
    config = Config(batch_size=len(mask), hidden_dim=4, dtype="float64")
    with jax.enable_x64(True):
        single, bound = lone(config), program(config, mode, members, mesh)
        assert single.gradients is not None
        assert bound.gradients is not None
        gradients = bound.members(bound.gradients(place(bound, small_states()), bound.place(batch)))
        for i, state in enumerate(small_states()[:members]):
            theirs = single.members(single.gradients(state, single.place(batch)))
            mine = member(gradients, i) if bound.mode.ensemble else gradients
            # float64 roundings, even where a leaf's terms cancel to a thousandth of themselves.
            assert deviation(mine, theirs) < 1e-10
            assert mask.any() or not any(np.any(leaf) for leaf in jax.tree.leaves(mine))
