import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from programs import deviation, first_batch

from toynet import train
from toynet.config import VIRTUAL_SHARDS, Config
from toynet.data import Batch
from toynet.errors import UsageError
from toynet.workload import loss

CONFIG = Config()
STATE = train.init(CONFIG, jax.random.PRNGKey(0))


def mean_loss(params: optax.Params, batch: Batch) -> jax.Array:
    """The tutorial's own loss: the mean over a batch that has no padding."""
    logits = train.log_probabilities(CONFIG, params, batch.inputs)
    return optax.softmax_cross_entropy(logits, jax.nn.one_hot(batch.labels, 2)).mean()


def test_the_state_begins_at_step_0_and_holds_arrays_only() -> None:
    assert STATE.step == 0
    chex.assert_tree_all_finite(STATE)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(STATE))


def test_gradients_and_loss_are_those_of_the_tutorials_mean_loss() -> None:
    batch = first_batch(CONFIG)
    gradients, metrics = train.mean_gradients(CONFIG, STATE, batch)
    expected, theirs = jax.value_and_grad(mean_loss)(STATE.params, batch)
    # Divided after the sum rather than before: a rounding or two.
    assert deviation(gradients, theirs) < 1e-5
    np.testing.assert_allclose(metrics.loss, expected, rtol=1e-6)


def test_masked_examples_count_nothing_whatever_they_hold() -> None:
    batch = first_batch(CONFIG)
    mask = np.r_[np.ones(20, np.float32), np.zeros(12, np.float32)]
    kept = Batch(*(leaf[:20] for leaf in batch))
    masked = Batch(np.where(mask[:, None], batch.inputs, 1e6), batch.labels, mask)
    # A sum over 32 and one over 20 round otherwise.
    assert deviation(train.mean_gradients(CONFIG, STATE, masked), train.mean_gradients(CONFIG, STATE, kept)) < 1e-5
    np.testing.assert_allclose(train.evaluate(CONFIG, STATE, masked), train.evaluate(CONFIG, STATE, kept), rtol=1e-6)


def test_a_batch_of_nothing_but_padding_has_gradients_of_zero_and_no_nan() -> None:
    batch = first_batch(CONFIG)._replace(mask=np.zeros(32, np.float32))
    gradients, metrics = train.mean_gradients(CONFIG, STATE, batch)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves((gradients, metrics)))


def test_ordered_sums_are_the_plain_ones_up_to_rounding() -> None:
    ordered = dataclasses.replace(CONFIG, virtual_shards=VIRTUAL_SHARDS)
    batch = first_batch(CONFIG)
    assert deviation(train.mean_gradients(ordered, STATE, batch), train.mean_gradients(CONFIG, STATE, batch)) < 1e-5


def test_gradients_need_no_implicit_promotion_of_dtypes() -> None:
    batch = jax.tree.map(jnp.asarray, first_batch(CONFIG))
    with jax.numpy_dtype_promotion("strict"):
        gradients, _ = train.mean_gradients(CONFIG, STATE, batch)
    chex.assert_trees_all_equal_shapes_and_dtypes(gradients, STATE.params)


def test_a_step_moves_the_parameters_and_counts_itself() -> None:
    state, metrics = train.step(CONFIG, STATE, first_batch(CONFIG))
    chex.assert_trees_all_equal_shapes_and_dtypes(state, STATE)
    chex.assert_tree_all_finite((state, metrics))
    assert state.step == 1
    # Adam's first step is the learning rate, in the direction of the gradient's sign.
    kernel = state.params["params"]["Dense_1"]["bias"] - STATE.params["params"]["Dense_1"]["bias"]
    np.testing.assert_allclose(np.abs(kernel), CONFIG.learning_rate, rtol=1e-3)


def test_a_drawn_batch_holds_training_examples_only() -> None:
    batch = train.draw(CONFIG, jax.random.PRNGKey(3), 50)
    known = {tuple(point) for point in train.training_batches(CONFIG).inputs.reshape(-1, 2).tolist()}
    assert batch.inputs.shape == (50, 2)
    assert {tuple(point) for point in batch.inputs.tolist()} <= known
    assert batch.mask.all()


def test_float64_is_refused_where_jax_would_compute_in_float32() -> None:
    with pytest.raises(UsageError, match="JAX_ENABLE_X64"):
        train.workload("tutorial", Config(dtype="float64"))
    with jax.enable_x64(True):
        assert train.workload("tutorial", Config(dtype="float64")).name == "tutorial"


def test_the_loss_is_found_among_metrics_or_asked_for() -> None:
    assert loss(train.Metrics(jnp.array(1.0), jnp.array(0.5))) == 1
    assert loss({"loss": 2.0}) == 2
    with pytest.raises(UsageError, match="got a tuple without one"):
        loss((1.0,))
