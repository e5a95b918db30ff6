"""The flags by which several processes, on one machine or many, run one command together."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import tyro

from toynet import cluster
from toynet.cluster import BY_HAND, Place
from toynet.errors import UsageError

# Seconds within which all processes have to come, and to answer; half of it without a pulse is too long.
LIMIT_S = 60.0


def _flag(default: str, metavar: str) -> Any:
    return tyro.conf.arg(metavar=metavar, help_behavior_hint=f"(default: {default})")


@dataclass(frozen=True, kw_only=True)
class Joining:
    """How a process finds those that it runs a command with; without any of it, it runs alone."""

    distributed: Annotated[Literal["auto", "off"] | None, _flag("off", "{auto,off}")] = None
    """auto: join the processes that a launcher started (Slurm, Open MPI, Kubernetes, Cloud TPU), as JAX finds them."""
    coordinator: Annotated[str | None, _flag("found by --distributed auto", "HOST:PORT")] = None
    """By hand: where rank 0 listens; the same in all processes."""
    processes: Annotated[int | None, _flag("found by --distributed auto", "N")] = None
    """By hand: how many processes there are."""
    process_id: Annotated[int | None, _flag("found by --distributed auto", "RANK")] = None
    """By hand: which of them this is, from 0."""
    local_processes: Annotated[int | None, _flag("1", "N")] = None
    """Try it on this machine: N processes on loopback, the others started by this one."""

    def place(self, limit_s: float) -> Place | None:
        """Which process of how many this is, None if it runs alone; `--local-processes` makes it rank 0 of those.

        Raises UsageError for flags that don't go together, and where it is one of several that know nothing of each
        other.
        """
        by_hand = (self.coordinator, self.processes, self.process_id)
        told = any(value is not None for value in by_hand)
        if self.distributed is None and not told:
            cluster.check_alone()
        if self.local_processes is not None:
            if self.distributed is not None or told:
                raise UsageError(f"--local-processes starts processes by itself; leave --distributed, {BY_HAND} out.")
            if self.local_processes < 1:
                raise UsageError(f"--local-processes must be at least 1, got {self.local_processes}.")
            return cluster.local(self.local_processes)
        if self.distributed == "auto":
            return cluster.several(cluster.detected(*by_hand, limit_s))
        if told and self.distributed == "off":
            raise UsageError(f"--distributed off runs alone; leave {BY_HAND} out.")
        return cluster.several(cluster.told(*by_hand)) if told else None

    def given(self, but: Collection[str]) -> dict[str, str]:
        """The flags of the command that were given, without those, as far as they aren't what is the default."""
        fields = [field for field in dataclasses.fields(self) if field.name not in but]
        given = {
            field.name: getattr(self, field.name) for field in fields if getattr(self, field.name) != field.default
        }
        return {
            name.replace("_", "-"): ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            for name, value in given.items()
        }
