"""The Workload type: all that a mode needs to know of what is trained. Imports no JAX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from toynet.errors import UsageError

if TYPE_CHECKING:
    import jax

State = Any
"""A tree of arrays: parameters, optimizer state, counters."""
Batch = Any
"""A tree of arrays whose leading axis is the example."""
Metrics = Any
"""A tree of scalars, among them `loss`."""
Params = Any
"""The leaves of a state that a loss is a function of."""


class Step(Protocol):
    """One training step, pure: with an axis name it reduces over that axis, without one it is local."""

    def __call__(self, state: State, batch: Batch, axis_name: str | None = None) -> tuple[State, Metrics]: ...


class Gradients(Protocol):
    """The raw gradients that the step feeds its optimizer, reduced as the step reduces them."""

    def __call__(self, state: State, batch: Batch, axis_name: str | None = None) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class Parts:
    """A step taken apart, local and pure, so that its state can be divided over devices leaf by leaf.

    `update` gets the same part of every leaf of a shape, and so must be elementwise in them, as adam and SGD are.
    An optimizer that looks at a whole leaf, or at several (clipping by the global norm, LAMB, adafactor), would look
    at a part and compute something else: a certificate finds that out, nothing before it does.
    """

    params: Callable[[State], Params]
    """Of a state, the leaves that are gathered for use: nothing but a selection, as `lambda state: state.params`."""
    sums: Callable[[Params, Batch], tuple[Any, Any]]
    """Over the examples given: gradients, shaped as the parameters, and the rest; both are added up over devices."""
    means: Callable[[Any, Any], tuple[Any, Metrics]]
    """What the optimizer is fed, and the metrics, from both sums over the global batch; elementwise in the former."""
    update: Callable[[State, Any], State]
    """The next state, from what the optimizer is fed."""
    keyed: Callable[[State, Batch, str | None], Batch] | None = None
    """Of a state, a device's part of the batch, and the axis: that part with what else `sums` needs, as random keys
    of its examples. Counters and keys are whole in the state, other leaves may be divided. None: it needs no more."""


@dataclass(frozen=True, kw_only=True)
class Lanes:
    """How many members step at once where every leaf of their state, and of what comes out, ends with them.

    Metrics that a member doesn't have by itself, such as a count of examples, end with them all the same.
    """

    step: Step
    gradients: Gradients | None
    block: int
    """Members that are stepped together; blocks follow one another."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What is trained, as pure functions; every mode is derived from them.

    `init(key)` gives a state, `batch(key, n)` a batch of n examples, `step(state, batch, axis_name)`
    the next state and the metrics of the global batch, among them `loss`. Within shard_map, with an axis
    name, gradients are of the loss's mean over that axis: one taken of the gradients afterwards comes too
    late, for those of a replicated state have been summed by then.
    """

    name: str
    init: Callable[[jax.Array], State]
    batch: Callable[[jax.Array, int], Batch]
    step: Step
    gradients: Gradients | None = None
    """Without them a factor in the gradient that the optimizer hides can't be seen."""
    parts: Parts | None = None
    """Without them the state can't be divided over devices, as `fsdp` and `zero1` do."""
    lanes: Lanes | None = None
    """Without them an ensemble is the step under vmap."""
    batch_size: int = 32
    epoch_steps: int = 8
    small_sums: bool = False
    """Whether its sums are of few numbers, for which XLA's CPU backend had better not call its library of long ones."""
    masked: bool = False
    """Whether examples of zeros count nothing, so that a batch may be padded with them."""
    virtual_shards: int = 0
    """How many chunks of equal size the global batch must split into (0: any batch will do)."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Names of the modes that it can't be run in, and why: the end of a sentence, without its full stop."""

    @property
    def has_parts(self) -> bool:
        """Whether its state can be divided over devices."""
        return self.parts is not None


def loss(metrics: Metrics) -> Any:
    """The loss among a step's metrics, an attribute or a key; raises UsageError if there is none."""
    if hasattr(metrics, "loss"):
        return metrics.loss
    if isinstance(metrics, dict) and "loss" in metrics:
        return metrics["loss"]
    raise UsageError(f"a step's metrics must have a `loss`, got a {type(metrics).__name__} without one.")
