"""An nnx module is trained in every mode that isn't refused as in `single`."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from bench import keydata
from bench.adapters import nnx as adapter
from bench.cases import Case
from bench.holder import Holder
from toynet.errors import UsageError
from toynet.workload import Workload

pytestmark = pytest.mark.usefixtures("compiled_once")

INPUTS = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
EXAMPLES = {"inputs": INPUTS, "labels": (INPUTS[:, 0] > 0).astype(np.int32)}


class Net(nnx.Module):
    """A layer, with what is asked for: BatchNorm over an axis, dropout."""

    def __init__(self, rngs: nnx.Rngs, *, norm: bool = False, axis_name: Any = None, rate: float = 0.0) -> None:
        self.hidden = nnx.Linear(4, 8, rngs=rngs)
        self.norm = nnx.BatchNorm(8, axis_name=axis_name, rngs=rngs) if norm else None
        self.dropout = nnx.Dropout(rate, rngs=rngs) if rate else None
        self.out = nnx.Linear(8, 2, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = jnp.tanh(self.hidden(x))
        x = self.norm(x) if self.norm else x
        return self.out(self.dropout(x) if self.dropout else x)


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


def random_net(rngs: nnx.Rngs) -> Net:
    return Net(rngs, rate=0.5)


def normed_net(rngs: nnx.Rngs, axis_name: Any) -> Net:
    return Net(rngs, norm=True, axis_name=axis_name)


def random_normed_net(rngs: nnx.Rngs, axis_name: Any) -> Net:
    return Net(rngs, norm=True, axis_name=axis_name, rate=0.5)


@pytest.mark.parametrize(
    ("make", "mode", "sizes"),
    [
        (Net, "single", {}),
        (random_net, "fsdp", {"data_shards": 2}),
        (random_net, "ensemble_data", {"members": 2, "member_shards": 2, "data_shards": 2}),
        (normed_net, "data_parallel", {"data_shards": 2}),
        (random_normed_net, "single", {}),
    ],
)
def test_a_mode_computes_what_single_computes(make: Any, mode: str, sizes: dict[str, int]) -> None:
    assert failed(workload(make), mode, **sizes) == []
