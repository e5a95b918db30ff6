"""Keys of examples: the same on any number of devices, and one for each."""

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from toynet.keys import example_keys
from toynet.mesh import DATA, make_mesh

EXAMPLES = 16


def drawn(devices: int, key: jax.Array) -> np.ndarray:
    """A number for each example, drawn on so many devices; shape (EXAMPLES,)."""

    def local(key: jax.Array) -> jax.Array:
        return jax.vmap(jax.random.uniform)(example_keys(key, EXAMPLES // devices, DATA))

    return np.array(jax.shard_map(local, mesh=make_mesh(1, devices), in_specs=P(), out_specs=P(DATA))(key))


@pytest.mark.parametrize(("devices", "make"), [(2, jax.random.key), (8, jax.random.PRNGKey)])
def test_an_example_has_the_same_key_on_any_number_of_devices_and_another_than_its_neighbours(
    devices: int, make: type
) -> None:
    key = make(3)
    alone = np.array(jax.vmap(jax.random.uniform)(example_keys(key, EXAMPLES)))
    np.testing.assert_array_equal(drawn(devices, key), alone)
    assert len(set(alone.tolist())) == EXAMPLES


def test_keys_have_the_kind_and_the_shape_of_the_one_they_are_made_of() -> None:
    typed, raw = example_keys(jax.random.key(0), 5), example_keys(jax.random.PRNGKey(0), 5)
    assert (typed.shape, raw.shape) == ((5,), (5, 2))
    np.testing.assert_array_equal(jax.random.key_data(typed), raw)
