"""The flags of `python -m toynet train`, and what they ask for. Imports no JAX."""

from __future__ import annotations

import math
import pathlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import tyro

from toynet import joining, modes, paths
from toynet.config import VIRTUAL_SHARDS, ComputeDtype, Config, Dtype, Threefry, preset
from toynet.errors import UsageError
from toynet.joining import Joining
from toynet.modes import Layout, Mode

DEFAULT_MEMBERS = 8


def _flag(default: str, *, metavar: str | None = None, aliases: Sequence[str] = ()) -> Any:
    return tyro.conf.arg(metavar=metavar, aliases=list(aliases), help_behavior_hint=f"(default: {default})")


@dataclass(frozen=True, kw_only=True)
class Training:
    """What is trained, and how."""

    preset: str = "tutorial"
    """What to train: 'tutorial' (2-10-2), 'small' (64-64-10), 'wide' (64-1024-1024-10) or 'xl' (4 x 8192 hidden)."""
    mode: Annotated[
        str | None,
        _flag(
            "single; with --seeds over a CPU's cores; data_parallel or, with --seeds, ensemble_data over processes",
            metavar="STR",
        ),
    ] = None
    """How to run it: 'single', 'ensemble', 'data_parallel', 'ensemble_data', 'fsdp' or 'zero1'."""
    devices: Annotated[int | None, _flag("1, or as --mesh says; over processes all, one each of CPUs", metavar="N")] = (
        None
    )
    """Devices to divide the work over, in all processes together; a CPU simulates them."""
    seeds: Annotated[int | None, _flag(f"{DEFAULT_MEMBERS} in an ensemble", metavar="N", aliases=["--members"])] = None
    """Members of an ensemble; their seeds count up from --seed."""
    mesh: Annotated[str | None, _flag("the squarest", metavar="AxB")] = None
    """For 'ensemble_data': members divided over A devices, the batch over B, as in 4x2."""
    batch: Annotated[int | None, _flag("the preset's", metavar="N")] = None
    """Examples in a global batch."""
    epochs: Annotated[int | None, _flag("the preset's", metavar="N")] = None
    """Passes over the training set."""
    size: Annotated[int | None, _flag("the preset's", metavar="N")] = None
    """Points in the data set; 80% are trained with."""
    seed: Annotated[int | None, _flag("the preset's", metavar="N")] = None
    """Seed of the data and of the first member."""
    learning_rate: Annotated[float | None, _flag("the preset's", metavar="X")] = None
    """Adam's learning rate."""
    hidden_layers: Annotated[int | None, _flag("the preset's", metavar="N")] = None
    """Hidden layers of the network."""
    hidden_dim: Annotated[int | None, _flag("the preset's", metavar="N")] = None
    """Width of each hidden layer."""
    dtype: Annotated[Dtype | None, _flag("the preset's", metavar="{float32,float64}")] = None
    """What it computes in."""
    compute_dtype: Annotated[ComputeDtype | None, _flag("the preset's", metavar="{float32,float64,bfloat16}")] = None
    """What the layers' products are computed in, as --dtype or bfloat16; parameters and sums keep --dtype."""
    threefry: Annotated[Threefry | None, _flag("the preset's", metavar="{legacy,partitionable}")] = None
    """Random bits as JAX made them before 0.5, as the tutorial printed, or as it makes them today."""
    path: Literal["fast", "plain"] = "fast"
    """How steps are computed: as is quickest at their sizes, or plainly; the results are the same but for roundings."""
    explain: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Say how it will be run, and why so."""
    deterministic: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Sum in a fixed order, so that 'data_parallel' gives the same bits on 1, 2, 4 and 8 devices."""
    plot: Annotated[pathlib.Path | None, _flag("no pictures", metavar="DIR")] = None
    """Folder for pictures of the data, its split and the decision."""
    quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the final accuracy only."""


@dataclass(frozen=True, kw_only=True)
class Train(Joining, Training):
    """Train the tutorial's classifier and print its accuracy on the test set.

    Example: python -m toynet train --mode ensemble_data --seeds 16 --devices 4 --plot pictures
    """

    time_limit: Annotated[float | None, _flag(f"{joining.LIMIT_S:g}", metavar="SECONDS")] = None
    """Over several processes: within it all have to come, and one that gives no sign of life for half of it is lost."""

    @property
    def limit_s(self) -> float:
        """The time limit of several processes; raises UsageError for one that can't be."""
        limit_s = joining.LIMIT_S if self.time_limit is None else self.time_limit
        if not 0 < limit_s < math.inf:
            raise UsageError(f"--time-limit must be above 0 and finite, got {limit_s:g}.")
        return limit_s


@dataclass(frozen=True)
class Room:
    """What there is to train on, as far as it says how, where the flags don't."""

    cores: int = 1
    """Of a CPU, which members are divided over."""
    processes: int = 1
    devices: int = 1
    """That are taken, in all processes together, unless the flags say otherwise."""


def asked(options: Train, room: Room) -> tuple[Config, Mode, Layout]:
    """What the options ask for in that room; raises UsageError where it can't be."""
    config, mode, layout = config_of(options), mode_of(options, room), layout_of(options, room)
    modes.check(mode, layout)
    last_seed = config.seed + layout.members - 1
    if last_seed >= 2**32:
        raise UsageError(f"members' seeds go up to 2**32 - 1, and the last would be {last_seed}; take a lower --seed.")
    if options.plot and config.features != 2:
        raise UsageError(f"--plot draws points of 2 features, and preset {options.preset!r} has {config.features}.")
    return config, mode, layout


def config_of(options: Training) -> Config:
    """The preset with the options' changes; raises UsageError for a value that can't be."""
    return preset(
        options.preset,
        batch_size=options.batch,
        epochs=options.epochs,
        size=options.size,
        seed=options.seed,
        learning_rate=options.learning_rate,
        hidden_layers=options.hidden_layers,
        hidden_dim=options.hidden_dim,
        dtype=options.dtype,
        compute_dtype=options.compute_dtype,
        threefry=options.threefry,
        virtual_shards=VIRTUAL_SHARDS if options.deterministic else None,
    )


def mode_of(options: Training, room: Room) -> Mode:
    """The mode asked for, or what the other options ask for in that room; raises UsageError for one that isn't to be
    had there."""
    if options.mode is None and room.processes > 1:
        return modes.MODES["data_parallel" if options.seeds is None else "ensemble_data"]
    if options.mode is None and options.seeds is None:
        return modes.MODES["single"]
    if options.mode is None:
        return modes.MODES["ensemble_data" if options.mesh or _devices(options, room) > 1 else "ensemble"]
    mode = modes.by_name(options.mode)
    if room.processes > 1 and not mode.sharded:
        other = "ensemble_data" if mode.ensemble else "data_parallel"
        raise UsageError(
            f"mode {mode.name!r} runs in 1 process, and there are {room.processes}; {other!r} takes several."
        )
    return mode


def layout_of(options: Training, room: Room) -> Layout:
    """Members, batch and mesh; raises UsageError for a mesh that isn't one or doesn't have those devices."""
    mode = mode_of(options, room)
    if options.devices is not None and options.devices < 1:
        raise UsageError(f"--devices must be at least 1, got {options.devices}.")
    member_shards, data_shards = _mesh(mode, options, room)
    members = options.seeds if options.seeds is not None else DEFAULT_MEMBERS if mode.ensemble else 1
    batch = config_of(options).batch_size
    return Layout(
        members=members,
        batch=batch,
        member_shards=member_shards,
        data_shards=data_shards,
        processes=room.processes,
    )


def _devices(options: Training, room: Room) -> int:
    """What members are divided over where no mode was named: as many as --devices says, else cores that they fill."""
    if options.devices is not None or options.seeds is None or room.processes > 1:
        return options.devices or room.devices
    return paths.member_shards(options.seeds, room.cores)


def _mesh(mode: Mode, options: Training, room: Room) -> tuple[int, int]:
    if options.mesh is None and options.mode is None and mode.ensemble:
        return _devices(options, room), 1
    if options.mesh is None:
        return modes.mesh_for(mode, options.devices or room.devices)
    if not (mode.shards_members and mode.shards_batch):
        raise UsageError(f"--mesh is for mode 'ensemble_data', got mode {mode.name!r}.")
    match = re.fullmatch(r"([1-9][0-9]*)x([1-9][0-9]*)", options.mesh, re.ASCII)
    if not match:
        raise UsageError(f"--mesh must be two numbers from 1 with an x between, as in 4x2, got {options.mesh!r}.")
    mesh = int(match[1]), int(match[2])
    if options.devices not in (None, mesh[0] * mesh[1]):
        raise UsageError(
            f"--mesh {options.mesh} has {mesh[0] * mesh[1]} devices, but --devices says {options.devices}."
        )
    return mesh
