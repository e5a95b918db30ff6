"""The cases: workload x mode x devices x sizes, chosen and listed without loading JAX."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from toynet import modes
from toynet.config import PRESETS, VIRTUAL_SHARDS, Config, preset
from toynet.errors import UsageError, unknown

if TYPE_CHECKING:
    from toynet.paths import Path

DEVICES = (1, 2, 4, 8)
SCALINGS = ("strong", "weak")
# fast: as `toynet.paths` chooses by size, where that isn't the plain way.
PATHS = ("plain", "fast")
# The others, which divide the state as well, are there for the asking: all modes together take more than three minutes.
DEFAULT_MODES = ("single", "ensemble", "data_parallel", "ensemble_data")
# What of a selection changes a preset, and what leaves it as it is.
CHANGES = {"dtype": "float32", "compute_dtype": None, "hidden_layers": None, "hidden_dim": None}
PRESET_BATCH = {name: config.batch_size for name, config in PRESETS.items()}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What one row of a report measures."""

    workload: str
    mode: str
    member_shards: int = 1
    data_shards: int = 1
    members: int = 1
    batch: int = 32
    dtype: str = "float32"
    deterministic: bool = False
    hidden_layers: int | None = None
    hidden_dim: int | None = None
    """Both None: as the workload has it."""
    compute_dtype: str | None = None
    """Of the layers' products; None: as dtype."""
    path: str = "plain"
    """Of PATHS."""
    processes: int = 1
    """That its devices are in, as many in each; 1: in that which conducts."""

    @property
    def products(self) -> str:
        """What the layers' products are computed in."""
        return self.compute_dtype or self.dtype

    @property
    def variant(self) -> tuple[str, ...]:
        """What tells it from the workload's own: `h3x2048` (hidden layers x width), its dtypes, `fast`."""
        hidden = [] if self.hidden_layers is None else [f"h{self.hidden_layers}x{self.hidden_dim}"]
        dtypes = [self.dtype] * (self.dtype != "float32") + [self.compute_dtype or ""]
        return tuple(filter(None, [*hidden, *dtypes, "fast" if self.path == "fast" else None]))

    @property
    def layout(self) -> modes.Layout:
        return modes.Layout(
            members=self.members,
            batch=self.batch,
            member_shards=self.member_shards,
            data_shards=self.data_shards,
            **({"processes": self.processes} if self.processes > 1 else {}),  # a side's toynet may be older
        )

    @property
    def devices(self) -> int:
        return self.layout.devices

    @property
    def usual_batch(self) -> bool:
        """Whether the batch is its preset's own, and needn't be named; of a user's workload it isn't known here."""
        return PRESET_BATCH.get(self.workload, self.batch) == self.batch

    @property
    def mesh(self) -> str:
        """The devices as a mode divides them: `8`, or `4x2` for 4 member shards x 2 data shards."""
        two_axes = modes.by_name(self.mode).shards_members
        return f"{self.member_shards}x{self.data_shards}" if two_axes else str(self.devices)

    @property
    def name(self) -> str:
        """A name that tells it from every other case, such as `tutorial/ensemble_data-4x2/m64/b32`; `/p2` at its end:
        over 2 processes."""
        parts = [self.workload, f"{self.mode}-{self.mesh}", f"m{self.members}", f"b{self.batch}"]
        over = [f"p{self.processes}"] if self.processes > 1 else []
        return "/".join([*parts, *self.variant, *["deterministic"] * self.deterministic, *over])


@dataclass(frozen=True, kw_only=True)
class Own:
    """What a workload says of itself that decides which cases of it there can be."""

    name: str
    batch_size: int
    masked: bool
    virtual_shards: int
    has_parts: bool
    refused: Mapping[str, str] = field(default_factory=dict)
    """Names of the modes that it can't be run in, and why."""
    unlike: str = ""
    """What of its step isn't equal on all devices that its batch is divided over, and what to do; empty: nothing."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The lists that cases are the product of; a mode takes of each list what it can."""

    workloads: tuple[str, ...] = ("tutorial", "wide")
    modes: tuple[str, ...] | None = None
    """None: of DEFAULT_MODES those that a workload can be run in."""
    devices: tuple[int, ...] | None = None
    """None: DEVICES, as far as the backend has so many."""
    members: tuple[int, ...] = (8, 64)
    batch: tuple[int, ...] | None = None
    """None: the workload's own."""
    meshes: tuple[tuple[int, int], ...] | None = None
    """(member shards, data shards) for ensemble_data; None: the squarest mesh for each number of devices."""
    dtype: str = "float32"
    compute_dtype: str | None = None
    hidden_layers: tuple[int, ...] | None = None
    hidden_dim: tuple[int, ...] | None = None
    """None: the preset's own."""
    paths: tuple[str, ...] | None = ("plain",)
    """Of PATHS; None: plain, and on one device fast beside it."""
    deterministic: bool = False
    """Measure the bit-equal variant of each data_parallel case beside the plain one."""
    across: tuple[int, ...] | None = None
    """Over how many processes a case's devices are divided, each case as far as it can be; None: one."""
    devices_each: int | None = None
    """That a process has at most; None: as many as it's asked for, which a CPU simulates."""
    scaling: tuple[str, ...] = ()
    """Of SCALINGS: each case on one device, and its like on more. strong: with the same batch and members;
    weak: with the same of them for each device."""

    def __post_init__(self) -> None:
        for name in self.scaling:
            if name not in SCALINGS:
                raise unknown("scaling", name, SCALINGS)
        for name in self.paths or ():
            if name not in PATHS:
                raise unknown("path", name, PATHS)
        if self.scaling and (self.meshes is not None or self.deterministic):
            raise UsageError("--scaling divides one thing over all devices; it takes no --mesh and no --deterministic.")
        numbers = {"devices": self.numbers_of_devices, "members": self.members, "batch": self.batch or (1,)}
        for name, values in numbers.items():
            for value in values:
                if value < 1:
                    raise UsageError(f"{name} must be at least 1, got {value}.")
                if value >= 2**31:
                    raise UsageError(f"{name} must be below 2**31, got {value}.")
        for count in self.across or ():
            if count < 1:
                raise UsageError(f"--across must be at least 1 process, got {count}.")
        for list_name in ("workloads", "modes", "devices", "members", "paths", "across"):
            if getattr(self, list_name) == ():
                raise UsageError(f"{list_name} is empty; name at least one.")
        for mesh in self.meshes or ():
            if min(mesh) < 1:
                raise UsageError(f"a mesh needs at least 1 device on each axis, got {mesh[0]}x{mesh[1]}.")
            if max(mesh) >= 2**31:
                raise UsageError(f"a mesh needs fewer than 2**31 devices on each axis, got {mesh[0]}x{mesh[1]}.")

    @property
    def numbers_of_devices(self) -> tuple[int, ...]:
        return DEVICES if self.devices is None else self.devices


def is_own(workload: str) -> bool:
    """Whether the name is of a workload of the user's own: `module:attribute`, or a file of Python."""
    return ":" in workload or workload.endswith(".py")


def divided(name: str) -> tuple[str, str]:
    """Of an own workload's name: a module or a file, and the attribute; empty: none is named."""
    if name.endswith(".py"):
        return name, ""
    source, _, attribute = name.rpartition(":")
    return source, attribute


def plainly(workload: str) -> str:
    """A name with the path of its file in its shortest form, from here if it lies here: cases are told apart by it."""
    file, attribute = divided(workload)
    if not is_own(workload) or not file.endswith(".py"):
        return workload
    file = os.path.normpath(file)
    if os.path.isabs(file) and not (near := os.path.relpath(file)).startswith(os.pardir):
        file = near
    return ":".join([file, *filter(None, [attribute])])


def expand(
    selection: Selection,
    own_batch: Mapping[str, int] = PRESET_BATCH,
    refused: Mapping[str, Mapping[str, str]] = {},
) -> list[Case]:
    """The cases of a selection, in the order of its lists; raises UsageError if there is none.

    `own_batch` is the batch size of each workload, for a selection that names none, `refused` the modes that some of
    them can't be run in; they are left out where a selection doesn't name its modes.
    """
    named = selection.modes or DEFAULT_MODES
    chosen = {name: modes.by_name(name) for name in named}
    for workload in selection.workloads:
        if workload not in own_batch:
            if os.path.isfile(f"{workload}.py"):
                raise UsageError(f"no workload is called {workload!r}; did you mean the file {workload + '.py'!r}?")
            raise unknown("workload", workload, own_batch)
    own = [name for name in selection.workloads if name not in PRESETS]
    changes = any(getattr(selection, name) != value for name, value in CHANGES.items())
    if own and (changes or selection.deterministic or "fast" in (selection.paths or ())):
        raise UsageError(
            "--deterministic, --paths fast, --dtype, --compute-dtype, --hidden-layers and --hidden-dim are for "
            f"presets; {own[0]!r} computes as it was written."
        )
    cases = [
        case
        for workload in selection.workloads
        for network in _networks(selection, workload)
        for name, mode in chosen.items()
        if selection.modes or name not in refused.get(workload, {})
        for batch in selection.batch or (own_batch[workload],)
        for together in (_scaled if selection.scaling else _of_mode)(selection, network, mode, batch)
        for plain in _over_processes(selection, together)
        for case in _on_paths(selection, plain)
    ]
    if not cases:
        raise UsageError(
            f"no case: the modes {', '.join(named)} don't run on "
            f"{_listed(selection.numbers_of_devices)} devices{_shared(selection)}; "
            "single and ensemble take 1, data_parallel, fsdp and zero1 1 or more, ensemble_data 2 or more."
        )
    if selection.scaling and all(case.devices == 1 for case in cases):
        raise UsageError("--scaling needs a mode that divides work, such as data_parallel, and more than one device.")
    for case in cases:
        modes.check(modes.by_name(case.mode), case.layout)
    return taken(list(dict.fromkeys(cases)), "cpu")  # elsewhere fewer at most


def config(case: Case) -> Config:
    """The configuration of a preset's case; raises UsageError for a name that leads to none."""
    return preset(
        case.workload,
        batch_size=case.batch,
        dtype=case.dtype,
        compute_dtype=case.compute_dtype,
        hidden_layers=case.hidden_layers,
        hidden_dim=case.hidden_dim,
        virtual_shards=VIRTUAL_SHARDS if case.deterministic else 0,
    )


def path_of(case: Case, platform: str) -> Path:
    """How a preset's case is computed on a platform of JAX."""
    from toynet import paths  # the toynet that a worker of `ab` has may be older, and not have it

    mode = modes.by_name(case.mode)
    return paths.PLAIN if case.path == "plain" else paths.choose(config(case), mode, case.layout, platform)


def taken(cases: Sequence[Case], platform: str) -> list[Case]:
    """Without the fast cases that are computed plainly there; raises UsageError if none is left."""
    kept = [case for case in cases if case.path == "plain" or not path_of(case, platform).plain]
    if cases and not kept:
        why = path_of(cases[0], platform).why
        raise UsageError(f"no case: the fast path of {cases[0].name} is the plain one, for {why}; take --paths plain.")
    return kept


def check_divides(cases: Iterable[Case], own: Mapping[str, Own]) -> None:
    """Raises UsageError for a case whose batch can't be divided so, as far as its workload is among those known."""
    for case in cases:
        if case.workload not in own:
            continue
        known, mode = own[case.workload], modes.by_name(case.mode)
        modes.check_workload(known, mode, case.layout)
        if known.unlike and case.data_shards > 1 and not mode.shards_state:  # that steps by its parts
            raise UsageError(
                f"{case.workload!r} can't be measured in mode {case.mode!r} on {case.devices} devices, for "
                f"{known.unlike}. What needs no mean is measured by --modes single."
            )


def _on_paths(selection: Selection, plain: Case) -> list[Case]:
    """A case on the paths that were asked for; a workload of the user's own has but the plain one."""
    beside = plain.mode in ("single", "ensemble") and not selection.scaling
    paths = selection.paths or (PATHS if beside else ("plain",))
    own = PATHS if plain.workload in PRESETS else ("plain",)
    return [dataclasses.replace(plain, path=name) for name in PATHS if name in paths and name in own]


def _over_processes(selection: Selection, case: Case) -> list[Case]:
    """A case over each number of processes that can share its devices equally and have so many."""
    most = selection.devices_each or case.devices
    counts = [n for n in selection.across or (1,) if not case.devices % n and case.devices // n <= most]
    return [dataclasses.replace(case, processes=n) for n in counts]


def _shared(selection: Selection) -> str:
    """By how many processes devices are, where that may be why there is no case."""
    if not selection.across:
        return ""
    most = f", {selection.devices_each} of each at most" if selection.devices_each else ""
    return f" shared equally by {_listed(selection.across)} processes{most}"


def _of_mode(selection: Selection, network: Mapping[str, Any], mode: modes.Mode, batch: int) -> list[Case]:
    cases = [
        Case(
            mode=mode.name,
            member_shards=member_shards,
            data_shards=data_shards,
            members=members,
            batch=batch,
            **network,
        )
        for member_shards, data_shards in _meshes(selection, mode)
        for members in (selection.members if mode.ensemble else (1,))
    ]
    if selection.deterministic and mode.name == "data_parallel":
        bit_equal = [c for c in cases if VIRTUAL_SHARDS % c.data_shards == 0]
        cases += [dataclasses.replace(case, deterministic=True) for case in bit_equal]
    return cases


def _scaled(selection: Selection, network: Mapping[str, Any], mode: modes.Mode, batch: int) -> list[Case]:
    """A mode's cases on one device, and those that they scale to."""
    cases = []
    for members in selection.members if mode.ensemble else (1,):
        lone = "ensemble" if mode.ensemble else "single"
        base = Case(mode=lone, members=members, batch=batch, **network)
        cases.append(base)
        if mode.sharded:
            more = [n for n in selection.numbers_of_devices if n > 1]
            cases += [_grown(base, mode, n, name) for name in SCALINGS if name in selection.scaling for n in more]
    return cases


def _grown(base: Case, mode: modes.Mode, devices: int, scaling: str) -> Case:
    """A case on one device, on more of them: members are divided where there are several, else the batch."""
    divided = "members" if mode.shards_members else "batch"
    amount = getattr(base, divided)
    if scaling == "strong" and amount % devices:
        raise UsageError(
            f"strong scaling divides {divided} of {amount} over {devices} devices, and they can't be shared equally; "
            f"take a number that {devices} divides."
        )
    shards = {"member_shards": devices} if mode.shards_members else {"data_shards": devices}
    total = {divided: amount * devices if scaling == "weak" else amount}
    return dataclasses.replace(base, mode=mode.name, **shards, **total)


def _networks(selection: Selection, workload: str) -> list[dict[str, Any]]:
    """The workload, and what tells its networks of the sizes that are asked for from its own."""
    if workload not in PRESETS:
        return [{"workload": workload}]
    sizes = itertools.product(selection.hidden_layers or (None,), selection.hidden_dim or (None,))
    return [_network(selection, workload, layers, width) for layers, width in sizes]


def _network(selection: Selection, workload: str, layers: int | None, width: int | None) -> dict[str, Any]:
    """One network of a preset; raises UsageError for one that can't be."""
    own = PRESETS[workload]
    dtypes = {"dtype": selection.dtype, "compute_dtype": selection.compute_dtype}
    config = preset(workload, **dtypes, hidden_layers=layers, hidden_dim=width)
    resized = (config.hidden_layers, config.hidden_dim) != (own.hidden_layers, own.hidden_dim)
    return {
        "workload": workload,
        "dtype": config.dtype,
        # A preset that says so itself must be told when it is to compute as dtype.
        "compute_dtype": config.products if own.compute_dtype or config.products != config.dtype else None,
        "hidden_layers": config.hidden_layers if resized else None,
        "hidden_dim": config.hidden_dim if resized else None,
    }


def _meshes(selection: Selection, mode: modes.Mode) -> list[tuple[int, int]]:
    """The meshes of a mode: one device unless it shards, and two at least for a mesh with two axes."""
    if not mode.sharded:
        return [(1, 1)] if 1 in selection.numbers_of_devices else []
    if mode.shards_members and selection.meshes is not None:
        return list(selection.meshes)
    fewest = 2 if mode.shards_members else 1
    return [modes.mesh_for(mode, n) for n in selection.numbers_of_devices if n >= fewest]


def _listed(values: tuple[int, ...]) -> str:
    return ", ".join(str(v) for v in values)
