"""A state may hold typed random keys, integers, booleans and bfloat16: every mode takes them."""

from __future__ import annotations

import pickle
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from own import BATCH, off, program

from bench import keydata
from bench.cases import Case
from bench.deviation import deviation
from bench.holder import Holder, epoch_of
from bench.memo import Memo
from toynet.errors import UsageError
from toynet.workload import Lanes, Parts, Workload

pytestmark = pytest.mark.usefixtures("compiled_once")


class Noisy(NamedTuple):
    """Parameters, and a leaf of each dtype that isn't theirs."""

    weights: jax.Array
    key: jax.Array
    steps: jax.Array
    begun: jax.Array
    average: jax.Array
    best: jax.Array


def init(key: jax.Array) -> Noisy:
    return Noisy(
        jax.random.normal(key, (8,)),
        jax.random.key(key[1]),
        jnp.zeros((), jnp.uint8),
        jnp.zeros((), bool),
        jnp.zeros((8,), jnp.bfloat16),
        jnp.array(jnp.inf),
    )


def batch(key: jax.Array, n: int) -> dict[str, Any]:
    """By NumPy, which can't be traced; each example with a key of its own."""
    inputs = np.random.default_rng(np.asarray(key)).normal(size=(n, 8)).astype(np.float32)
    return {"inputs": inputs, "key": jax.random.split(jax.random.wrap_key_data(key), n)}


def sums(params: jax.Array, batch: dict[str, Any]) -> tuple[jax.Array, jax.Array]:
    noise = jax.vmap(lambda key: jax.random.normal(key))(batch["key"])

    def loss(weights: jax.Array) -> jax.Array:
        return jnp.sum((batch["inputs"] @ weights - noise) ** 2)

    return jax.grad(loss)(params), jnp.stack([loss(params), jnp.array(len(noise), jnp.float32)])


def means(sums: jax.Array, rest: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
    return sums / rest[1], {"loss": rest[0] / rest[1]}


def update(state: Noisy, gradients: jax.Array) -> Noisy:
    weights = state.weights - 0.1 * gradients
    return Noisy(
        weights,
        jax.random.split(state.key)[0],
        state.steps + jnp.uint8(1),
        ~state.begun,
        weights.astype(jnp.bfloat16),
        state.best,
    )


def gradients(state: Noisy, batch: dict[str, Any], axis_name: str | None = None) -> jax.Array:
    return mean_gradients(state, batch, axis_name)[0]


def mean_gradients(state: Noisy, batch: dict[str, Any], axis_name: str | None) -> tuple[jax.Array, dict[str, Any]]:
    params = lax.pcast(state.weights, axis_name, to="varying") if axis_name else state.weights
    found = sums(params, batch)
    return means(*(lax.psum(found, axis_name) if axis_name else found))


def step(state: Noisy, batch: dict[str, Any], axis_name: str | None = None) -> tuple[Noisy, dict[str, Any]]:
    found, metrics = mean_gradients(state, batch, axis_name)
    return update(state, found), metrics


NOISY = Workload(
    name="noisy",
    init=init,
    batch=batch,
    step=step,
    gradients=gradients,
    parts=Parts(params=lambda state: state.weights, sums=sums, means=means, update=update),
    epoch_steps=2,
)


def test_a_state_of_all_dtypes_is_certified_with_members_and_batch_divided() -> None:
    case = Case(workload="noisy.py", mode="ensemble_data", batch=BATCH, members=3, member_shards=2, data_shards=2)
    holder = Holder(case, keydata.raw(NOISY))
    holder.compile()
    assert [check for check in holder.check().checks if not check.passed] == []


def test_a_state_of_all_dtypes_is_trained_as_in_single_where_it_is_divided() -> None:
    assert off(program(NOISY), "zero1", mesh=(1, 2)) < 1e-6


def test_typed_keys_are_handed_out_as_numbers_and_given_back_as_keys() -> None:
    def split(state: Any, batch: Any, axis_name: str | None = None) -> tuple[Any, Any]:
        return {"key": jax.random.split(state["key"])[0]}, {}

    keys: Any = lambda key: {"key": jax.random.key(3)}  # noqa: E731
    workload = keydata.raw(Workload(name="keys", init=keys, batch=batch, step=split))
    state = workload.init(jax.random.PRNGKey(0))
    assert state["key"].implementation == "threefry2x32"
    np.testing.assert_array_equal(state["key"].data, jax.random.key_data(jax.random.key(3)))
    expected = jax.random.key_data(jax.random.split(jax.random.key(3))[0])
    np.testing.assert_array_equal(workload.step(state, None)[0]["key"].data, expected)


def test_keys_of_members_in_the_last_axis_are_theirs() -> None:
    def step(state: Any, batch: Any, axis_name: str | None = None) -> tuple[Any, Any]:
        return {"key": jax.vmap(jax.random.split)(state["key"])[:, 0]}, {}

    lanes = Lanes(step=step, gradients=None, block=3)
    workload = keydata.raw(Workload(name="keys", init=init, batch=batch, step=step, lanes=lanes))
    assert workload.lanes is not None
    keys = jax.random.split(jax.random.key(0), 3)
    members_last = {"key": keydata.KeyData(jax.random.key_data(keys).T, "threefry2x32")}
    after, _ = workload.lanes.step(members_last, None)
    expected = jax.random.key_data(jax.vmap(jax.random.split)(keys)[:, 0])
    np.testing.assert_array_equal(after["key"].data, expected.T)


def test_without_keys_nothing_is_computed_for_them() -> None:
    def plain(state: Any, batch: Any, axis_name: str | None = None) -> tuple[Any, Any]:
        return {"weights": state["weights"] + batch["inputs"]}, {"loss": batch["inputs"][0]}

    arguments = {"weights": jnp.zeros(3)}, {"inputs": jnp.ones(3)}
    raw = keydata.raw(Workload(name="plain", init=init, batch=batch, step=plain)).step
    assert str(jax.make_jaxpr(raw)(*arguments)) == str(jax.make_jaxpr(plain)(*arguments))


def test_a_batch_with_keys_is_kept_for_other_workers(tmp_path: Any) -> None:
    workload = keydata.raw(NOISY)
    first, again = (Memo(tmp_path)("batches", lambda: epoch_of(workload, 4, jit=False)) for _ in range(2))
    assert first["key"].data.shape == (2, 4, 2)
    np.testing.assert_array_equal(first["key"].data, again["key"].data)
    assert pickle.loads(pickle.dumps(first["key"])).implementation == "threefry2x32"


@pytest.mark.parametrize(
    ("found", "expected", "off"),
    [
        (np.array([True, False]), np.array([True, True]), 1.0),
        (np.array([1], np.uint8), np.array([2], np.uint8), 0.5),  # and not 255 / 2
        (np.array([127], np.int8), np.array([-128], np.int8), 255 / 128),
        (np.array([1.5], jnp.bfloat16), np.array([1.0], jnp.bfloat16), 0.5),
        (np.array([np.inf, 2], np.float32), np.array([np.inf, 4], np.float32), 0.5),
        (np.array([1], np.float32), np.array([np.inf], np.float32), np.nan),
        (np.array([np.nan, 1], np.float32), np.array([np.nan, 1], np.float32), np.nan),
    ],
    ids=["bool", "unsigned", "signed", "bfloat16", "infinite", "not infinite", "NaN"],
)
def test_leaves_of_any_dtype_are_compared(found: np.ndarray, expected: np.ndarray, off: float) -> None:
    np.testing.assert_equal(deviation([found], [expected]), off)


def test_a_batch_that_cant_be_kept_in_a_file_is_refused(tmp_path: Any) -> None:
    class Local(NamedTuple):
        inputs: np.ndarray

    with pytest.raises(UsageError, match="classes at the top of a module"):
        Memo(tmp_path)("batches", lambda: Local(np.ones(2)))
