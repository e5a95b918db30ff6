"""What is trained and how, as one frozen value; the presets. Imports no JAX, so listing cases is quick."""

import dataclasses
import itertools
import math
from dataclasses import dataclass
from typing import Literal

from toynet.errors import UsageError, unknown

Dtype = Literal["float32", "float64"]
ComputeDtype = Literal["float32", "float64", "bfloat16"]
Points = Literal["nested", "gaussian", "digits"]
Product = Literal["dot", "broadcast"]
Threefry = Literal["legacy", "partitionable"]

# Chunks that the batch is summed in, in a fixed order, when results must be bit-equal on 1, 2, 4, 8 devices.
VIRTUAL_SHARDS = 8
# Every layer is compiled on its own: this many take minutes.
MAX_LAYERS = 1000
# Images that scikit-learn has, of 8 x 8 pixels.
DIGITS = 1797


@dataclass(frozen=True, kw_only=True)
class Config:
    """One classifier, its optimizer and its data; the defaults are the tutorial's."""

    points: Points = "nested"
    size: int = 1000
    features: int = 2
    n_classes: int = 2
    hidden_layers: int = 1
    hidden_dim: int = 10
    learning_rate: float = 0.01
    batch_size: int = 32
    epochs: int = 100
    seed: int = 42
    dtype: Dtype = "float32"
    """Of parameters, optimizer state, the loss, and whatever is added up over devices."""
    compute_dtype: ComputeDtype | None = None
    """Of the layers' products; None: as dtype. bfloat16 goes with float32, whose parameters are then its masters."""
    product: Product = "dot"
    """How layers multiply: a matrix product, or a multiplication of its broadcast factors and a sum."""
    threefry: Threefry = "legacy"
    virtual_shards: int = 0
    """0 sums over the batch as XLA likes; n > 0 in n chunks and a fixed order."""

    def __post_init__(self) -> None:
        for name in ("features", "n_classes", "hidden_dim", "batch_size", "epochs"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}.")
            if getattr(self, name) >= 2**31:
                raise UsageError(f"{name} must be below 2**31, got {getattr(self, name)}.")
        for name in ("hidden_layers", "virtual_shards"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} can't be negative, got {getattr(self, name)}.")
        if self.hidden_layers > MAX_LAYERS:
            raise UsageError(f"hidden_layers must be at most {MAX_LAYERS}, got {self.hidden_layers}.")
        if self.parameters >= 2**31:
            raise UsageError(
                f"a network must have fewer than 2**31 parameters, got {self.parameters}; make it narrower."
            )
        if not 5 <= self.size < 2**31:
            raise UsageError(f"size must be from 5 (4 points to train, 1 to test) to 2**31 - 1, got {self.size}.")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"seed must be from 0 to 2**32 - 1, got {self.seed}.")
        if not 0 < self.learning_rate < math.inf:
            raise UsageError(f"learning_rate must be above 0 and finite, got {self.learning_rate}.")
        if self.products != self.dtype and (self.dtype, self.products) != ("float32", "bfloat16"):
            raise UsageError(
                f"compute_dtype must be {self.dtype}, as dtype is, or bfloat16 with dtype float32, "
                f"got {self.products} with dtype {self.dtype}."
            )
        self._check_points()

    def _check_points(self) -> None:
        sizes = {"nested": ("the nested classes", 2, 2), "digits": ("the digits", 64, 10)}
        if self.points in sizes:
            what, features, n_classes = sizes[self.points]
            if (self.features, self.n_classes) != (features, n_classes):
                raise UsageError(
                    f"{what} have {features} features and {n_classes} classes, "
                    f"got {self.features} and {self.n_classes}; points='gaussian' takes any."
                )
        if self.points == "gaussian" and self.n_classes > self.features:
            raise UsageError(
                f"gaussian points need at least as many features as classes, got {self.features} for {self.n_classes}."
            )
        if self.points == "digits" and self.size > DIGITS:
            raise UsageError(f"there are {DIGITS} digits, got size {self.size}; take fewer.")

    @property
    def products(self) -> ComputeDtype:
        """What the layers' products are computed in."""
        return self.compute_dtype or self.dtype

    @property
    def train_size(self) -> int:
        """Examples in the training set: the tutorial's 80%."""
        return int(0.8 * self.size)

    @property
    def epoch_steps(self) -> int:
        """Batches in one pass over the training set, the short last one included."""
        return -(-self.train_size // self.batch_size)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of one member's weights and biases, layer by layer."""
        widths = [self.features, *[self.hidden_dim] * self.hidden_layers, self.n_classes]
        return tuple(shape for a, b in itertools.pairwise(widths) for shape in ((a, b), (b,)))

    @property
    def parameters(self) -> int:
        """Weights and biases of one member."""
        return sum(math.prod(shape) for shape in self.shapes)


PRESETS = {
    "tutorial": Config(),
    "small": Config(
        points="digits",
        size=DIGITS,
        features=64,
        n_classes=10,
        hidden_dim=64,
        learning_rate=0.003,
        batch_size=64,
        epochs=20,
        threefry="partitionable",
    ),
    "wide": Config(
        points="digits",
        size=DIGITS,
        features=64,
        n_classes=10,
        hidden_layers=2,
        hidden_dim=1024,
        learning_rate=0.001,
        batch_size=512,
        epochs=10,
        threefry="partitionable",
    ),
    # Features enough for the first product to be as bound by arithmetic as the others, few enough for a batch
    # (17 MB) to be small beside the parameters (840 MB), as it would be in a network of this size.
    "xl": Config(
        points="gaussian",
        size=10240,
        features=1024,
        n_classes=10,
        hidden_layers=4,
        hidden_dim=8192,
        learning_rate=0.0001,
        batch_size=4096,
        epochs=10,
        compute_dtype="bfloat16",
        threefry="partitionable",
    ),
}


def preset(name: str, **changes: object) -> Config:
    """The preset of that name, with fields replaced; raises UsageError for a name that isn't one."""
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return dataclasses.replace(PRESETS[name], **{k: v for k, v in changes.items() if v is not None})
