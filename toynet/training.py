"""`python -m toynet train` on JAX: trains, prints and draws, alone or as one of several processes."""

from __future__ import annotations

import functools
import pathlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from toynet import paths
from toynet.cluster import Joined
from toynet.config import Config
from toynet.errors import UsageError
from toynet.modes import Layout
from toynet.options import Room, Train, asked
from toynet.paths import Path

if TYPE_CHECKING:
    import numpy as np

    from toynet.data import Points
    from toynet.fit import Decision
    from toynet.program import Program

OUT_OF_MEMORY = r"RESOURCE_EXHAUSTED|Out of memory"  # the first on a GPU, the second on a CPU


def run(options: Train, room: Room, joined: Joined | None = None) -> None:
    """Trains, prints and draws what the options ask for; raises UsageError before anything is written.

    Several processes that `joined` do so together, and all of them print; the first alone draws.
    """
    config, mode, layout = asked(options, room)
    with _ready(config, layout, joined):
        import jax

        from toynet.mesh import first_devices
        from toynet.program import bind
        from toynet.train import workload

        platform = first_devices(1)[0].platform
        if joined is not None and joined.unreachable and platform == "cpu":
            raise UsageError(joined.unreachable)
        if platform != "cpu":  # whose cores say nothing then, and whose devices are what they are
            several = layout.processes > 1
            config, mode, layout = asked(options, Room(1, layout.processes, len(jax.devices()) if several else 1))
        fast = paths.choose(config, mode, layout, platform)
        path = paths.PLAIN if options.path == "plain" else fast
        program = bind(workload(options.preset, config, path), mode, layout)
        if options.explain:
            print(_explained(program, config, path))
        first = joined is None or joined.process_id == 0
        if options.plot and first:
            _check_folder(options.plot)
        _train(program, config, options, first=first)


@contextmanager
def _ready(config: Config, layout: Layout, joined: Joined | None) -> Iterator[None]:
    """JAX with these devices, joined with other processes, and, within the block only, this configuration's random bits
    and dtype."""
    try:
        import jax
    except ValueError as error:
        raise UsageError(f"JAX can't be loaded with this environment: {error}") from None
    from toynet import cluster, mesh
    from toynet.train import threefry

    mesh.simulate(layout.devices // layout.processes)
    if joined is not None:
        cluster.keep_to_own_devices()
        cluster.join(joined)
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


def _train(program: Program, config: Config, options: Train, *, first: bool) -> None:
    import numpy as np

    from toynet import data, fit

    points_train, points_test = data.train_and_test(config)
    if program.mode.ensemble and not options.quiet:
        last_seed = config.seed + program.layout.members - 1
        print(f"Each step: the median of {program.layout.members} members, seeds {config.seed} to {last_seed}")
    state: Any = None
    epoch = 0
    batches = data.batches(points_train, config.batch_size, config.dtype)
    epochs = fit.epochs(program, config.seed, batches, config.epochs, fit.at_once(config, program.layout))
    del batches  # of which each process keeps its part
    for latest, metrics in epochs:
        state = latest
        for each in zip(*(np.moveaxis(np.asarray(leaf), -1, 0) for leaf in metrics), strict=True):
            if not options.quiet:
                print(_epoch_line(epoch, *each), flush=True)
            epoch += 1
    decide = functools.partial(fit.decide, config, fit.trained(program, state))
    if first:
        _print_accuracy(program, decide(points_test.inputs), points_test)
    if options.plot and first:
        from toynet import plots

        plots.save(plots.draw(points_train, points_test, decide), options.plot)


def _explained(program: Program, config: Config, path: Path) -> str:
    from toynet import fit

    mode, layout = program.mode, program.layout
    over = f" over {layout.devices} devices" if layout.devices > 1 else ""
    over += f" of {layout.processes} processes" if layout.processes > 1 else ""
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
