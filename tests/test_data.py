import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits, make_blobs, make_circles

from toynet.config import DIGITS, PRESETS, Config
from toynet.data import (
    Batch,
    Points,
    batches,
    digits,
    gaussian_classes,
    nested_classes,
    split,
    torch_permutation,
    train_and_test,
)

GAUSSIAN = Config(points="gaussian", size=50, features=6, n_classes=3)
SIZES, SEEDS = st.integers(5, 300), st.integers(0, 2**32 - 1)


def numbered(n: int) -> Points:
    """Points that are told apart by their first feature."""
    return Points(np.stack([np.arange(1.0, n + 1), np.zeros(n)], axis=1), np.arange(n) % 2)


@pytest.mark.parametrize(("size", "seed"), [(1000, 42), (5, 0), (11, 1), (1003, 2**32 - 1)])
def test_nested_classes_are_those_of_the_tutorials_dataset_bit_for_bit(size: int, seed: int) -> None:
    inputs, labels = make_blobs(int(size * 0.2), 2, centers=2, cluster_std=1.9, random_state=seed)[:2]
    sizes: Any = (size - 2 * int(size * 0.2), int(size * 0.2))  # at the tutorial's 1,000 its 60% and 20%
    circles, circle_labels = make_circles(sizes, noise=0.05, factor=0.1, random_state=seed)
    circles = np.asarray(circles) * 3
    circles[:, 0] = circles[:, 0] + 2.5
    circles[:, 1] = circles[:, 1] - 7
    points = nested_classes(size, seed)
    np.testing.assert_array_equal(points.inputs, np.concatenate((inputs, circles)))
    np.testing.assert_array_equal(points.labels, np.concatenate((labels, circle_labels)))


@settings(max_examples=40)
@given(SIZES, SEEDS)
def test_any_size_and_seed_gives_that_many_points_the_same_each_time(size: int, seed: int) -> None:
    points = nested_classes(size, seed)
    assert points.inputs.shape == (size, 2)
    assert points.labels.shape == (size,)
    assert np.isfinite(points.inputs).all()
    assert set(points.labels) == {0, 1}
    np.testing.assert_array_equal(points.inputs, nested_classes(size, seed).inputs)


def test_gaussian_points_belong_to_their_largest_feature_among_the_classes() -> None:
    inputs, labels = gaussian_classes(100, 0, features=6, n_classes=3)
    assert inputs.shape == (100, 6)
    for point, label in zip(inputs, labels, strict=True):
        assert (point[label] >= point[:3]).all()


def test_digits_are_scikit_learns_images_with_pixels_from_0_to_1() -> None:
    images: Any = load_digits()
    inputs, labels = digits(DIGITS)
    assert inputs.shape == (DIGITS, 64)
    assert (inputs.min(), inputs.max()) == (0, 1)
    np.testing.assert_array_equal(inputs.reshape(-1, 8, 8) * 16, images.images)
    np.testing.assert_array_equal(labels, images.target)
    assert set(labels) == set(range(10))


def test_fewer_digits_are_the_first_of_them() -> None:
    np.testing.assert_array_equal(digits(30).inputs, digits(DIGITS).inputs[:30])
    np.testing.assert_array_equal(digits(30).labels, digits(DIGITS).labels[:30])


def test_digits_are_split_as_the_seed_says_the_same_each_time() -> None:
    config = PRESETS["small"]
    train, test = train_and_test(config)
    order = torch_permutation(DIGITS, config.seed)
    np.testing.assert_array_equal(train.inputs, digits(DIGITS).inputs[order[:1437]])
    np.testing.assert_array_equal(test.labels, digits(DIGITS).labels[order[1437:]])
    np.testing.assert_array_equal(train.inputs, train_and_test(config)[0].inputs)
    other = train_and_test(dataclasses.replace(config, seed=0))[1]
    assert (other.labels != test.labels).any()


@settings(max_examples=40)
@given(st.integers(0, 300), SEEDS)
def test_a_permutation_holds_every_index_once(n: int, seed: int) -> None:
    assert sorted(torch_permutation(n, seed)) == list(range(n))


@settings(max_examples=40)
@given(SIZES, SEEDS)
def test_a_split_keeps_every_point_with_its_label_and_trains_with_four_fifths(size: int, seed: int) -> None:
    whole = numbered(size)
    parts = split(whole, seed)
    assert [len(part.labels) for part in parts] == [int(0.8 * size), size - int(0.8 * size)]
    order = np.concatenate([part.inputs[:, 0] for part in parts]).astype(int) - 1
    assert sorted(order) == list(range(size))
    np.testing.assert_array_equal(np.concatenate([part.labels for part in parts]), whole.labels[order])


@settings(max_examples=60)
@given(st.integers(1, 100), st.integers(1, 120))
def test_batches_hold_each_example_once_in_order_and_zeros_elsewhere(n: int, batch_size: int) -> None:
    points = numbered(n)
    stacked = batches(points, batch_size)
    steps = -(-n // batch_size)
    assert stacked.inputs.shape == (steps, batch_size, 2)
    assert stacked.labels.shape == stacked.mask.shape == (steps, batch_size)
    counts = stacked.mask == 1
    np.testing.assert_array_equal(stacked.inputs[counts], points.inputs)
    np.testing.assert_array_equal(stacked.labels[counts], points.labels)
    assert not stacked.mask[~counts].any()
    assert not stacked.inputs[~counts].any()
    assert counts[:-1].all()
    assert counts[-1].sum() == n - (steps - 1) * batch_size


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batches_have_the_dtype_asked_for_and_int32_labels(dtype: str) -> None:
    stacked = batches(numbered(5), 2, dtype)
    assert Batch(*(str(leaf.dtype) for leaf in stacked)) == (dtype, "int32", dtype)


@pytest.mark.parametrize("config", [Config(size=50), PRESETS["wide"], GAUSSIAN], ids=["nested", "digits", "gaussian"])
def test_a_configurations_points_are_split_as_it_says(config: Config) -> None:
    train, test = train_and_test(config)
    assert train.inputs.shape == (config.train_size, config.features)
    assert test.inputs.shape == (config.size - config.train_size, config.features)
    assert batches(train, config.batch_size).mask.shape[0] == config.epoch_steps
