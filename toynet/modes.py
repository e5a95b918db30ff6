"""The modes, each a frozen value, and the sizes that each takes. Imports no JAX."""

from __future__ import annotations

import math
from dataclasses import dataclass

from toynet.errors import UsageError, unknown
from toynet.workload import Workload


@dataclass(frozen=True)
class Mode:
    """A way of running one workload; what it does follows from three choices."""

    name: str
    summary: str
    ensemble: bool = False
    """Train many members at once, by vmap over their keys."""
    shards_members: bool = False
    """Divide the members over devices."""
    shards_batch: bool = False
    """Divide the batch over devices."""

    @property
    def sharded(self) -> bool:
        """Whether the mode runs under shard_map on a mesh."""
        return self.shards_members or self.shards_batch


MODES = {
    mode.name: mode
    for mode in (
        Mode("single", "one member on one device (jit)"),
        Mode("ensemble", "many members on one device (vmap over seeds)", ensemble=True),
        Mode("data_parallel", "one member, the batch divided over devices (shard_map)", shards_batch=True),
        Mode(
            "ensemble_data",
            "many members over one mesh axis, the batch over the other (shard_map of vmap)",
            ensemble=True,
            shards_members=True,
            shards_batch=True,
        ),
    )
}


def by_name(name: str) -> Mode:
    """The mode of that name; raises UsageError, with the nearest one, if there is none."""
    if name not in MODES:
        raise unknown("mode", name, MODES)
    return MODES[name]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The sizes of one case: members, global batch, and the mesh that they are divided over."""

    members: int = 1
    batch: int = 32
    member_shards: int = 1
    data_shards: int = 1

    @property
    def devices(self) -> int:
        return self.member_shards * self.data_shards

    @property
    def padded_members(self) -> int:
        """Members after padding, so that every member shard holds as many."""
        return _round_up(self.members, self.member_shards)

    def padded_batch(self, virtual_shards: int = 0) -> int:
        """Examples after padding, so that every data shard and every virtual shard holds as many."""
        return _round_up(self.batch, math.lcm(self.data_shards, virtual_shards or 1))


def mesh_for(mode: Mode, devices: int) -> tuple[int, int]:
    """(member shards, data shards) of a mode on that many devices: the squarest mesh, members first."""
    if not (mode.shards_members and mode.shards_batch):
        return (devices, 1) if mode.shards_members else (1, devices)
    data = max(d for d in range(1, math.isqrt(max(devices, 1)) + 1) if devices % d == 0)
    return devices // data, data


def check(mode: Mode, layout: Layout) -> None:
    """Raises UsageError if the mode can't run at these sizes."""
    for name in ("members", "batch", "member_shards", "data_shards"):
        if getattr(layout, name) < 1:
            raise UsageError(f"{name.replace('_', ' ')} must be at least 1, got {getattr(layout, name)}.")
    if layout.members > 1 and not mode.ensemble:
        raise UsageError(f"mode {mode.name!r} trains 1 member, got {layout.members}; 'ensemble' trains many.")
    if layout.member_shards > 1 and not mode.shards_members:
        raise UsageError(
            f"mode {mode.name!r} doesn't divide members over devices, got {layout.member_shards} shards of them; "
            "'ensemble_data' does."
        )
    if layout.data_shards > 1 and not mode.shards_batch:
        other = "ensemble_data" if mode.ensemble else "data_parallel"
        raise UsageError(f"mode {mode.name!r} runs on 1 device, got {layout.devices}; {other!r} takes several.")


def check_workload(workload: Workload, layout: Layout) -> None:
    """Raises UsageError if the workload can't be divided so."""
    if workload.virtual_shards % layout.data_shards and workload.virtual_shards:
        raise UsageError(
            f"deterministic sums are made in {workload.virtual_shards} parts, which {layout.data_shards} devices "
            "can't share equally; take a number of devices that divides it."
        )
    if layout.padded_batch(workload.virtual_shards) != layout.batch and not workload.masked:
        raise UsageError(
            f"a batch of {layout.batch} doesn't divide over {layout.data_shards} devices, and {workload.name!r} has "
            "no mask by which it could be padded; take a batch that divides."
        )


def collectives(mode: Mode, layout: Layout, virtual_shards: int = 0) -> frozenset[str]:
    """The kinds of collective that a correct step of the mode contains."""
    if not mode.shards_batch or layout.data_shards == 1:
        return frozenset()
    return frozenset({"all-gather" if virtual_shards else "all-reduce"})


def _round_up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple
