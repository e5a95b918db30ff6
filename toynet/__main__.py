"""`python -m toynet train`: the tutorial's classifier in any mode. JAX is loaded once the flags make sense."""

from __future__ import annotations

import os
import pathlib
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from toynet import modes, paths
from toynet.arguments import parsed
from toynet.config import VIRTUAL_SHARDS, ComputeDtype, Config, Dtype, Threefry, preset
from toynet.errors import UsageError
from toynet.modes import Layout, Mode
from toynet.paths import Path
from toynet.xla import usable_cores

if TYPE_CHECKING:
    import numpy as np

    from toynet.data import Points
    from toynet.fit import Decision
    from toynet.program import Program
    from toynet.train import TrainState

DEFAULT_MEMBERS = 8
OUT_OF_MEMORY = r"RESOURCE_EXHAUSTED|Out of memory"  # the first on a GPU, the second on a CPU


def _flag(default: str, *, metavar: str | None = None, aliases: Sequence[str] = ()) -> Any:
    return tyro.conf.arg(metavar=metavar, aliases=list(aliases), help_behavior_hint=f"(default: {default})")


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train the tutorial's classifier and print its accuracy on the test set.

    Example: python -m toynet train --mode ensemble_data --seeds 16 --devices 4 --plot pictures
    """

    preset: str = "tutorial"
    """What to train: 'tutorial' (2-10-2), 'small' (64-64-10), 'wide' (64-1024-1024-10) or 'xl' (4 x 8192 hidden)."""
    mode: Annotated[str | None, _flag("single; with --seeds over a CPU's cores", metavar="STR")] = None
    """How to run it: 'single', 'ensemble', 'data_parallel', 'ensemble_data', 'fsdp' or 'zero1'."""
    devices: Annotated[int | None, _flag("1, or as --mesh says", metavar="N")] = None
    """Devices to divide the work over; a CPU simulates them."""
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


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line; its exit status: 0 done, 2 unusable input, 130 interrupted."""
    try:
        train(parsed("python -m toynet", sys.argv[1:] if argv is None else argv, {"train": Train}))
        sys.stdout.flush()
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read the lines has left (`| head`); nothing more can be printed, at exit neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 130
    return 0


def train(options: Train) -> None:
    """Trains, prints and draws what the options ask for; raises UsageError before anything is written."""
    cores = len(usable_cores())
    config, mode, layout = config_of(options), mode_of(options, cores), layout_of(options, cores)
    modes.check(mode, layout)
    last_seed = config.seed + layout.members - 1
    if last_seed >= 2**32:
        raise UsageError(f"members' seeds go up to 2**32 - 1, and the last would be {last_seed}; take a lower --seed.")
    if options.plot and config.features != 2:
        raise UsageError(f"--plot draws points of 2 features, and preset {options.preset!r} has {config.features}.")
    with _ready(config, layout):
        from toynet.mesh import first_devices
        from toynet.program import bind
        from toynet.train import workload

        platform = first_devices(1)[0].platform
        if platform != "cpu":  # whose cores say nothing then
            mode, layout = mode_of(options), layout_of(options)
        fast = paths.choose(config, mode, layout, platform)
        path = paths.PLAIN if options.path == "plain" else fast
        program = bind(workload(options.preset, config, path), mode, layout)
        if options.explain:
            print(_explained(program, config, path))
        if options.plot:
            _check_folder(options.plot)
        _train(program, config, options)


def config_of(options: Train) -> Config:
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


def mode_of(options: Train, cores: int = 1) -> Mode:
    """The mode asked for, or what the other options ask for on a CPU of that many cores; raises UsageError."""
    if options.mode is not None:
        return modes.by_name(options.mode)
    if options.seeds is None:
        return modes.MODES["single"]
    return modes.MODES["ensemble_data" if options.mesh or _devices(options, cores) > 1 else "ensemble"]


def layout_of(options: Train, cores: int = 1) -> Layout:
    """Members, batch and mesh; raises UsageError for a mesh that isn't one or doesn't have those devices."""
    mode = mode_of(options, cores)
    if options.devices is not None and options.devices < 1:
        raise UsageError(f"--devices must be at least 1, got {options.devices}.")
    member_shards, data_shards = _mesh(mode, options, cores)
    members = options.seeds if options.seeds is not None else DEFAULT_MEMBERS if mode.ensemble else 1
    batch = config_of(options).batch_size
    return Layout(members=members, batch=batch, member_shards=member_shards, data_shards=data_shards)


def _devices(options: Train, cores: int) -> int:
    """What members are divided over where no mode was named: as many as --devices says, else cores that they fill."""
    if options.devices is not None or options.seeds is None:
        return options.devices or 1
    return paths.member_shards(options.seeds, cores)


def _mesh(mode: Mode, options: Train, cores: int) -> tuple[int, int]:
    if options.mesh is None and options.mode is None and mode.ensemble:
        return _devices(options, cores), 1
    if options.mesh is None:
        return modes.mesh_for(mode, options.devices or 1)
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


@contextmanager
def _ready(config: Config, layout: Layout) -> Iterator[None]:
    """JAX with these devices and, within the block only, this configuration's random bits and dtype."""
    try:
        import jax
    except ValueError as error:
        raise UsageError(f"JAX can't be loaded with this environment: {error}") from None
    from toynet import mesh
    from toynet.train import threefry

    mesh.simulate(layout.devices)
    with ExitStack() as scopes:
        scopes.enter_context(threefry(config))
        if config.dtype == "float64":
            scopes.enter_context(jax.enable_x64(True))
        try:
            yield
        except (MemoryError, jax.errors.JaxRuntimeError) as error:
            if isinstance(error, jax.errors.JaxRuntimeError) and not re.search(OUT_OF_MEMORY, str(error)):
                raise
            raise UsageError("not enough memory; take fewer points, members or hidden units.") from None


def _check_folder(folder: pathlib.Path) -> None:
    """Makes the folder, and tries it, so that no training is lost to it; raises UsageError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UsageError(f"can't write pictures into {str(folder)!r}: {error.strerror}; name another folder.") from None


def _train(program: Program, config: Config, options: Train) -> None:
    import numpy as np

    from toynet import data, fit

    points_train, points_test = data.train_and_test(config)
    batches = data.batches(points_train, config.batch_size, config.dtype)
    if program.mode.ensemble and not options.quiet:
        last_seed = config.seed + program.layout.members - 1
        print(f"Each step: the median of {program.layout.members} members, seeds {config.seed} to {last_seed}")
    state: Any = None
    at_once, epoch = fit.at_once(config, program.layout), 0
    for latest, metrics in fit.epochs(program, config.seed, batches, config.epochs, at_once):
        state = latest
        for each in zip(*(np.moveaxis(np.asarray(leaf), -1, 0) for leaf in metrics), strict=True):
            if not options.quiet:
                print(_epoch_line(epoch, *each), flush=True)
            epoch += 1
    _print_accuracy(program, fit.decide(config, program, state, points_test.inputs), points_test)
    if options.plot:
        _draw(program, config, state, (points_train, points_test), options.plot)


def _explained(program: Program, config: Config, path: Path) -> str:
    from toynet import fit

    mode, layout = program.mode, program.layout
    over = f" over {layout.devices} devices" if layout.devices > 1 else ""
    at_once = fit.at_once(config, layout)
    return (
        f"Mode {mode.name}{over}: {mode.summary}\n"
        f"Path {path.name}: {path.why}\n"
        f"Epochs in one program: {at_once} of {config.epochs}"
    )


def _epoch_line(epoch: int, loss: np.ndarray, accuracy: np.ndarray) -> str:
    import numpy as np

    return f"step: {epoch:03d}, loss: {np.median(loss):.4f}, accuracy: {np.median(accuracy):.4f}"


def _print_accuracy(program: Program, decision: Decision, test: Points) -> None:
    import numpy as np

    print(f"Accuracy on the test set: {(decision.mean == test.labels).mean():.4f}")
    if program.mode.ensemble:
        each = (decision.members == test.labels).mean(axis=1)
        print(
            f"That is the mean decision; of the members alone: "
            f"median {np.median(each):.4f}, lowest {each.min():.4f}, highest {each.max():.4f}"
        )
        print(f"The members disagree on {decision.disputed.sum()} of {len(test.labels)} points")


def _draw(
    program: Program, config: Config, state: TrainState, split: tuple[Points, Points], folder: pathlib.Path
) -> None:
    import functools

    from toynet import fit, plots

    plots.save(plots.draw(*split, functools.partial(fit.decide, config, program, state)), folder)


if __name__ == "__main__":
    sys.exit(main())
