"""Training to the end: a mode's epochs one by one, and what the trained members decide."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from toynet.config import Config
from toynet.data import Batch
from toynet.modes import Layout
from toynet.program import Program
from toynet.sums import Metrics
from toynet.train import TrainState, log_probabilities

# A second or so of a CPU; less on anything else.
AT_ONCE_OPERATIONS = 10**9
# As long as a step takes at least, and one that waits for other devices.
STEP_OPERATIONS, COLLECTIVE_OPERATIONS = 10**4, 10**6
# Of one example: forward, and twice that backward.
OPERATIONS_A_PARAMETER = 6


class Decision(NamedTuple):
    """What members decide about n points, on the host."""

    mean: np.ndarray
    """The class of the highest mean probability, (n,)."""
    members: np.ndarray
    """The class that each member decides for, (members, n)."""

    @property
    def disputed(self) -> np.ndarray:
        """Where not all members decide alike, (n,)."""
        return (self.members != self.members[0]).any(axis=0)

    def dissent(self, n_classes: int) -> np.ndarray:
        """The share of members that don't decide as most of them do, (n,), from 0 to 1 - 1 / n_classes."""
        votes = [(self.members == label).mean(axis=0) for label in range(n_classes)]
        return 1 - np.max(votes, axis=0)


def epochs(
    program: Program, seed: int, batches: Batch, count: int, at_once: int = 1
) -> Iterator[tuple[TrainState, Metrics]]:
    """After every `at_once` epochs, which are one program, the state and the last batch's metrics of each: (epochs,),
    or (members, epochs) where there are members.

    The next ones delete the state: keep the last one, or a copy (`Program.members`).
    """
    stacked = program.place_stacked(batches)
    del batches  # of which this process has its part now
    state = program.init(program.keys(seed))
    for done in range(0, count, at_once):
        n = min(at_once, count - done)
        state, metrics = program.epochs(state, stacked, n, at_once)
        yield state, jax.tree.map(lambda leaf: leaf[..., :n], program.members(metrics))  # noqa: B023, used at once


def at_once(config: Config, layout: Layout) -> int:
    """Epochs that are worth one program: what is printed of them must not be long in coming."""
    operations = OPERATIONS_A_PARAMETER * config.parameters * config.train_size * layout.members
    operations += config.epoch_steps * (COLLECTIVE_OPERATIONS if layout.data_shards > 1 else STEP_OPERATIONS)
    return max(1, min(config.epochs, AT_ONCE_OPERATIONS // operations))


def trained(program: Program, state: TrainState) -> Any:
    """The parameters of all members on the host, (members, ...); a lone member is an ensemble of one.

    Over several processes all of them have to ask.
    """
    members = program.members(state).params
    return members if program.mode.ensemble else jax.tree.map(lambda leaf: leaf[None], members)


def decide(config: Config, members: Any, inputs: np.ndarray) -> Decision:
    """What members of those parameters (`trained`) decide about inputs of shape (n, features)."""
    return Decision(*map(np.asarray, _decide(config, members, inputs.astype(config.dtype))))


@functools.partial(jax.jit, static_argnums=0)
def _decide(config: Config, members: Any, inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Member by member, so that a plot's 100,000 points fit in memory for hundreds of members."""

    def member(total: jax.Array, params: Any) -> tuple[jax.Array, jax.Array]:
        log_probs = log_probabilities(config, params, inputs)
        return total + jnp.exp(log_probs), jnp.argmax(log_probs, axis=-1)

    nothing = jnp.zeros((inputs.shape[0], config.n_classes), config.dtype)
    total, decided = lax.scan(member, nothing, members)
    return jnp.argmax(total, axis=-1), decided
