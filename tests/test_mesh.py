from dataclasses import dataclass

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toynet import mesh, modes
from toynet.errors import UsageError
from toynet.mesh import DATA, MEMBERS, devices_of_all, first_devices, make_mesh, simulate


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


@dataclass(frozen=True)
class Device:
    """One of the devices that JAX knows in all processes."""

    id: int
    process_index: int
    platform: str = "cpu"


def over(patch: pytest.MonkeyPatch, *each: int) -> None:
    """JAX knows so many devices of each process, and names them in an order of its own."""
    devices = [Device(100 * process + i, process) for process, count in enumerate(each) for i in range(count)]
    patch.setattr(jax, "devices", lambda: devices[::2] + devices[1::2])


def processes_of(member_shards: int, data_shards: int, processes: int) -> list[list[int]]:
    found = make_mesh(member_shards, data_shards, processes)
    assert found.axis_names == (MEMBERS, DATA)
    return [[device.process_index for device in row] for row in found.devices]


@pytest.mark.parametrize(
    ("shards", "processes", "held"),
    [
        ((1, 2), 2, [[0, 1]]),  # data_parallel
        ((1, 4), 2, [[0, 0, 1, 1]]),
        ((1, 4), 4, [[0, 1, 2, 3]]),
        ((2, 2), 2, [[0, 1], [0, 1]]),  # a process has all shards of the members
        ((4, 2), 2, [[0, 1]] * 4),
        ((4, 1), 2, [[0], [0], [1], [1]]),  # members are divided by what the data can't be
        ((2, 2), 4, [[0, 2], [1, 3]]),
        ((4, 2), 4, [[0, 2], [0, 2], [1, 3], [1, 3]]),
        ((2, 3), 2, [[0, 0, 0], [1, 1, 1]]),
    ],
)
def test_over_processes_the_data_axis_is_outermost(
    monkeypatch: pytest.MonkeyPatch, shards: tuple[int, int], processes: int, held: list[list[int]]
) -> None:
    over(monkeypatch, *[8] * processes)
    assert processes_of(*shards, processes) == held


def test_a_process_gives_the_first_of_its_devices_and_the_first_processes_are_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over(monkeypatch, 3, 4, 2)
    found = devices_of_all(4, 2)
    assert [[device.process_index for device in own] for own in found] == [[0, 0], [1, 1]]


@given(st.integers(1, 6), st.integers(1, 6), st.integers(2, 6))
def test_every_device_is_taken_once_and_those_of_a_process_are_together(
    member_shards: int, data_shards: int, processes: int
) -> None:
    member_shards *= processes // np.gcd(processes, member_shards * data_shards)  # which can be divided
    with pytest.MonkeyPatch.context() as patch:
        over(patch, *[40] * processes)
        devices = make_mesh(int(member_shards), data_shards, processes).devices
    held = np.vectorize(lambda device: device.process_index)(devices)
    assert len(set(devices.ravel())) == devices.size
    for process in range(processes):
        rows, columns = np.nonzero(held == process)
        assert len(rows) == devices.size // processes
        block = held[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert (block == process).all()
        if data_shards % processes == 0:
            assert block.shape == (member_shards, data_shards // processes)
            assert columns.min() == process * data_shards // processes


def test_processes_or_devices_that_there_are_too_few_of_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    over(monkeypatch, 4, 1)
    with pytest.raises(UsageError, match="3 processes asked for, but JAX knows 2"):
        make_mesh(1, 3, 3)
    with pytest.raises(UsageError, match="2 devices of each process asked for, but one has 1"):
        make_mesh(1, 4, 2)


def test_a_process_that_is_none_of_the_first_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    over(monkeypatch, 2, 2, 2)
    monkeypatch.setattr(jax, "process_index", lambda: 2)
    with pytest.raises(UsageError, match="JAX counts this process as 2, and the first 2 are asked for"):
        make_mesh(1, 2, 2)


def test_over_one_process_arrays_are_put_and_fetched_whole() -> None:
    sharding = jax.NamedSharding(make_mesh(1, 2), jax.P(DATA))
    put = mesh.put({"x": np.arange(4.0)}, sharding)
    assert put["x"].sharding == sharding
    assert mesh.fetched(put["x"]).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("shards", "processes"), [((1, 3), 2), ((3, 1), 2), ((2, 2), 3), ((1, 1), 2)])
def test_devices_that_processes_cannot_share_equally_are_refused(shards: tuple[int, int], processes: int) -> None:
    member_shards, data_shards = shards
    mode = modes.by_name("ensemble_data" if member_shards > 1 else "data_parallel")
    layout = modes.Layout(
        members=6 if mode.ensemble else 1,
        batch=8,
        member_shards=member_shards,
        data_shards=data_shards,
        processes=processes,
    )
    with pytest.raises(UsageError, match="processes"):
        modes.check(mode, layout)
