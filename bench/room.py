"""How much memory a live case takes, about, and what there is for those that are alive at once. Imports no JAX.

What an estimate leaves out is small beside it or unknown: a workload of one's own counts as a worker and no more.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.cases import Case
from bench.environment import Backend
from toynet import modes
from toynet.errors import UsageError

Shapes = Sequence[Sequence[int]]

# Cores set no bound, for a worker that waits sleeps and isn't woken (no processor time and no switch of its threads
# in a second). But what is compared should be asked soon after each other, and 24 blocks of 20 ms take half a second.
WORKERS_AT_ONCE = 24
# Of a worker on a CPU, its case's arrays aside: 180 to 360 MB were seen, the files aside that all of them share.
WORKER_BYTES = 300e6
# Of a card for each process that uses it, for its context and libraries: a guess, for none was at hand to see.
CONTEXT_BYTES = 600e6
# Of a device whose peaks are measured beside the step: the arrays of bench/loops.py.
PEAKS_BYTES = 150e6
PEAKS_BYTES_ELSEWHERE = 1.6e9
# The rest is left to the files that are read and written, and to whoever else is there.
SHARE = 0.8
# For each parameter adam keeps two moments.
MOMENTS = 2


@dataclass(frozen=True)
class Need:
    """About what a live case takes where its arrays lie: of the host for a CPU's devices, else of one device."""

    lasting_bytes: float
    """While it is alive: its worker and its state."""
    passing_bytes: float
    """While it computes, besides."""
    workers: int = 1
    """On the host that has most of its processes."""


@dataclass(frozen=True)
class Room:
    """What the workers that are alive at once may take together."""

    workers: int = WORKERS_AT_ONCE
    free_bytes: float = math.inf
    """Infinite: it can't be told."""
    on_host: bool = True
    """Whether that is the host's memory, which then holds the arrays of all devices."""
    cores: int = 1
    """So many workers compute at once while they are started and checked; in blocks one does."""
    parts: bool = False
    """Whether steps are taken apart as well."""
    machines: tuple[int, ...] = ()
    """Of each of several processes its host's number; none: there is one."""

    @classmethod
    def here(
        cls,
        backend: Backend,
        cores: int,
        host_bytes: int | None,
        device_bytes: int | None,
        *,
        parts: bool,
        machines: tuple[int, ...] = (),
    ) -> Room:
        """On a backend, with the memory that is free on the fullest host, and on a device that isn't the host."""
        host, device = (math.inf if size is None else float(size) for size in (host_bytes, device_bytes))
        if backend.simulated:
            return cls(free_bytes=host, cores=cores, parts=parts, machines=machines)
        workers = max(1, int(min(WORKERS_AT_ONCE, SHARE * host / WORKER_BYTES)))
        return cls(workers, device, on_host=False, cores=cores, parts=parts, machines=machines)

    def holds(self, needs: Sequence[Need]) -> bool:
        """Whether cases with these needs may be alive at once."""
        passing = sorted((need.passing_bytes for need in needs), reverse=True)[: self.cores]
        total = sum(need.lasting_bytes for need in needs) + sum(passing)
        return sum(need.workers for need in needs) <= self.workers and total <= SHARE * self.free_bytes

    def need(self, case: Case, shapes: Shapes | None) -> Need:
        """What a case needs here; with the shapes of one member's parameters (None: not known)."""
        workers = max(Counter(self.machines[: case.processes]).values(), default=1)
        lasting = workers * WORKER_BYTES if self.on_host else CONTEXT_BYTES
        on_host = case.devices * workers // case.processes
        if self.parts:
            lasting += PEAKS_BYTES * min(on_host, self.cores) if self.on_host else PEAKS_BYTES_ELSEWHERE
        if shapes is None:
            return Need(lasting, 0.0, workers)
        devices = case.devices / on_host if self.on_host else case.devices
        # A step without its collectives has a state of its own.
        states = 2 if self.parts and case.devices > 1 else 1
        return Need(
            lasting + states * state_bytes(case, shapes) / devices,
            _passing_bytes(case, shapes) / devices,
            workers,
        )

    def check(self, case: Case, need: Need, beside: Sequence[Need]) -> None:
        """Raises UsageError if a case can't be alive with those that it is compared with.

        Refused is what has no place even while nothing is computed and nothing is left free: what computing takes
        besides is known too roughly for that. A case between the two has the room to itself and its references.
        """
        least = need.lasting_bytes + sum(other.lasting_bytes for other in beside)
        if least > self.free_bytes:
            others = f", and {_gigabytes(least)} with what it is compared with" if beside else ""
            free = f"{_gigabytes(self.free_bytes)} of {'memory' if self.on_host else 'its device'}"
            raise UsageError(
                f"{case.name} takes {_gigabytes(need.lasting_bytes)} at least{others}, but {free} are free here; "
                "take fewer members, a smaller network or other devices."
            )


def state_bytes(case: Case, shapes: Shapes) -> int:
    """Parameters and moments of all members on all devices together."""
    numbers = sum(math.prod(shape) * _copies(case, shape) for shape in shapes)
    return _itemsize(case) * numbers * case.layout.padded_members


def _passing_bytes(case: Case, shapes: Shapes) -> float:
    """On all devices: gradients and updates, as large as a state that isn't divided; activations and their gradients.

    The compiler lets some take the place of others, and needs 50% to 100% of that for `wide` (its records in results/).
    """
    whole = sum(math.prod(shape) for shape in shapes) * (1 + MOMENTS) * case.data_shards
    widths = sum(shape[-1] for shape in shapes if len(shape) == 1)
    activations = 2 * case.layout.padded_batch() * widths
    return float(_itemsize(case) * case.layout.padded_members * (whole + activations))


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB"


def _itemsize(case: Case) -> int:
    return {"float32": 4, "float64": 8}[case.dtype]


def _copies(case: Case, shape: Sequence[int]) -> int:
    """How often a member's parameter and its moments lie on all devices together: once for each data shard, or once
    divided over them."""
    mode, shards = modes.by_name(case.mode), case.data_shards
    divides = modes.divided_axis(shape, shards) is not None
    once_params, once_moments = mode.shards_params and divides, mode.shards_state and divides
    return (1 if once_params else shards) + MOMENTS * (1 if once_moments else shards)
