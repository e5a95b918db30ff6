"""A workload's functions are looked at before anything is run; what is wrong with them is said with both trees."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import planted
import pytest

from bench.sound import Shapes, check, differences
from toynet import train
from toynet.config import Config
from toynet.errors import UsageError
from toynet.workload import Workload

KEY = jax.random.PRNGKey(0)
RIGHT = planted.right


class Pair(NamedTuple):
    a: Any
    b: Any


def said(**changed: Any) -> str:
    with pytest.raises(UsageError) as refused:
        check(dataclasses.replace(RIGHT, **changed), "mine.py")
    message = str(refused.value)
    assert message.startswith("'mine.py': ")
    assert "\n" not in message
    return message


def stepped(change: Any) -> Any:
    """A step of which something else comes out."""
    return lambda state, batch, axis_name=None: change(*planted.step(state, batch, axis_name))


def test_a_right_workload_gives_its_shapes_and_is_not_run() -> None:
    def draw(key: jax.Array, n: int) -> planted.Batch:
        with pytest.raises(jax.errors.ConcretizationTypeError):
            int(key[0])
        return planted.draw(key, n)

    found = check(dataclasses.replace(RIGHT, batch=draw))
    assert isinstance(found, Shapes)
    assert found.state["weights"] == jax.ShapeDtypeStruct((planted.FEATURES,), jnp.float32)
    assert found.batch.inputs.shape == (RIGHT.batch_size, planted.FEATURES)
    assert found.metrics["loss"].shape == ()


@pytest.mark.parametrize(
    "workload", [train.workload("tutorial", Config()), planted.slow], ids=["tutorial", "with a callback"]
)
def test_no_right_workload_is_refused(workload: Workload) -> None:
    check(workload)


def test_states_may_have_typed_keys_numbers_and_arrays_of_numpy() -> None:
    def init(key: jax.Array) -> dict[str, Any]:
        rest = {"key": jax.random.key(0), "rate": 0.1, "table": np.zeros(2, np.int8), "low": jnp.zeros(2, jnp.bfloat16)}
        return {**planted.init(key), **rest}

    def step(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        after, metrics = planted.step(state, batch, axis_name)
        return {**state, **after}, metrics

    found = check(dataclasses.replace(RIGHT, init=init, step=step))
    assert {name: str(leaf.dtype) for name, leaf in found.state.items()} == {
        "key": "key<fry>",
        "rate": "float32",
        "table": "int8",
        "low": "bfloat16",
        "weights": "float32",
        "steps": "int32",
    }


def test_a_batch_may_be_drawn_by_numpy() -> None:
    def draw(key: jax.Array, n: int) -> planted.Batch:
        inputs = np.random.default_rng(np.asarray(key)).normal(size=(n, planted.FEATURES)).astype(np.float32)
        return planted.Batch(inputs, inputs.sum(axis=1), np.ones(n, np.float32))  # type: ignore[arg-type]

    assert check(dataclasses.replace(RIGHT, batch=draw)).batch.mask.shape == (RIGHT.batch_size,)


WRONG_ARGUMENTS = {
    "init": (lambda: None, "its init takes (), and is called as init(key)"),
    "batch": (lambda key: None, "its batch takes (key), and is called as batch(key, n)"),
    "step": (
        lambda state, batch: None,
        "its step takes (state, batch), and is called as step(state, batch, axis_name)",
    ),
    "gradients": (
        lambda params: None,
        "its gradients takes (params), and is called as gradients(state, batch, axis_name)",
    ),
}


@pytest.mark.parametrize("name", WRONG_ARGUMENTS)
def test_a_function_is_told_what_it_takes_and_how_it_is_called(name: str) -> None:
    function, why = WRONG_ARGUMENTS[name]
    assert why in said(**{name: function})
    assert f"its {name} is of type int, and a function was expected" in said(**{name: 3})


def test_sizes_are_whole_numbers_of_one_or_more() -> None:
    assert "batch_size must be a whole number of 1 or more, got 0." in said(batch_size=0)
    assert "epoch_steps must be a whole number of 1 or more, got 2.5." in said(epoch_steps=2.5)


def raising(*_: Any) -> Any:
    raise ValueError("a first line\nand more")


@pytest.mark.parametrize("name", ["init", "batch", "step", "gradients"])
def test_a_function_that_raises_is_named_with_its_line(name: str) -> None:
    line = raising.__code__.co_firstlineno + 1
    assert f"its {name} raises ValueError in tests/test_sound.py, line {line}: a first line." in said(**{name: raising})


def test_a_function_that_wants_a_number_that_is_traced_is_told_so() -> None:
    assert "ConcretizationTypeError in tests/test_sound.py" in (
        of := said(init=lambda key: {"w": jnp.zeros(int(key[0]))})
    )
    assert "it is traced, so what depends on its arguments has no value yet" in of


RETURNS = {
    "a state alone": (lambda state, _: state, "gives {'steps': int32[], 'weights': float32[3]}, and (state, metrics)"),
    "three values": (lambda state, metrics: (state, metrics, 0), "gives 3 values, and (state, metrics) was expected"),
    "the wrong way round": (lambda state, metrics: (metrics, state), "gives (metrics, state), and (state, metrics)"),
    "another shape": (
        lambda state, metrics: ({**state, "weights": jnp.zeros((2, 3))}, metrics),
        "state['weights']: float32[3] came in, float32[2, 3] came out; whole: {'steps': int32[], 'weights': float32[3]}"
        " came in, {'steps': int32[], 'weights': float32[2, 3]} came out; let a step give back every leaf in the shape",
    ),
    "another dtype": (
        lambda state, metrics: ({**state, "steps": state["steps"] + 0.5}, metrics),
        "state['steps']: int32[] came in, float32[] came out",
    ),
    "less": (
        lambda state, m: ({"steps": state["steps"]}, m),
        "state['weights']: float32[3] came in, and nothing came out",
    ),
    "more": (lambda state, m: ({**state, "a": 0}, m), "state['a']: nothing came in, and int32[] came out"),
    "no loss": (
        lambda state, _: (state, {"los": 0.0}),
        "its metrics are {'los': float32[]}, and a `loss` was expected",
    ),
    "a bare loss": (lambda state, _: (state, jnp.zeros(())), "its metrics are float32[], and a `loss` was expected"),
    "a loss an example": (lambda state, _: (state, {"loss": jnp.zeros(8)}), "its loss is float32[8], and a scalar was"),
    "a whole number": (lambda state, _: (state, {"loss": 1}), "its loss is int32[], and a scalar was expected"),
    "a name": (lambda state, m: (state, {**m, "name": "x"}), "leaf [1]['name'] of what its step gives is of type str"),
}


@pytest.mark.parametrize(("change", "why"), RETURNS.values(), ids=RETURNS)
def test_a_step_gives_its_state_as_it_came_in_and_metrics_with_a_loss(change: Any, why: str) -> None:
    assert why in said(step=stepped(change))


def test_the_shortest_difference_comes_first_and_a_kind_of_node_where_the_leaves_are_the_same() -> None:
    def shapes(**sizes: int) -> dict[str, jax.ShapeDtypeStruct]:
        return {name: jax.ShapeDtypeStruct((size,), jnp.float32) for name, size in sizes.items()}

    found = differences({"layer": shapes(kernel=4, b=8)}, {"layer": shapes(kernel=2, b=16)})
    assert found == [
        "state['layer']['b']: float32[8] came in, float32[16] came out",
        "state['layer']['kernel']: float32[4] came in, float32[2] came out",
    ]
    assert differences((shapes(b=1),), [shapes(b=1)]) == ["state: ({'b': *},) came in, [{'b': *}] came out"]


def test_a_step_that_changes_its_state_in_place_is_told_where() -> None:
    def swapping(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        state["weights"] = state["weights"] * 2
        return state, {"loss": state["weights"][0]}

    def adding(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        state["more"] = state.pop("weights")
        return state, {"loss": state["more"][0]}

    assert "its step changes its own argument in place (state['weights'])" in said(step=swapping)
    assert "its step changes its own argument in place (state['more'])" in said(step=adding)


def test_a_step_that_writes_into_its_batch_is_told_its_line() -> None:
    def writing(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        batch.inputs[0] = 0
        return planted.step(state, batch, axis_name)

    line = writing.__code__.co_firstlineno + 1
    assert f"its step raises TypeError in tests/test_sound.py, line {line}: JAX arrays are immutable" in said(
        step=writing
    )


def test_a_leaf_that_is_no_array_is_named_and_how_to_keep_it_out() -> None:
    of = said(init=lambda key: {**planted.init(key), "net": Pair(0, len)})
    assert (
        "leaf ['net'].b of the state is of type builtin_function_or_method, and arrays of numbers were expected" in of
    )
    assert "in a closure, or as a static field" in of


def test_a_batch_of_words_is_told_apart_from_one_of_numbers() -> None:
    of = said(batch=lambda key, n: {"label": np.array(["a"] * n)})
    assert "leaf ['label'] of the batch is of type ndarray of <U1, and arrays of numbers were expected; leave it" in of


def test_batches_of_sizes_that_were_asked_for_are_looked_at_too() -> None:
    def fixed(key: jax.Array, n: int) -> Any:
        return planted.draw(key, RIGHT.batch_size)

    check(dataclasses.replace(RIGHT, batch=fixed))
    with pytest.raises(UsageError, match="leads with n = 9 examples"):
        check(dataclasses.replace(RIGHT, batch=fixed), sizes=(9,))


def test_a_state_that_need_not_last_is_left_to_the_lint_and_the_rest_is_looked_at() -> None:
    growing = stepped(lambda state, metrics: ({**state, "weights": jnp.zeros(4)}, metrics))
    check(dataclasses.replace(RIGHT, step=growing), lasting=False)
    with pytest.raises(UsageError, match="a `loss` was expected"):
        check(dataclasses.replace(RIGHT, step=stepped(lambda *_: ({}, {}))), lasting=False)


def test_every_array_of_a_batch_leads_with_its_examples() -> None:
    def short(key: jax.Array, n: int) -> Any:
        return planted.draw(key, n)._replace(mask=jnp.ones(n - 1))

    assert "batch.mask is float32[7], and an array that leads with n = 8 examples was expected" in said(batch=short)
    assert "its batch has no array" in said(batch=lambda key, n: {})
