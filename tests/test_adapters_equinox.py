"""An Equinox module is trained in every mode that isn't refused as in `single`."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bench import keydata
from bench.adapters import equinox as adapter
from bench.cases import Case
from bench.holder import Holder
from toynet.errors import UsageError
from toynet.modes import MODES
from toynet.workload import Workload

pytestmark = pytest.mark.usefixtures("compiled_once")

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
    """The same with BatchNorm, and with the places of its inputs in an array of integers."""

    net: Net
    norm: eqx.nn.BatchNorm
    places: jax.Array

    def __init__(self, key: jax.Array) -> None:
        self.net = Net(key)
        self.norm = eqx.nn.BatchNorm(4, axis_name="batch", mode="batch")
        self.places = jnp.arange(4)

    def __call__(self, x: jax.Array, state: eqx.nn.State, *, key: jax.Array) -> tuple[jax.Array, eqx.nn.State]:
        x, state = self.norm(x[self.places], state)
        return self.net(x, key=key), state


def loss(outputs: jax.Array, batch: Any) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(outputs, batch["labels"])


def workload(make: Any, **changes: Any) -> Workload:
    arguments = {"loss": loss, "optimizer": optax.adam(0.01), "examples": EXAMPLES, "name": "net"}
    return adapter.workload(make, **{**arguments, "batch_size": 8, "epoch_steps": 2, **changes})


def failed(workload: Workload, mode: str, **sizes: int) -> list[Any]:
    """The checks that a mode doesn't pass."""
    holder = Holder(Case(workload="net.py", mode=mode, batch=8, **sizes), keydata.raw(workload))
    holder.compile()
    return [check for check in holder.check().checks if not check.passed]


@pytest.mark.parametrize(
    ("make", "mode", "sizes"),
    [
        (Net, "single", {}),
        (Net, "zero1", {"data_shards": 2}),
        (Net, "ensemble_data", {"members": 2, "member_shards": 2, "data_shards": 2}),
        (eqx.nn.make_with_state(NormedNet), "ensemble", {"members": 2}),
    ],
)
def test_a_mode_computes_what_single_computes(make: Any, mode: str, sizes: dict[str, int]) -> None:
    assert failed(workload(make), mode, **sizes) == []
