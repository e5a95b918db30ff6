import dataclasses
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toynet import modes
from toynet.errors import UsageError
from toynet.modes import MODES, Layout, by_name, check, check_workload, collectives, divided_axis, mesh_for
from toynet.workload import Workload


def test_the_six_modes_are_values_that_compare_and_hash() -> None:
    assert set(MODES) == {"single", "ensemble", "data_parallel", "ensemble_data", "fsdp", "zero1"}
    assert len(set(MODES.values())) == 6
    assert by_name("single") is MODES["single"]


def test_an_unknown_mode_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"no mode is called 'data_paralel'; did you mean 'data_parallel'\?"):
        by_name("data_paralel")


@pytest.mark.parametrize(
    ("mode", "devices", "mesh"),
    [
        ("single", 1, (1, 1)),
        ("ensemble", 1, (1, 1)),
        ("data_parallel", 8, (1, 8)),
        ("fsdp", 4, (1, 4)),
        ("zero1", 3, (1, 3)),
        ("ensemble_data", 1, (1, 1)),
        ("ensemble_data", 2, (2, 1)),
        ("ensemble_data", 4, (2, 2)),
        ("ensemble_data", 6, (3, 2)),
        ("ensemble_data", 7, (7, 1)),
        ("ensemble_data", 8, (4, 2)),
    ],
)
def test_a_mesh_is_as_square_as_the_devices_allow(mode: str, devices: int, mesh: tuple[int, int]) -> None:
    assert mesh_for(MODES[mode], devices) == mesh


@given(st.sampled_from(sorted(MODES)), st.integers(1, 64))
def test_a_mesh_uses_every_device(mode: str, devices: int) -> None:
    member_shards, data_shards = mesh_for(MODES[mode], devices)
    assert member_shards * data_shards == devices


@given(st.integers(1, 100), st.integers(1, 100), st.integers(1, 8), st.integers(1, 8), st.sampled_from([0, 8]))
def test_padding_is_the_least_that_divides(
    members: int, batch: int, member_shards: int, data_shards: int, virtual_shards: int
) -> None:
    layout = Layout(members=members, batch=batch, member_shards=member_shards, data_shards=data_shards)
    assert layout.padded_members % member_shards == 0
    assert 0 <= layout.padded_members - members < member_shards
    padded = layout.padded_batch(virtual_shards)
    assert padded % data_shards == 0
    assert padded % (virtual_shards or 1) == 0
    assert 0 <= padded - batch < data_shards * max(virtual_shards, 1)


@pytest.mark.parametrize(
    ("mode", "layout", "message"),
    [
        ("single", Layout(batch=0), "batch must be at least 1, got 0"),
        ("ensemble", Layout(members=-1), "members must be at least 1, got -1"),
        ("ensemble_data", Layout(member_shards=0), "member shards must be at least 1, got 0"),
        ("single", Layout(members=2), "mode 'single' trains 1 member, got 2; 'ensemble' trains many"),
        ("single", Layout(data_shards=2), "mode 'single' runs on 1 device, got 2; 'data_parallel' takes several"),
        ("ensemble", Layout(data_shards=2), "mode 'ensemble' runs on 1 device, got 2; 'ensemble_data' takes several"),
        ("ensemble", Layout(member_shards=2), "mode 'ensemble' doesn't divide members over devices, got 2 shards"),
        ("data_parallel", Layout(member_shards=2), "mode 'data_parallel' doesn't divide members over devices"),
    ],
)
def test_sizes_that_a_mode_does_not_take_are_refused(mode: str, layout: Layout, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check(MODES[mode], layout)


def test_only_a_divided_batch_needs_a_collective() -> None:
    split = Layout(data_shards=4)
    assert collectives(MODES["data_parallel"], split) == {"all-reduce"}
    assert collectives(MODES["data_parallel"], split, virtual_shards=8) == {"all-gather"}
    assert collectives(MODES["ensemble_data"], Layout(members=4, member_shards=4)) == set()
    assert collectives(MODES["data_parallel"], Layout()) == set()
    assert collectives(MODES["single"], Layout()) == set()


def test_a_divided_state_is_gathered_and_scattered_unless_no_leaf_divides() -> None:
    split = Layout(data_shards=4)
    for mode in (MODES["fsdp"], MODES["zero1"]):
        assert collectives(mode, split) == {"all-gather", "reduce-scatter", "all-reduce"}
        assert collectives(mode, split, divided_params=False) == {"all-reduce"}
        assert collectives(mode, Layout()) == set()


@pytest.mark.parametrize(
    ("shape", "devices", "axis"),
    [
        ((6, 4), 2, 0),
        ((6, 4), 4, 1),
        ((6, 4), 5, None),
        ((), 2, None),
        ((0, 4), 2, 1),
        ((2, 2), 4, None),
        ((6,), 1, None),
    ],
)
def test_a_leaf_is_divided_along_its_first_axis_that_the_devices_share_equally(
    shape: tuple[int, ...], devices: int, axis: int | None
) -> None:
    assert divided_axis(shape, devices) == axis


def test_a_workload_whose_state_cannot_be_divided_is_refused() -> None:
    bare = Workload(
        name="mine", init=lambda key: 0, batch=lambda key, n: 0, step=lambda state, batch, axis_name=None: (0, 0)
    )
    check_workload(bare, MODES["data_parallel"], Layout())
    for mode in (MODES["fsdp"], MODES["zero1"]):
        with pytest.raises(UsageError, match=f"mode '{mode.name}' divides the state leaf by leaf, and 'mine' has no"):
            check_workload(bare, mode, Layout(data_shards=2))
        with pytest.raises(UsageError, match=f"fixed order, which mode '{mode.name}' doesn't keep; 'data_parallel'"):
            check_workload(dataclasses.replace(bare, virtual_shards=8), mode, Layout())


def test_modes_and_presets_load_no_jax() -> None:
    code = "import sys, toynet.modes, toynet.config, toynet.__main__; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=300, check=False).returncode == 0
    assert modes.__doc__
