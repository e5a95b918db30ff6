"""Models with keys and auxiliary state of their own: right in every mode that they aren't refused in."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from bench.adapters import linen, supervised
from bench.adapters import losses as losses_of
from bench.adapters.elementwise import mixing
from bench.adapters.supervised import Model
from bench.cases import Case
from bench.holder import Holder
from bench.measured import Certificate
from bench.memo import Memo
from toynet.errors import UsageError
from toynet.modes import MODES, Layout, by_name
from toynet.program import bind
from toynet.workload import Workload

pytestmark = pytest.mark.usefixtures("compiled_once", "unoptimised")

RANDOM = np.random.default_rng(0)
EXAMPLES = {"inputs": RANDOM.normal(size=(64, 4)).astype(np.float32), "labels": RANDOM.integers(2, size=64)}
DIVIDE_BATCH = {mode.name for mode in MODES.values() if mode.shards_batch}
DIVIDE_STATE = {mode.name for mode in MODES.values() if mode.shards_state}


class Net(nn.Module):
    """A layer, with BatchNorm or dropout behind it, and another: (n, 4) to (n, 2)."""

    norm: bool = False
    dropout: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = True) -> jax.Array:
        x = nn.Dense(8, use_bias=not self.norm)(x)
        if self.norm:
            x = nn.BatchNorm(use_running_average=not train, axis_name=self.axis_name)(x)
        if self.dropout:
            x = nn.Dropout(0.5, deterministic=not train)(x)
        return nn.Dense(2)(jnp.tanh(x))


def losses(logits: jax.Array, batch: Any) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"])


def making_nothing(axis_name: str | None) -> None:
    return None


def made(module: Any, name: str, loss: Any = losses, optimizer: Any = None, **options: Any) -> Workload:
    optimizer = optimizer or optax.sgd(0.1, momentum=0.9)
    return linen.workload(module, loss, optimizer, EXAMPLES, name=name, batch_size=16, epoch_steps=3, **options)


plain = made(Net(), "plain")
dropping = made(Net(dropout=True), "dropping", rngs=("dropout",))
normed = made(lambda axis_name: Net(norm=True, axis_name=axis_name), "normed")
untold = made(Net(norm=True), "untold")
both = made(lambda axis_name: Net(norm=True, dropout=True, axis_name=axis_name), "both", rngs=("dropout",))


def linear(aux: Any, loss: Any = lambda outputs, batch: (outputs - batch["labels"]) ** 2) -> Workload:
    """A linear model whose auxiliary state is made of each device's own part of a batch."""

    def init(key: jax.Array) -> tuple[Any, Any]:
        return jax.random.normal(key, (4,)), jax.tree.map(jnp.zeros_like, jax.eval_shape(aux, EXAMPLES))

    def apply(params: Any, _: Any, batch: Any, keys: Any, axis_name: Any) -> tuple[Any, Any]:
        return batch["inputs"] @ params, aux(batch)

    return supervised.workload(
        Model(init=init, apply=apply), loss, optax.sgd(0.1), EXAMPLES, name="linear", batch_size=16, epoch_steps=3
    )


@pytest.fixture(scope="module")
def memo(tmp_path_factory: pytest.TempPathFactory) -> Memo:
    return Memo(tmp_path_factory.mktemp("memo"))


def certified(workload: Workload, mode: str, layout: Layout, memo: Memo) -> Certificate:
    holder = Holder(Case(workload=workload.name, mode=mode, **dataclasses.asdict(layout)), workload, memo=memo)
    holder.compile()
    return holder.check(fused=False)


# In ensemble and fsdp the tests of the other adapters train.
RIGHT = [
    (plain, "single", Layout(batch=16)),
    (dropping, "data_parallel", Layout(batch=15, data_shards=8)),
    (dropping, "ensemble_data", Layout(batch=16, members=2, member_shards=2, data_shards=2)),
    (dropping, "zero1", Layout(batch=15, data_shards=2)),
    (normed, "ensemble_data", Layout(batch=16, members=2, member_shards=2, data_shards=2)),
    (linear(lambda batch: batch["inputs"].mean(axis=0)), "data_parallel", Layout(batch=16, data_shards=4)),
]


@pytest.mark.parametrize(
    ("workload", "mode", "layout"), RIGHT, ids=lambda value: getattr(value, "name", str(value)) if value else ""
)
def test_a_model_computes_in_each_mode_what_single_computes(
    workload: Workload, mode: str, layout: Layout, memo: Memo
) -> None:
    assert not certified(workload, mode, layout, memo).failures


def test_masks_differ_from_example_to_example_and_from_step_to_step() -> None:
    state = dropping.init(jax.random.PRNGKey(0))
    batch = dropping.batch(jax.random.PRNGKey(1), 8)
    same = batch._replace(examples=jax.tree.map(lambda leaf: leaf[:1].repeat(8, axis=0), batch.examples))
    first_alone = same._replace(mask=jnp.zeros(8).at[0].set(1.0))
    step = jax.jit(dropping.step)
    later = state._replace(step=state.step + 1)
    found = [float(step(*given)[1]["loss"]) for given in ((state, same), (later, same), (state, first_alone))]
    assert len(set(found)) == 3
    assert float(step(state, same)[1]["loss"]) == found[0]


def test_a_loss_may_be_of_each_example_or_the_mean_and_give_metrics_beside_it() -> None:
    def with_accuracy(logits: jax.Array, batch: Any) -> Any:
        return losses(logits, batch), {"accuracy": logits.argmax(axis=-1) == batch["labels"]}

    told = made(Net(), "told", with_accuracy)
    mean = made(Net(), "mean", lambda logits, batch: losses(logits, batch).mean())
    state, batch = told.init(jax.random.PRNGKey(0)), told.batch(jax.random.PRNGKey(1), 8)
    _, metrics = jax.jit(told.step)(state, batch)
    _, of_mean = jax.jit(mean.step)(state, batch._replace(mask=None))
    logits = Net().apply({"params": state.params}, batch.examples["inputs"])
    assert metrics["accuracy"] == (np.argmax(np.asarray(logits), -1) == batch.examples["labels"]).mean()
    assert metrics["loss"] == pytest.approx(float(of_mean["loss"]), rel=1e-6)
    assert (told.masked, mean.masked, normed.masked) == (True, False, False)


def test_a_metric_that_is_called_loss_is_not_trained() -> None:
    own = losses_of.named((jnp.ones(3), {"loss": jnp.zeros(3), "rate": 0.5}))
    np.testing.assert_array_equal(own["loss"], np.ones(3))
    sums = losses_of.sums((jnp.ones(3), {"rate": 0.5}), losses_of.Batch(EXAMPLES["inputs"][:3], None))
    assert {name: float(of) for name, of in sums.metrics.items()} == {"loss": 3.0, "rate": 1.5}


def test_examples_are_drawn_alike_whether_traced_or_not() -> None:
    key = jax.random.PRNGKey(3)
    traced, drawn = jax.jit(plain.batch, static_argnums=1)(key, 5), plain.batch(key, 5)
    jax.tree.map(np.testing.assert_array_equal, traced, drawn)
    assert jax.tree.map(lambda leaf: leaf.dtype, traced) == jax.tree.map(lambda leaf: leaf.dtype, drawn)


def test_padding_counts_nothing() -> None:
    state, batch = plain.init(jax.random.PRNGKey(0)), plain.batch(jax.random.PRNGKey(1), 5)
    padded = jax.tree.map(lambda leaf: jnp.concatenate([leaf, jnp.zeros((3, *leaf.shape[1:]), leaf.dtype)]), batch)
    (_, mine), (_, theirs) = (jax.jit(plain.step)(state, given) for given in (padded, batch))
    assert mine["loss"] == pytest.approx(float(theirs["loss"]), rel=1e-6)


# Refusals


def test_a_mode_that_cannot_be_right_is_refused_with_the_reason() -> None:
    assert {name: set(of.refused) for name, of in {"plain": plain, "dropping": dropping}.items()} == {
        "plain": set(),
        "dropping": set(),
    }
    assert set(untold.refused) == set(both.refused) == DIVIDE_BATCH
    assert set(normed.refused) == DIVIDE_STATE
    with pytest.raises(UsageError, match=r"keeps batch_stats, and isn't told the axis .* `lambda axis_name: CNN"):
        bind(untold, by_name("data_parallel"), Layout(batch=16, data_shards=2))
    with pytest.raises(UsageError, match="auxiliary state besides its parameters"):
        bind(normed, by_name("fsdp"), Layout(batch=16, data_shards=2))
    clipped = made(Net(), "clipped", optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3)))
    assert set(clipped.refused) == DIVIDE_STATE
    with pytest.raises(UsageError, match=r"its optimizer takes whole leaves together \(reduce_sum\)"):
        bind(clipped, by_name("zero1"), Layout(batch=16, data_shards=2))


DECAYED = {"kernel": "decayed", "bias": "plain"}
ELEMENTWISE = [
    optax.sgd(optax.cosine_decay_schedule(0.1, 100), momentum=0.9, nesterov=True),
    optax.adamw(1e-3, mu_dtype="bfloat16"),
    optax.MultiSteps(optax.chain(optax.clip(1.0), optax.adam(1e-3)), 2).gradient_transformation(),
    optax.multi_transform({"decayed": optax.adamw(1e-3), "plain": optax.sgd(0.1)}, DECAYED),
]
MIXING = [optax.lamb(1e-3), optax.adafactor(1e-3), optax.add_noise(0.1, 0.5, 0), optax.clip_by_global_norm(1.0)]


@pytest.mark.parametrize(("optimizers", "elementwise"), [(ELEMENTWISE, True), (MIXING, False)])
def test_whether_an_optimizer_is_elementwise_is_told_by_what_it_does(optimizers: list[Any], elementwise: bool) -> None:
    params = {"kernel": jax.ShapeDtypeStruct((4, 8), jnp.float32), "bias": jax.ShapeDtypeStruct((8,), jnp.float32)}
    assert [not mixing(optimizer, params) for optimizer in optimizers] == [elementwise] * len(optimizers)


def test_integers_that_differ_from_device_to_device_are_refused() -> None:
    counting = linear(lambda batch: jnp.sum(batch["labels"]))
    bound = bind(counting, by_name("data_parallel"), Layout(batch=16, data_shards=2))
    step: Any = bound.step
    state, batch = (jax.eval_shape(of, bound.keys(0)) for of in (counting.init, lambda key: counting.batch(key, 16)))
    with pytest.raises(UsageError, match="differs from device to device, and has no mean"):
        step.lower(state, batch)


def test_losses_and_examples_of_other_shapes_are_refused() -> None:
    with pytest.raises(UsageError, match=r"the loss of 16 examples must be an array \(16,\).* got an array \(16, 2\)"):
        made(Net(), "shapes", lambda logits, batch: logits)
    uneven = {"inputs": np.zeros((4, 2)), "labels": np.zeros(3)}
    with pytest.raises(UsageError, match=r"the same number of examples, got \(3,\), \(4, 2\)"):
        linen.workload(Net(), losses, optax.sgd(0.1), uneven, name="uneven")
    with pytest.raises(UsageError, match=r"is called with batch\['inputs'\], which these examples don't have"):
        linen.workload(Net(), losses, optax.sgd(0.1), {"image": np.zeros((4, 2))}, name="unnamed")
    with pytest.raises(UsageError, match=r"a linen module was expected, .* got the class Net itself"):
        made(Net, "class")
    with pytest.raises(UsageError, match="got a function that makes none"):
        made(making_nothing, "none")
    with pytest.raises(UsageError, match=r"got a MultiSteps, which `\.gradient_transformation\(\)` makes one"):
        made(Net(), "many", optimizer=optax.MultiSteps(optax.sgd(0.1), 2))


def test_an_optimizer_in_place_of_the_loss_is_told_with_the_order() -> None:
    module, optimizer = nn.Dense(1), optax.sgd(0.1)
    with pytest.raises(
        UsageError, match=r"the loss is an optimizer, .* the order is module, loss, optimizer, examples"
    ):
        made(module, "turned", optimizer, losses)
