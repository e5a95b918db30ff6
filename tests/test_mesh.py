import re

import jax
import pytest

from toynet.errors import UsageError
from toynet.mesh import DATA, MEMBERS, check_xla_flags, first_devices, make_mesh, simulate


@pytest.mark.parametrize(
    "flags",
    ["", "   ", "--xla_force_host_platform_device_count=8", "--xla_cpu_multi_thread_eigen=false --xla_dump_to=a"],
)
def test_flags_that_begin_with_two_hyphens_pass(flags: str) -> None:
    check_xla_flags({"XLA_FLAGS": flags})


def test_no_flags_and_a_file_of_them_pass(tmp_path_factory: pytest.TempPathFactory) -> None:
    check_xla_flags({})
    file = tmp_path_factory.mktemp("flags") / "flags.txt"
    file.write_text("--xla_cpu_multi_thread_eigen=false")
    check_xla_flags({"XLA_FLAGS": str(file)})


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("\u2014xla_dump_to=a", "has '\u2014' (U+2014) in '\u2014xla_dump_to=a'"),
        ("--xla_a=1 \u2013xla_b=2", "has '\u2013' (U+2013)"),
        ("--xla_a=1 xla_b=2", "XLA_FLAGS has 'xla_b=2', which doesn't begin with '--'"),
        ("-xla_a=1 --xla_b=2", "XLA_FLAGS has '-xla_a=1'"),
        ("xla_a=1", "XLA_FLAGS is 'xla_a=1': neither flags that begin with '--' nor a file of them"),
    ],
)
def test_flags_that_xla_would_abort_on_are_refused(flags: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        check_xla_flags({"XLA_FLAGS": flags})


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
