import jax.numpy as jnp
import numpy as np
import pytest

from toynet.blocks import in_blocks


@pytest.mark.parametrize(("members", "block"), [(6, 2), (7, 3), (2, 5), (1, 1)])
def test_what_is_computed_of_members_in_the_last_axis_comes_back_led_by_them(members: int, block: int) -> None:
    state = {"matrix": np.arange(members * 6.0).reshape(members, 2, 3), "scalar": np.arange(members)}

    def function(state: dict[str, jnp.ndarray], batch: jnp.ndarray) -> tuple[jnp.ndarray, jnp.ndarray]:
        assert state["matrix"].shape == (2, 3, block)
        assert state["scalar"].shape == (block,)
        return state["matrix"] * batch, state["scalar"] + 1

    doubled, next_ = in_blocks(function, block)(state, jnp.asarray(2.0))
    np.testing.assert_array_equal(doubled, 2 * state["matrix"])
    np.testing.assert_array_equal(next_, np.arange(members) + 1)
