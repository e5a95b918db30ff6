"""Any step of the user's own is measured as it is, jitted or not, in mode `single`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState

from bench import keydata
from bench.adapters import step as adapter
from bench.cases import Case
from bench.holder import Holder
from toynet.errors import UsageError
from toynet.modes import MODES
from toynet.workload import Workload

pytestmark = pytest.mark.usefixtures("compiled_once")

BATCH = {"inputs": np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3), "targets": np.ones(4, np.float32)}


def off(weights: Any, batch: Any) -> Any:
    return jnp.mean((batch["inputs"] @ weights - batch["targets"]) ** 2)


def descend(weights: Any, batch: Any) -> tuple[Any, Any]:
    loss, grads = jax.value_and_grad(off)(weights, batch)
    return weights - 0.1 * grads, loss


def failed(workload: Workload, batch: int = 4) -> list[Any]:
    """The checks that a step doesn't pass."""
    holder = Holder(Case(workload="own.py", mode="single", batch=batch), keydata.raw(workload))
    assert holder.compile().first_loss is not None
    return [check for check in holder.check().checks if not check.passed]


def train_state() -> TrainState:
    """What Flax's examples train: with functions in it, which are others every time it is made."""
    params = {"weights": jnp.zeros(3)}
    return TrainState.create(apply_fn=lambda params, x: x @ params["weights"], params=params, tx=optax.adam(0.1))


def of_flax(state: TrainState, batch: Any) -> tuple[TrainState, dict[str, Any]]:
    def loss(params: Any) -> Any:
        return jnp.mean((state.apply_fn(params, batch["inputs"]) - batch["targets"]) ** 2)

    found, grads = jax.value_and_grad(loss)(state.params)
    return state.apply_gradients(grads=grads), {"loss": found}


@eqx.filter_jit
def of_equinox(state: tuple[Any, Any], batch: Any) -> tuple[Any, Any]:
    model, (next_key, used) = state[0], jax.random.split(state[1])

    def loss(model: Any) -> Any:
        keys = jax.random.split(used, len(batch["inputs"]))
        return jnp.mean(jax.vmap(lambda x, key: model(x, key=key))(batch["inputs"], keys) ** 2)

    found, grads = eqx.filter_value_and_grad(loss)(model)
    return (eqx.apply_updates(model, jax.tree.map(lambda g: -0.1 * g, grads)), next_key), found


def equinox_state(key: jax.Array) -> tuple[Any, Any]:
    """A module with a function, a Boolean and a number among its leaves, and a typed key."""
    layers = [eqx.nn.Linear(3, 2, key=key), eqx.nn.Lambda(jnp.tanh), eqx.nn.Dropout(0.5)]
    return eqx.nn.Sequential(layers), jax.random.key(0)


@nnx.jit
def of_nnx(state: tuple[Any, Any], batch: Any) -> tuple[Any, Any]:
    model, optimizer = state
    loss, grads = nnx.value_and_grad(lambda model: jnp.mean(model(batch["inputs"]) ** 2))(model)
    optimizer.update(model, grads)
    return state, loss


def nnx_state() -> tuple[Any, Any]:
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    return model, nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)


@pytest.mark.parametrize(
    ("step", "state"),
    [
        (descend, np.zeros(3, np.float32)),
        (jax.jit(of_flax, donate_argnums=0), train_state),
        (of_equinox, equinox_state),
        (of_nnx, nnx_state),
    ],
    ids=["function", "flax", "equinox", "nnx"],
)
def test_a_step_is_measured_as_it_is(step: Callable[..., Any], state: Any) -> None:
    assert failed(adapter.workload(step, state=state, batch=BATCH)) == []
