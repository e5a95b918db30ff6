"""An Equinox module is trained in every mode that isn't refused as in `single`."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from own import BATCH, batches, off, program

from bench.adapters import equinox as adapter
from bench.reference import named
from toynet.errors import UsageError
from toynet.modes import MODES
from toynet.workload import Workload

pytestmark = pytest.mark.usefixtures("compiled_once", "unoptimised")

INPUTS = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
EXAMPLES = {"inputs": INPUTS, "labels": (INPUTS[:, 0] > 0).astype(np.int32)}


class Net(eqx.Module):
    """A layer and dropout, with functions, numbers and an array of integers among its leaves."""

    hidden: eqx.nn.Linear
    dropout: eqx.nn.Dropout
    out: eqx.nn.Linear
    activation: Any

    def __init__(self, key: jax.Array) -> None:
        of_hidden, of_out = jax.random.split(key)
        self.hidden = eqx.nn.Linear(4, 8, key=of_hidden)
        self.dropout = eqx.nn.Dropout(0.5)
        self.activation = jnp.tanh
        self.out = eqx.nn.Linear(8, 2, key=of_out)

    def __call__(self, x: jax.Array, *, key: jax.Array) -> jax.Array:
        return self.out(self.dropout(self.activation(self.hidden(x)), key=key))


class NormedNet(eqx.Module):
    """A layer after BatchNorm, with the places of its inputs in an array of integers."""

    norm: eqx.nn.BatchNorm
    out: eqx.nn.Linear
    places: jax.Array

    def __init__(self, key: jax.Array) -> None:
        self.norm = eqx.nn.BatchNorm(4, axis_name="batch", mode="batch")
        self.out = eqx.nn.Linear(4, 2, key=key)
        self.places = jnp.arange(4)

    def __call__(self, x: jax.Array, state: eqx.nn.State) -> tuple[jax.Array, eqx.nn.State]:
        x, state = self.norm(x[self.places], state)
        return self.out(x), state


def loss(outputs: jax.Array, batch: Any) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(outputs, batch["labels"])


def workload(make: Any, optimizer: Any = optax.sgd(0.1)) -> Workload:  # noqa: B008, it is frozen
    return adapter.workload(make, loss, optimizer, EXAMPLES, name="net", batch_size=BATCH, epoch_steps=2)


def test_dropout_is_the_same_however_state_and_batch_are_divided() -> None:
    assert off(program(workload(Net)), "fsdp", mesh=(1, 4)) < 1e-6


def test_arrays_of_floating_point_are_trained_and_what_isnt_an_array_stays_out_of_the_state() -> None:
    params = jax.eval_shape(workload(Net).init, jax.random.PRNGKey(0)).params
    assert sorted(named(params)) == [".hidden.bias", ".hidden.weight", ".out.bias", ".out.weight"]


def test_state_of_a_module_is_trained_in_an_ensemble_and_its_batch_is_not_divided() -> None:
    single = program(workload(eqx.nn.make_with_state(NormedNet)))
    assert off(single, "ensemble", members=2) < 1e-5
    refused = single.workload.refused
    assert set(refused) == {mode.name for mode in MODES.values() if mode.shards_batch}
    assert all("takes none over that where devices hold parts of the batch" in why for why in refused.values())

    state = single.init(jax.random.PRNGKey(0))
    after, _ = single.step(state, single.place(batches(single)[0]))
    counter, mean, _ = jax.tree.leaves(after.aux[1])
    assert counter == 1
    assert mean.all()


@pytest.mark.parametrize(
    ("make", "optimizer", "said"),
    [
        (Net, jnp.tanh, "must be an optax transformation, .* got a"),
        (Net(jax.random.PRNGKey(0)), optax.sgd(0.1), "a function that makes the module was expected, .* got a Net"),
        (NormedNet, optax.sgd(0.1), "make_with_state"),
        (lambda key: jnp.tanh, optax.sgd(0.1), "makes an eqx.Module"),
    ],
)
def test_what_isnt_a_module_or_an_optimizer_is_refused(make: Any, optimizer: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        workload(make, optimizer)


def test_where_equinox_is_missing_a_sentence_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "bench.adapters.equinox")
    monkeypatch.setitem(sys.modules, "equinox", None)
    with pytest.raises(UsageError, match="pip install equinox"):
        importlib.import_module("bench.adapters.equinox")
