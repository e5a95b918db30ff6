"""What roundings decide isn't called wrong, and what is wrong is found beside it."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax

from bench.cases import Case
from bench.conditioning import TIMES, moved
from bench.holder import Holder
from toynet.workload import Workload

OPTIMIZER = optax.adam(0.1)


def outputs(params: Any, inputs: jax.Array) -> jax.Array:
    """A bias that is taken out again, as before BatchNorm: its gradient is nothing but roundings."""
    hidden = inputs @ params["kernel"] + params["bias"]
    return ((hidden - hidden.mean(axis=1, keepdims=True)) ** 3).sum(axis=1)


def init(key: jax.Array) -> Any:
    params = {"kernel": jax.random.normal(key, (4, 7)), "bias": jnp.zeros(())}
    return params, OPTIMIZER.init(params)


def gradients(state: Any, batch: jax.Array, axis_name: str | None = None, factor: float = 1.0) -> Any:
    params = lax.pcast(state[0], axis_name, to="varying") if axis_name else state[0]
    grads = jax.grad(lambda params: jnp.mean(outputs(params, batch) ** 2))(params)
    return jax.tree.map(lambda g: factor * g, lax.pmean(grads, axis_name)) if axis_name else grads


def workload(factor: float = 1.0) -> Workload:
    """The factor is of what is fed to the optimizer on several devices: 1 is right."""

    def step(state: Any, batch: jax.Array, axis_name: str | None = None) -> Any:
        updates, opt_state = OPTIMIZER.update(gradients(state, batch, axis_name, factor), state[1])
        loss = jnp.mean(outputs(state[0], batch) ** 2)
        loss = lax.pmean(loss, axis_name) if axis_name else loss
        return (optax.apply_updates(state[0], updates), opt_state), {"loss": loss}

    draw = lambda key, n: jax.random.normal(key, (n, 4))  # noqa: E731
    right = Workload(name="undecided", init=init, batch=draw, step=step, batch_size=8, epoch_steps=2)
    return dataclasses.replace(right, gradients=gradients)


def stepped(factor: float) -> Any:
    """The check of a step on two devices."""
    case = Case(workload="undecided", mode="data_parallel", data_shards=2, batch=8)
    holder = Holder(case, workload(factor))
    holder.compile()
    (check,) = (check for check in holder.check(fused=False).checks if check.name == "step from the same state")
    return check


@pytest.mark.usefixtures("compiled_once")
@pytest.mark.parametrize(("factor", "passes"), [(1.0, True), (1.01, False)])
def test_a_step_may_differ_where_roundings_decide_and_nowhere_else(factor: float, passes: bool) -> None:
    check = stepped(factor)
    assert check.passed == passes
    assert check.found.endswith(" beyond what roundings may do")


def test_an_entry_moves_by_what_the_state_is_rounded_to() -> None:
    state = {"of_sum": np.full(3, 2.0, np.float32), "of_sign": np.zeros(1, np.float32), "count": np.array(3)}

    def step(state: Any) -> Any:
        total = state["of_sum"].sum() - np.float32(6)
        return {"sum": state["of_sum"] + 1, "sign": np.sign(total), "count": state["count"] + 1}

    count, sign, of_sum = moved(step, state, "float32")
    assert count == 0
    assert sign == TIMES
    assert 0 < of_sum <= TIMES * 2.0**-21
