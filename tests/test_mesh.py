import jax
import pytest

from toynet.errors import UsageError
from toynet.mesh import DATA, MEMBERS, first_devices, make_mesh, simulate


def test_fewer_devices_than_jax_started_with_are_there_already() -> None:
    simulate(2)
    assert jax.device_count() == 8


def test_more_devices_than_jax_started_with_are_refused() -> None:
    with pytest.raises(UsageError, match="9 devices asked for, but JAX has already started with 8 in this process"):
        simulate(9)


@pytest.mark.parametrize("count", [-1, 0, 257])
def test_counts_that_cannot_be_simulated_are_refused(count: int) -> None:
    with pytest.raises(UsageError, match=f"1 to 256 devices, got {count}"):
        simulate(count)


def test_a_mesh_takes_the_first_devices_in_order() -> None:
    mesh = make_mesh(2, 3)
    assert dict(mesh.shape) == {MEMBERS: 2, DATA: 3}
    assert mesh.devices.ravel().tolist() == first_devices(6) == jax.devices()[:6]


def test_more_devices_than_the_backend_has_are_refused() -> None:
    with pytest.raises(UsageError, match="9 devices asked for, but the cpu backend has 8"):
        first_devices(9)
