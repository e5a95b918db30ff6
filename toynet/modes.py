"""The modes, each a frozen value, and the sizes that each takes. Imports no JAX."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from toynet.errors import UsageError, unknown


@dataclass(frozen=True)
class Mode:
    """A way of running one workload; what it does follows from a few choices."""

    name: str
    summary: str
    ensemble: bool = False
    """Train many members at once, by vmap over their keys."""
    shards_members: bool = False
    """Divide the members over devices."""
    shards_batch: bool = False
    """Divide the batch over devices."""
    shards_state: bool = False
    """Divide what else a state holds than parameters, such as the optimizer's moments, over the batch's devices."""
    shards_params: bool = False
    """Divide the parameters, too."""

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
        Mode(
            "fsdp",
            "data_parallel, and parameters and optimizer state divided as well, gathered for use (shard_map)",
            shards_batch=True,
            shards_state=True,
            shards_params=True,
        ),
        Mode(
            "zero1",
            "data_parallel, and the optimizer state divided as well, each device updating its part (shard_map)",
            shards_batch=True,
            shards_state=True,
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
    processes: int = 1
    """That the devices are in, as many in each."""

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
    for name in ("members", "batch", "member_shards", "data_shards", "processes"):
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
    if layout.devices % layout.processes:
        raise UsageError(
            f"{layout.devices} devices can't be shared equally by {layout.processes} processes; take a number of "
            f"devices that {layout.processes} divides."
        )


class Divisible(Protocol):
    """What says how a batch and a state may be divided: a workload, or what is known of one."""

    @property
    def name(self) -> str: ...
    @property
    def masked(self) -> bool: ...
    @property
    def virtual_shards(self) -> int: ...
    @property
    def has_parts(self) -> bool: ...
    @property
    def refused(self) -> Mapping[str, str]: ...


def check_workload(workload: Divisible, mode: Mode, layout: Layout) -> None:
    """Raises UsageError if the workload can't be run or divided so."""
    if why := workload.refused.get(mode.name):
        raise UsageError(f"{workload.name!r} can't be run in mode {mode.name!r}: {why}.")
    if mode.shards_state and workload.virtual_shards:
        raise UsageError(
            f"deterministic sums are made in a fixed order, which mode {mode.name!r} doesn't keep; "
            "'data_parallel' does."
        )
    if mode.shards_state and not workload.has_parts:
        raise UsageError(
            f"mode {mode.name!r} divides the state leaf by leaf, and {workload.name!r} has no `parts` that say how to "
            "step on a part of it; give its Workload some, or take 'data_parallel'."
        )
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


def check_alone(workload: Divisible) -> None:
    """Raises UsageError if the workload's collectives can't be left out of its step."""
    if workload.virtual_shards:
        raise UsageError(
            f"deterministic sums are made in {workload.virtual_shards} parts of the whole batch, so a step without "
            "its collectives isn't to be had of them; leave deterministic out."
        )


def divided_axis(shape: Sequence[int], devices: int) -> int | None:
    """The axis along which a leaf of a divided state is divided: the first that the devices share equally, if any."""
    axes = [axis for axis, size in enumerate(shape) if size and size % devices == 0]
    return axes[0] if axes and devices > 1 else None


def collectives(mode: Mode, layout: Layout, virtual_shards: int = 0, *, divided_params: bool = True) -> frozenset[str]:
    """The kinds of collective that a correct step of the mode contains.

    `divided_params`: whether any leaf of the parameters can be divided, in a mode that divides the state.
    """
    if not mode.shards_batch or layout.data_shards == 1:
        return frozenset()
    if mode.shards_state and divided_params:
        return frozenset({"all-gather", "reduce-scatter", "all-reduce"})  # the last of the loss, and what stays whole
    return frozenset({"all-gather" if virtual_shards else "all-reduce"})


def _round_up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple
