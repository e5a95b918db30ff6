"""An nnx module is trained in every mode that isn't refused as in `single`."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import optax
import pytest
from flax import nnx
from own import BATCH, batches, off, program

from bench.adapters import nnx as adapter
from toynet.errors import UsageError
from toynet.modes import MODES
from toynet.workload import Workload

pytestmark = pytest.mark.usefixtures("compiled_once", "unoptimised")

INPUTS = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
EXAMPLES = {"inputs": INPUTS, "labels": (INPUTS[:, 0] > 0).astype(np.int32)}


class Net(nnx.Module):
    """A layer, with what is asked for: BatchNorm over an axis, dropout; and it leaves something behind."""

    def __init__(self, rngs: nnx.Rngs, *, norm: bool = False, axis_name: str | None = None, rate: float = 0.0) -> None:
        self.norm = nnx.BatchNorm(4, axis_name=axis_name, rngs=rngs) if norm else None
        self.dropout = nnx.Dropout(rate, rngs=rngs) if rate else None
        self.out = nnx.Linear(4, 2, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.norm(x) if self.norm else x
        x = self.out(self.dropout(x) if self.dropout else x)
        self.seen = nnx.Intermediate(x)
        return x


def random_net(*, rngs: nnx.Rngs) -> Net:
    return Net(rngs, rate=0.5)


def normed_net(rngs: nnx.Rngs, axis_name: str | None) -> Net:
    """As it would be asked: it is put into its training mode."""
    net = Net(rngs, norm=True, axis_name=axis_name)
    net.eval()
    return net


def loss(outputs: jax.Array, batch: Any) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(outputs, batch["labels"])


def workload(make: Any, optimizer: Any = optax.sgd(0.1)) -> Workload:  # noqa: B008, it is frozen
    return adapter.workload(make, loss, optimizer, EXAMPLES, name="net", batch_size=BATCH, epoch_steps=2)


def test_dropout_is_the_same_however_members_and_batch_are_divided() -> None:
    assert off(program(workload(random_net)), "ensemble_data", members=2, mesh=(2, 2)) < 1e-6


def test_each_example_has_a_mask_of_its_own_in_each_step() -> None:
    ones = {"inputs": np.ones((1, 4), np.float32)}
    of_net = adapter.workload(
        random_net, lambda outputs, batch: outputs[:, 0], optax.sgd(0.0), ones, name="net", batch_size=64
    )

    @jax.jit
    def gradients(key: jax.Array) -> list[jax.Array]:
        state, batch = of_net.init(key), of_net.batch(key, 64)
        assert of_net.gradients is not None
        later = state._replace(step=state.step + 1)
        return [of_net.gradients(each, batch)["out"]["kernel"][:, 0] for each in (state, later)]

    # The gradient of a weight is the mean over examples of its input, of which dropout makes 0 or 2.
    kept = np.concatenate(gradients(jax.random.PRNGKey(0)))
    assert len(set(kept.tolist())) > 4
    np.testing.assert_allclose(kept, 1.0, atol=0.5)  # 4 standard deviations of the mean of 64


def test_batch_statistics_move_and_are_those_of_the_whole_batch_on_any_number_of_devices() -> None:
    single = program(workload(normed_net))
    assert off(single, "data_parallel", mesh=(1, 4)) < 1e-5
    assert set(single.workload.refused) == {"fsdp", "zero1"}

    state = single.init(jax.random.PRNGKey(0))
    assert not state.aux["norm"]["mean"].any()
    after, _ = single.step(state, single.place(batches(single)[0]))
    assert after.aux["norm"]["mean"].all()


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda rngs: Net(rngs, norm=True), "keeps BatchStat, and isn't told the axis"),
        (lambda rngs, axis_name: Net(rngs, norm=True, axis_name=axis_name, rate=0.5), "and draws random numbers"),
    ],
)
def test_what_cant_be_divided_is_refused_with_the_reason(make: Any, why: str) -> None:
    refused = workload(make).refused
    assert set(refused) == {mode.name for mode in MODES.values() if mode.shards_batch}
    assert all(why in reason for reason in refused.values())


@pytest.mark.parametrize(
    ("make", "optimizer", "said"),
    [
        (Net, nnx.Optimizer(nnx.Linear(1, 1, rngs=nnx.Rngs(0)), optax.sgd(0.1), wrt=nnx.Param), "got a Optimizer"),
        (Net(nnx.Rngs(0)), optax.sgd(0.1), "a function that makes the module was expected"),
        (lambda rngs: 3, optax.sgd(0.1), "makes an nnx.Module was expected, got a int"),
    ],
)
def test_what_isnt_a_module_or_an_optimizer_is_refused(make: Any, optimizer: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        workload(make, optimizer)
