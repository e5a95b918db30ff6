"""The tutorial's points and others, the tutorial's split, and batches as arrays with a mask for the short last one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from toynet.config import Config

Array = Any  # a NumPy or JAX array


class Batch(NamedTuple):
    """Examples, their labels, and which of them count.

    Shapes (..., batch, features), (..., batch) and (..., batch); mask is 1 for an example, 0 for padding.
    """

    inputs: Array
    labels: Array
    mask: Array


class Points(NamedTuple):
    """Inputs of shape (n, features), float64, and labels of shape (n,)."""

    inputs: np.ndarray
    labels: np.ndarray


def nested_classes(size: int, seed: int) -> Points:
    """Two blobs and, beside them, two circles of which one lies within the other: the tutorial's ToyDataset.

    A fifth of the points are blobs, a fifth the inner circle; the outer one takes the rest,
    which at the tutorial's 1,000 is its 60%. They are those of scikit-learn's `make_blobs` and `make_circles`, bit
    for bit, made here because importing it takes longer than all of the training.
    """
    fifth = int(size * 0.2)
    blobs = _blobs(fifth, np.random.RandomState(seed), spread=1.9)
    circles = _circles(size - 2 * fifth, fifth, np.random.RandomState(seed), noise=0.05, factor=0.1)
    moved = circles.inputs * 3 + np.array([2.5, -7.0])
    return Points(np.concatenate([blobs.inputs, moved]), np.concatenate([blobs.labels, circles.labels]))


def _blobs(size: int, random: np.random.RandomState, *, spread: float) -> Points:
    """Normal points around two centres that are drawn from a square; the class is the centre."""
    centres = random.uniform(-10, 10, size=(2, 2))
    counts = size - size // 2, size // 2
    drawn = [random.normal(centre, spread, (n, 2)) for centre, n in zip(centres, counts, strict=True)]
    return _shuffled(np.concatenate(drawn), np.repeat([0, 1], counts), random)


def _circles(outer: int, inner: int, random: np.random.RandomState, *, noise: float, factor: float) -> Points:
    """Points of the unit circle (class 0) and of one `factor` as wide (class 1), with normal noise."""
    rings = [
        radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        for radius, n in ((1.0, outer), (factor, inner))
        for angles in [np.linspace(0, 2 * np.pi, n, endpoint=False)]
    ]
    points = _shuffled(np.concatenate(rings), np.repeat([0, 1], [outer, inner]), random)
    return points._replace(inputs=points.inputs + random.normal(scale=noise, size=points.inputs.shape))


def _shuffled(inputs: np.ndarray, labels: np.ndarray, random: np.random.RandomState) -> Points:
    order = np.arange(len(labels))
    random.shuffle(order)
    return Points(inputs[order], labels[order])


def gaussian_classes(size: int, seed: int, features: int, n_classes: int) -> Points:
    """Standard normal points of any dimension; the class is the largest of the first n_classes features."""
    inputs = np.random.default_rng(seed).standard_normal((size, features))
    return Points(inputs, inputs[:, :n_classes].argmax(axis=1))


def digits(size: int) -> Points:
    """The first so many of scikit-learn's 1,797 handwritten digits; 64 pixels each, from 0 to 1."""
    from sklearn.datasets import load_digits  # most of a second to import

    inputs, labels = load_digits(return_X_y=True)
    return Points(inputs[:size] / 16, labels[:size])


def torch_permutation(n: int, seed: int) -> np.ndarray:
    """What `torch.randperm(n)` gives after `manual_seed(seed)`, without torch; shape (n,).

    A Fisher-Yates shuffle that draws one 32-bit output of MT19937 a place (ATen's randperm on the CPU).
    """
    words = np.random.RandomState(seed).randint(0, 2**32, size=max(n - 1, 0), dtype=np.uint32)
    order = np.arange(n)
    for i, word in enumerate(words):
        j = i + int(word) % (n - i)
        order[i], order[j] = order[j], order[i]
    return order


def split(points: Points, seed: int) -> tuple[Points, Points]:
    """80% to train and 20% to test, as torch's `random_split` with a generator of that seed divides them."""
    order = torch_permutation(len(points.labels), seed)
    n_train = int(0.8 * len(order))
    return tuple(Points(points.inputs[part], points.labels[part]) for part in (order[:n_train], order[n_train:]))  # type: ignore[return-value]


def train_and_test(config: Config) -> tuple[Points, Points]:
    """The data set that a configuration names, split."""
    if config.points == "nested":
        points = nested_classes(config.size, config.seed)
    elif config.points == "digits":
        points = digits(config.size)
    else:
        points = gaussian_classes(config.size, config.seed, config.features, config.n_classes)
    return split(points, config.seed)


def batches(points: Points, batch_size: int, dtype: str = "float32") -> Batch:
    """All points in order, as arrays of shape (steps, batch_size, ...); the last batch is padded and masked."""
    n = len(points.labels)
    steps = -(-n // batch_size)

    def stack(values: np.ndarray) -> np.ndarray:
        padding = [(0, steps * batch_size - n)] + [(0, 0)] * (values.ndim - 1)
        return np.pad(values, padding).reshape(steps, batch_size, *values.shape[1:])

    inputs = points.inputs.astype(dtype)
    return Batch(stack(inputs), stack(points.labels.astype("int32")), stack(np.ones(n, dtype)))
