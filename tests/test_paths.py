"""Which path is chosen at which sizes. That it is the quickest is measured: results/peers/switches.md."""

import pytest

from toynet import paths
from toynet.config import PRESETS, Config
from toynet.modes import MODES, Layout
from toynet.paths import PLAIN, Path, choose

TUTORIAL = Config()


def chosen(config: Config = TUTORIAL, mode: str = "single", platform: str = "cpu", **layout: int) -> Path:
    return choose(config, MODES[mode], Layout(batch=layout.pop("batch", config.batch_size), **layout), platform)


def test_the_tutorials_step_multiplies_without_matrix_products() -> None:
    assert chosen().product == "broadcast"
    assert chosen().name == "broadcast"
    assert not chosen().plain


@pytest.mark.parametrize("preset", ["wide", "xl", "small"])
def test_layers_that_are_worth_a_matrix_products_call_have_it(preset: str) -> None:
    assert chosen(PRESETS[preset]).plain


def test_little_is_multiplied_without_matrix_products_and_up_to_128_examples_a_little_more() -> None:
    wide = Config(hidden_dim=64)  # 256 weights: 6,144 multiplications at 24 examples
    batches = (24, 25, 32, 33, 128, 129)
    assert [chosen(wide, batch=n).plain for n in batches] == [False, True, True, False, False, True]
    assert [chosen(Config(hidden_dim=65), batch=n).plain for n in batches] == [True] * 6
    assert chosen(wide, mode="data_parallel", batch=48, data_shards=2).product == "broadcast"
    assert chosen(wide, mode="data_parallel", batch=50, data_shards=2).plain


def test_members_that_fill_lanes_are_stepped_in_blocks_of_equal_size() -> None:
    few, many = (chosen(mode="ensemble", members=n) for n in (paths.LANES_AT_LEAST - 1, paths.LANES_AT_LEAST))
    assert few.plain
    assert many.block == paths.LANES_AT_LEAST
    assert chosen(mode="ensemble", members=paths.BLOCK_AT_MOST * 3 - 3).block == paths.BLOCK_AT_MOST - 1
    assert chosen(mode="ensemble_data", members=4096, member_shards=2).block == paths.BLOCK_AT_MOST


def test_layers_too_large_for_lanes_are_left_to_matrix_products() -> None:
    assert not chosen(Config(hidden_layers=2, hidden_dim=24), "ensemble", members=64).plain  # 576 weights
    assert chosen(Config(hidden_layers=2, hidden_dim=25), "ensemble", members=64).plain  # 625


@pytest.mark.parametrize(("batch", "chunk"), [(32, 8), (31, 8), (2, 2)])
def test_chunks_are_no_larger_than_the_batch(batch: int, chunk: int) -> None:
    assert chosen(mode="ensemble", members=64, batch=batch).chunk == chunk


@pytest.mark.parametrize(
    ("config", "mode", "platform", "why"),
    [
        (TUTORIAL, "single", "gpu", "measured on CPUs only, and this is gpu"),
        (Config(virtual_shards=8), "single", "cpu", "a fixed order"),
        (Config(compute_dtype="bfloat16"), "single", "cpu", "of bfloat16"),
        (TUTORIAL, "fsdp", "cpu", "fsdp takes its step apart"),
        (Config(hidden_layers=2, hidden_dim=128), "ensemble", "cpu", "of 16384 weights"),
    ],
)
def test_where_no_other_path_is_known_to_be_quicker_the_plain_one_is_taken(
    config: Config, mode: str, platform: str, why: str
) -> None:
    path = chosen(config, mode, platform, members=64 if mode == "ensemble" else 1)
    assert path.plain
    assert why in path.why


def test_members_are_divided_over_the_cores_that_they_fill() -> None:
    assert [paths.member_shards(n, 4) for n in (1, 15, 16, 31, 32, 4096)] == [1, 1, 2, 3, 4, 4]


def test_the_plain_path_is_plain() -> None:
    assert PLAIN.plain
    assert PLAIN.name == "plain"


def test_members_whose_batch_is_divided_are_left_to_one_collective_for_all_of_them() -> None:
    path = chosen(mode="ensemble_data", members=4096, member_shards=2, data_shards=2)
    assert path.plain
    assert "blocks of members would each have a collective" in path.why
