"""What jit tells calls apart by, in words."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from bench.signature import changed, signature


def test_a_leaf_has_its_place_dtype_shape_and_weak_type() -> None:
    state = {"w": jnp.ones((2, 3)), "n": jnp.asarray(1)}
    assert signature((state, 1.0, np.ones(2), "mode")) == {
        "args[0]['n']": "int32[] of weak type",
        "args[0]['w']": "float32[2, 3]",
        "args[1]": "a Python float",
        "args[2]": "float64[2] on the host",
        "args[3]": "'mode'",
    }


def test_an_array_that_is_committed_to_devices_says_to_which() -> None:
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,))
    sharded = jax.device_put(jnp.ones(4), NamedSharding(mesh, PartitionSpec("data")))
    first = jax.devices()[0]
    assert signature((sharded, jax.device_put(jnp.ones(4), first))) == {
        "args[0]": f"float32[4] as {PartitionSpec('data')} over {{'data': 2}}",
        "args[1]": f"float32[4] on {first}",
    }


def test_what_changed_is_named_with_both() -> None:
    before, after = signature((jnp.asarray(1), jnp.ones(2))), signature((jnp.int32(1), jnp.ones(2)))
    assert changed(before, after) == "args[0] was int32[] of weak type and is int32[]"
    assert changed(before, before) == ""


def test_of_many_changes_the_first_few_are_named() -> None:
    before, after = signature([jnp.ones(1)] * 5), signature([jnp.ones(2)] * 5)
    assert changed(before, after).endswith("args[2] was float32[1] and is float32[2] and 2 more")


def test_leaves_that_came_and_went_are_named() -> None:
    assert changed(signature(({"a": 1},)), signature(({"b": 1},))) == "new: args[0]['b']; gone: args[0]['a']"
