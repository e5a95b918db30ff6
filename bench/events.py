"""What a run is to do, and what happens in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.cases import Case
from bench.measured import KINDS, PART_KINDS, REFERENCE, Block, Certificate, Compiled, Kind, Parts


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How much is measured: restarts x rounds, as far as the budget reaches.

    One round of every case is always run. Where not all restarts of all cases fit, the slowest have fewer.
    """

    restarts: int = 3
    rounds: int = 3
    block_s: float = 0.02
    budget_s: float = 150.0
    seed: int = 0
    parts: bool = False
    """Ask for blocks of the parts of a step, and of what the devices can do at most, too."""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of block that are asked for, of those that a case has."""
        return (*KINDS, *(PART_KINDS if self.parts else ()), REFERENCE)


@dataclass(frozen=True)
class Before:
    """What earlier parts of a run have done, which isn't done again."""

    known: frozenset[Case] = frozenset()
    """Compared with `single`, and taken apart if that was asked for."""
    traced: frozenset[Case] = frozenset()
    refers: bool = True
    """Whether the reference workload is run, which it isn't any more once it failed."""
    parts: int = 0
    """How many there were: the next one's orders are drawn anew."""


@dataclass(frozen=True)
class Started:
    """A case was compiled on those cores, and its first step run."""

    case: Case
    restart: int
    compiled: Compiled
    cores: tuple[int, ...]
    """Of its first process."""
    others: tuple[tuple[int, ...], ...] = ()
    """The cores of its other processes, in their order."""


@dataclass(frozen=True)
class Certified:
    """A case was compared with `single`; nothing of it is timed before, or after if it differs."""

    case: Case
    certificate: Certificate


@dataclass(frozen=True)
class TakenApart:
    """The parts of a case can be timed beside it."""

    case: Case
    parts: Parts


@dataclass(frozen=True)
class Broke:
    """A case computes something else, or its worker died or hung; nothing more is asked of it."""

    case: Case
    restart: int
    why: str


@dataclass(frozen=True)
class Sampled:
    """One block was run."""

    case: Case
    restart: int
    round: int
    kind: Kind
    block: Block


@dataclass(frozen=True)
class Traced:
    """A few steps of a case were traced after its rounds, or couldn't be, which costs it nothing."""

    case: Case
    file: Path | None
    """What Perfetto opens; None: there is none."""
    why_not: str | None = None


@dataclass(frozen=True)
class Unreferenced:
    """The case's worker couldn't run the reference workload beside it, and none is asked to any more."""

    case: Case
    why: str


@dataclass(frozen=True)
class RoundEnded:
    """Every case that is alive was asked once for each kind of block."""

    restart: int
    round: int


Event = Started | Certified | TakenApart | Broke | Sampled | Traced | Unreferenced | RoundEnded
