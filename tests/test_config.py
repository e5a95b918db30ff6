"""The presets, and the configurations that can't be."""

import re
from typing import Any

import pytest

from toynet.config import DIGITS, PRESETS, Config, preset
from toynet.errors import UsageError


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("tutorial", 52),  # (2 + 1) 10 + (10 + 1) 2
        ("small", 4810),  # (64 + 1) 64 + (64 + 1) 10
        ("wide", 1126410),  # (64 + 1) 1024 + (1024 + 1) 1024 + (1024 + 1) 10
        ("xl", 209829898),  # (1024 + 1) 8192 + 3 (8192 + 1) 8192 + (8192 + 1) 10
    ],
)
def test_a_preset_has_the_parameters_of_its_layers(name: str, parameters: int) -> None:
    assert PRESETS[name].parameters == parameters


def test_only_xl_computes_in_another_dtype_than_its_parameters_have() -> None:
    assert {config.dtype for config in PRESETS.values()} == {"float32"}
    assert {name: config.products for name, config in PRESETS.items()} == {
        "tutorial": "float32",
        "small": "float32",
        "wide": "float32",
        "xl": "bfloat16",
    }
    assert Config(dtype="float64").products == "float64"


def test_small_and_wide_train_with_four_fifths_of_all_digits() -> None:
    for name, steps in (("small", 23), ("wide", 3)):  # 1437 examples in batches of 64 and 512
        config = PRESETS[name]
        assert (config.points, config.size, config.train_size, config.epoch_steps) == ("digits", DIGITS, 1437, steps)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 1798}, "there are 1797 digits, got size 1798; take fewer."),
        ({"features": 2}, "the digits have 64 features and 10 classes, got 2 and 10; points='gaussian' takes any."),
        ({"n_classes": 9}, "the digits have 64 features and 10 classes, got 64 and 9; points='gaussian' takes any."),
        (
            {"points": "nested"},
            "the nested classes have 2 features and 2 classes, got 64 and 10; points='gaussian' takes any.",
        ),
        (
            {"dtype": "float64", "compute_dtype": "bfloat16"},
            "compute_dtype must be float64, as dtype is, or bfloat16 with dtype float32, "
            "got bfloat16 with dtype float64.",
        ),
        (
            {"compute_dtype": "float64"},
            "compute_dtype must be float32, as dtype is, or bfloat16 with dtype float32, "
            "got float64 with dtype float32.",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_what_was_expected(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        preset("small", **changes)
