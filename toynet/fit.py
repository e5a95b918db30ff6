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
from toynet.program import Program
from toynet.train import Metrics, TrainState, log_probabilities


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


def epochs(program: Program, seed: int, batches: Batch, count: int) -> Iterator[tuple[TrainState, Metrics]]:
    """After each epoch the state and its last batch's metrics, which have shape (members,) where there are members.

    The next epoch deletes the state: keep the last one, or a copy (`Program.members`).
    """
    stacked = program.place_stacked(batches)
    state = program.init(program.keys(seed))
    for _ in range(count):
        state, metrics = program.epoch(state, stacked, 1)
        yield state, Metrics(*(leaf[..., -1] for leaf in program.members(metrics)))


def decide(config: Config, program: Program, state: TrainState, inputs: np.ndarray) -> Decision:
    """What the members decide about inputs of shape (n, features); a lone member is an ensemble of one."""
    members = program.members(state).params
    if not program.mode.ensemble:
        members = jax.tree.map(lambda leaf: leaf[None], members)
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
