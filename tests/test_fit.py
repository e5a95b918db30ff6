import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from programs import after, deviation, member, program

from toynet import fit
from toynet.config import PRESETS, Config, preset
from toynet.data import train_and_test
from toynet.fit import Decision
from toynet.modes import Layout
from toynet.train import log_probabilities, threefry, training_batches

CONFIG = Config(size=200)
INPUTS = train_and_test(CONFIG)[1].inputs


@functools.cache
def trained(mode: str, members: int, mesh: tuple[int, int]) -> tuple[Any, list[Any], Any]:
    """A program, each epoch's metrics and the state after three of them."""
    bound = program(CONFIG, mode, members, mesh)
    reached = list(fit.epochs(bound, CONFIG.seed, training_batches(CONFIG), 3))
    return bound, [metrics for _, metrics in reached], reached[-1][0]


@pytest.mark.parametrize(
    ("mode", "members", "mesh"),
    [("single", 1, (1, 1)), ("data_parallel", 1, (1, 4)), ("fsdp", 1, (1, 2)), ("ensemble_data", 3, (2, 2))],
)
def test_epochs_give_the_last_batchs_metrics_and_the_state_reached(
    mode: str, members: int, mesh: tuple[int, int]
) -> None:
    bound, metrics, state = trained(mode, members, mesh)
    expected, losses = after(bound, CONFIG, 3)
    assert len(metrics) == 3
    assert metrics[-1].loss.shape == ((members, 1) if bound.mode.ensemble else (1,))
    # Three epochs in one program or in three: the same steps, perhaps fused otherwise.
    assert deviation(bound.members(state), expected) < 1e-5
    np.testing.assert_allclose(metrics[-1].loss, losses.loss[..., -1:], rtol=1e-5)


@pytest.mark.parametrize(("mode", "members", "mesh"), [("single", 1, (1, 1)), ("ensemble_data", 3, (2, 2))])
def test_epochs_in_one_program_give_what_they_give_one_by_one(mode: str, members: int, mesh: tuple[int, int]) -> None:
    bound, one_by_one, state = trained(mode, members, mesh)
    expected = bound.members(state)
    reached = list(fit.epochs(bound, CONFIG.seed, training_batches(CONFIG), 3, at_once=2))
    assert [metrics.loss.shape[-1] for _, metrics in reached] == [2, 1]
    losses = np.concatenate([metrics.loss for _, metrics in reached], axis=-1)
    np.testing.assert_allclose(losses, np.concatenate([m.loss for m in one_by_one], axis=-1), rtol=1e-5)
    assert deviation(bound.members(reached[-1][0]), expected) < 1e-5


def test_as_many_epochs_are_one_program_as_take_a_second_or_so() -> None:
    # 6 operations x 52 parameters x 800 examples are 249,600, and 25 steps count 250,000; wide's epoch alone is 9.7e9.
    assert fit.at_once(Config(), Layout()) == 100
    assert fit.at_once(Config(epochs=10**6), Layout()) == 2001
    assert fit.at_once(Config(epochs=10**6), Layout(data_shards=2)) == 39
    assert fit.at_once(Config(), Layout(members=512)) == 7
    assert fit.at_once(PRESETS["wide"], Layout()) == 1


def test_a_lone_member_decides_alone() -> None:
    bound, _, state = trained("single", 1, (1, 1))
    decision = fit.decide(CONFIG, fit.trained(bound, state), INPUTS)
    assert decision.members.shape == (1, len(INPUTS))
    np.testing.assert_array_equal(decision.mean, decision.members[0])
    assert not decision.disputed.any()


def test_the_mean_decision_is_the_class_of_the_highest_mean_probability() -> None:
    bound, _, state = trained("ensemble_data", 3, (2, 2))
    decision = fit.decide(CONFIG, fit.trained(bound, state), INPUTS)
    params = bound.members(state).params
    inputs = jnp.asarray(INPUTS, CONFIG.dtype)
    each = [np.array(log_probabilities(CONFIG, member(params, i), inputs)) for i in range(3)]
    np.testing.assert_array_equal(decision.members, np.argmax(each, axis=-1))
    np.testing.assert_array_equal(decision.mean, np.exp(each).mean(axis=0).argmax(axis=-1))


def test_dissent_is_the_share_of_members_against_the_majority() -> None:
    decision = Decision(mean=np.array([0, 1, 1]), members=np.array([[0, 1, 0], [0, 1, 1], [0, 0, 1], [0, 1, 0]]))
    assert decision.dissent(2).tolist() == [0, 0.25, 0.5]
    assert decision.disputed.tolist() == [False, True, True]


def accuracy(config: Config) -> float:
    """On the test set, after training in mode `single`."""
    bound, state = program(config), None
    with threefry(config):
        for latest, _ in fit.epochs(bound, config.seed, training_batches(config), config.epochs):
            state = latest
    assert state is not None
    test = train_and_test(config)[1]
    return float((fit.decide(config, fit.trained(bound, state), test.inputs).mean == test.labels).mean())


# What came out on one CPU (jax 0.10.2). Roundings elsewhere may tip a few of the 360 images: 4 at most.
@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (PRESETS["small"], 0.9611),
        (preset("small", compute_dtype="bfloat16"), 0.9611),
        (PRESETS["wide"], 0.9528),
    ],
    ids=["small", "small in bfloat16", "wide"],
)
def test_digits_are_told_apart_after_a_presets_epochs(config: Config, expected: float) -> None:
    assert accuracy(config) == pytest.approx(expected, abs=4.5 / 360)
