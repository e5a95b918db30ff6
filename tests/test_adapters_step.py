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
from own import batches, program

from bench.adapters import step as adapter
from bench.cases import Case
from bench.certificate import TraceCount
from bench.holder import Holder
from toynet.errors import UsageError

pytestmark = pytest.mark.usefixtures("compiled_once")

KEY = jax.random.PRNGKey(0)
BATCH = {"inputs": np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3), "targets": np.ones(4, np.float32)}


def off(weights: Any, batch: Any) -> Any:
    return jnp.mean((batch["inputs"] @ weights - batch["targets"]) ** 2)


def descend(weights: Any, batch: Any) -> tuple[Any, Any]:
    loss, grads = jax.value_and_grad(off)(weights, batch)
    return weights - 0.1 * grads, loss


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
        (descend, lambda: jnp.zeros(3)),
        (jax.jit(of_flax, donate_argnums=0), train_state),
        (of_equinox, equinox_state),
        (of_nnx, nnx_state),
    ],
    ids=["function", "flax", "equinox", "nnx"],
)
def test_a_step_goes_on_from_step_to_step_as_it_does_by_hand(step: Callable[..., Any], state: Any) -> None:
    counted = TraceCount()
    single = program(counted.counted(adapter.workload(step, state=state, batch=BATCH)), batch=4)
    (batch,) = batches(single)
    ours, theirs = single.init(KEY), state(KEY) if step is of_equinox else state()
    for _ in range(2):
        ours, metrics = single.step(ours, single.place(batch))
        theirs, loss = step(theirs, BATCH)
    assert counted.traces == 1
    np.testing.assert_allclose(metrics["loss"], loss["loss"] if isinstance(loss, dict) else loss, rtol=1e-6)


def test_a_step_is_certified_in_single_and_its_other_modes_are_refused_with_the_reason() -> None:
    workload = adapter.workload(descend, state=np.zeros(3, np.float32), batch=BATCH)
    holder = Holder(Case(workload="own.py", mode="single", batch=4), workload)
    assert holder.compile().first_loss == 1.0  # of zero weights and targets of 1
    assert [check for check in holder.check().checks if not check.passed] == []
    assert workload.refused == {
        "ensemble": "only its step is known, not how a state is begun from a key",
        **dict.fromkeys(
            ("data_parallel", "ensemble_data", "fsdp", "zero1"),
            "only its step is known, not how it takes means over devices",
        ),
    }


def test_a_batch_is_used_as_it_is_and_another_size_is_refused() -> None:
    workload = adapter.workload(descend, state=np.zeros(3), batch=lambda: BATCH)
    assert workload.batch_size == 4
    assert workload.batch(KEY, 4)["inputs"] is BATCH["inputs"]
    with pytest.raises(UsageError, match=r"'descend' has one batch, of 4, .* one of 8 was asked for"):
        workload.batch(KEY, 8)


def test_a_batch_without_an_axis_of_examples_counts_as_one() -> None:
    def step(state: Any, batch: Any) -> tuple[Any, Any]:
        assert (batch["inputs"].shape, batch["rate"].shape) == ((4, 3), ())
        return state + batch["rate"], jnp.sum(batch["inputs"])

    workload = adapter.workload(step, state=0.0, batch={"inputs": np.ones((4, 3)), "rate": 0.5})
    assert workload.batch_size == 1
    after, metrics = workload.step(workload.init(KEY), workload.batch(KEY, 1))
    assert (after, metrics["loss"]) == (0.5, 12.0)


def test_the_loss_is_found_in_the_metrics_or_made_of_them() -> None:
    def loss_of(metrics: Any, **changes: Any) -> Any:
        workload = adapter.workload(lambda state, batch: (state, metrics), state=0.0, batch=BATCH, **changes)
        return workload.step(0.0, BATCH)[1]["loss"]

    assert loss_of({"loss": 1.0, "accuracy": 0.5}) == 1.0
    assert loss_of({"error": jnp.ones(2)}, loss=lambda metrics: metrics["error"].sum()) == 2.0
    with pytest.raises(
        UsageError, match=r"its loss, a scalar, or have a `loss`; got a dict of error\. Hand over `loss=`"
    ):
        loss_of({"error": 1.0})
    with pytest.raises(UsageError, match=r"got an array \(2,\)"):
        loss_of(jnp.ones(2))


@pytest.mark.parametrize(
    ("step", "batch", "said"),
    [
        (3, BATCH, "a step is a function .* got a int"),
        (descend, {}, "a batch is a tree of arrays, got a dict without any"),
        (lambda state, batch: state, BATCH, r"gives two things, \(state, metrics\), got an array \(3,\)"),
    ],
)
def test_what_isnt_a_step_is_refused(step: Any, batch: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        adapter.workload(step, state=0.0, batch=batch).step(jnp.zeros(3), BATCH)
