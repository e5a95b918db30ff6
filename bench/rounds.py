"""Blocks of two sides in turn, in an order that is reversed each round. Knows neither JAX nor processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.measured import Block

A, B = 0, 1


@dataclass(frozen=True)
class Round:
    """A block of each side, the one that came first, and the seconds from asking to answers."""

    first: int
    """0: A, 1: B."""
    blocks: tuple[Block, Block]
    asked_s: float

    @property
    def log(self) -> float:
        """The log-ratio of step times, B over A."""
        a, b = self.blocks
        return math.log(b.seconds / b.steps) - math.log(a.seconds / a.steps)


def alternating(
    ask: Callable[[int], Block], first: int, clock: Callable[[], float], *, fewest: int, seconds: float
) -> Iterator[Round]:
    """Rounds, an even number of them, in an order that is reversed each time: A B, B A, ...

    `ask` gives a block of a side. There are `fewest` at least, and more while two of them fit in so many seconds.
    """
    began, played, round_s = clock(), 0, 0.0
    while played % 2 or played < fewest or clock() - began + 2 * round_s < seconds:
        asked = clock()
        early, late = ask(first), ask(1 - first)
        round_s = clock() - asked
        yield Round(first, (early, late) if first == A else (late, early), round_s)
        first, played = 1 - first, played + 1
