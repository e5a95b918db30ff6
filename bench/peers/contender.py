"""What a contender is, and what it tells. Needs the standard library and msgspec only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec


class Learned(msgspec.Struct, frozen=True):
    """What came of trainings from several seeds, for luck with the first weights decides a single one."""

    accuracy: float
    """On the test set, the mean over seeds."""
    seeds: int


class Took(msgspec.Struct, frozen=True):
    """A block: whole trainings, of all members, and their time together."""

    trainings: int
    seconds: float


@dataclass(frozen=True)
class Contender:
    """A way of training that is ready to begin, its data on the host."""

    train: Callable[[int], Any]
    """Trains from the first weights, which it draws by a seed, to the last, and waits for them. Members have seeds
    that count up from it."""
    accuracy: Callable[[Any], float]
    """On the test set, of what `train` gave: the mean over members."""
    trainings: int = 1
    """In one call of `train`."""


class Opponent(Protocol):
    """Whoever is asked for blocks; each call may raise WorkerFailed, which costs its rows only."""

    def prepare(self) -> None: ...
    def judge(self) -> Learned: ...
    def block(self) -> Took: ...
    def close(self) -> None: ...
