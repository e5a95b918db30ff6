"""One case in this process: prepared, compiled, checked, and run in blocks."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from bench import cost, flops, parts, rounding, timing, tracing
from bench.cases import Case, is_own
from bench.certificate import TraceCount, certify, checked_members
from bench.measured import KINDS, PART_KINDS, REFERENCE, Block, Certificate, Compiled, Kind, Parts, Stages
from bench.memo import Memo
from bench.places import file_name
from bench.reference import Reference, unstacked
from bench.yardstick import Yardstick
from toynet import mesh, modes
from toynet.errors import UsageError
from toynet.program import Program, bind
from toynet.workload import Workload, loss

# Chained and fused steps differ from waited ones by their dispatch, which is nothing beside a step this
# long. It is told by the first step, of which some 0.05 s are its first time.
LONG_FIRST_STEP_S = 0.2
# Batches are taken in turn, for on a single one the gradients vanish; more of them than this add nothing.
EPOCH_STEPS_AT_MOST = 32
# A rough time wants a block that the clock resolves well.
ROUGH_BLOCK_S = 0.005
SEED = 42


class Holder:
    """A case whose program, state and batches are on the devices of this process."""

    def __init__(
        self,
        case: Case,
        workload: Workload,
        plain: Workload | None = None,
        memo: Memo = Memo(),  # noqa: B008, it is frozen
        cache: Path | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Makes the case's initial state and its batches; the process must have the devices.

        It is checked against `plain`, the same workload computed plainly (None: it is itself). With a `cache` folder,
        what was compiled there before by the same case is loaded. A measured compilation finds nothing there the
        first time.
        """
        self.case = case
        self._traces = TraceCount()
        self._program = bind(self._traces.counted(workload), modes.by_name(case.mode), case.layout)
        self._cache = cache
        self._clock = clock
        self._in_flight = timing.in_flight(case.devices)
        self._meet, self._agreed = _several(self._program) if case.processes > 1 else (None, _own)
        self._use_cache("shared")
        self._memo = memo
        self._plain = None if plain is workload else plain
        draw = functools.partial(epoch_of, workload, case.batch, jit=not is_own(case.workload))
        epoch = memo(f"{self._what()}/batches", draw)
        self._batches = [self._program.place(batch) for batch in unstacked(epoch)]
        self._stacked = self._program.place_stacked(epoch)
        self._first_batch = self._program.padded(unstacked(epoch)[0])
        # One of several processes keeps no more than its part, and has the whole only while the case is checked.
        several = case.processes > 1
        self._epoch = functools.partial(memo, f"{self._what()}/batches", draw) if several else lambda: epoch
        self._state = jax.block_until_ready(self._program.init(self._program.keys(SEED)))
        self._initial = self._program.members(self._state, checked_members(self._program))

    def compile(self) -> Compiled:
        """The step compiled in its stages, and its first run."""
        self._use_cache(file_name(self.case.name))
        put = jax.device_put if self.case.processes == 1 else mesh.put  # a side's toynet may be older
        _, transfer_s = timing.timed(lambda: put(self._first_batch, self._program.batch_sharding), self._clock)
        traced, program, seconds, cached = timing.compiled(
            self._program.step, (self._state, self._batches[0]), self._clock
        )
        self._use_cache("shared")
        (self._state, metrics), self._first_step_s = timing.timed(
            lambda: self._program.step(self._state, self._batches[0]), self._clock
        )
        # The same in all restarts, for what some of them haven't got can't be compared.
        self._long = self._memo(f"{self.case.name}/long", self._is_long)
        self._jaxpr = traced.jaxpr
        self._cost, self._operations = cost.of(program, traced.jaxpr), cost.operations(program.as_text())
        self._first_losses = self._program.members(loss(metrics), checked_members(self._program))
        first_loss = float(np.ravel(self._first_losses)[0])
        stages = Stages(*seconds, cached, self._first_step_s, transfer_s)
        return Compiled(stages, self._cost, first_loss if math.isfinite(first_loss) else None)

    def _is_long(self) -> bool:
        long = self._agreed(self._first_step_s) > LONG_FIRST_STEP_S
        # A GPU's first step loads libraries, and that of several processes connects them.
        if long and (jax.default_backend() != "cpu" or self.case.processes > 1):
            batches = self._batches
            long = self._rough("latency") > LONG_FIRST_STEP_S
            # What is checked is the state after the first step. There may be no room for two of them.
            self._state, self._batches = None, batches
            self._state, _ = self._program.step(self._program.init(self._program.keys(SEED)), batches[0])
        return long

    def check(self, fused: bool | None = None, tolerance: float | None = None) -> Certificate:
        """Compares the case with `single`; it must have been compiled. `fused`: whether an epoch is run as one
        program (None: unless its steps are long); `tolerance`: of the initial state, gradients and steps (None: what
        is usual where they are computed)."""
        dtype, products = self._computed_in()
        certificate, self._state = certify(
            self._program,
            Reference(self._program, self._memo, self._what(), self._plain),
            self._initial,
            self._first_losses,
            self._state,
            self._epoch(),
            fused=not self._long if fused is None else fused,
            seed=SEED,
            dtype=dtype,
            products=rounding.of(products, jax.default_backend(), rounding.precision_setting()),
            tolerance=tolerance,
            traces=self._traces,
            found=self._cost.collectives,
        )
        return certificate

    def _computed_in(self) -> tuple[str, str]:
        """The dtypes of the state and of the factors of its products: a preset's are those of its case."""
        if not is_own(self.case.workload):
            return self.case.dtype, self.case.products
        return rounding.computed_in(
            [str(leaf.dtype) for leaf in jax.tree.leaves(self._state)], flops.factor_dtypes(self._jaxpr)
        )

    def take_apart(self, *, peaks: bool) -> Parts:
        """Makes programs of the step's parts, for `block`; with `peaks`, of what its devices can do at most, too."""
        self._apart = parts.taken_apart(self._program, self._operations, self._jaxpr, peaks=peaks)
        self._buffers = {kind: loop.first for kind, loop in self._apart.loops.items()}
        self._alone = jax.tree.map(jnp.copy, self._state) if self._apart.compute else None
        return self._apart.told

    def _compute(self, steps: int) -> Block:
        """Steps without their collectives, from a state of their own: it drifts apart over the devices."""
        program, clock = self._apart.compute, self._clock
        assert program is not None
        if self._long:
            self._alone, block = timing.latency(program.step, self._alone, self._batches, steps, clock)
        else:
            times = max(1, round(steps / len(self._batches)))
            self._alone, block = timing.fused(program.epoch, self._alone, self._stacked, times, clock)
        return block

    def block(self, kind: Kind, steps: int) -> Block:
        """A block of so many steps; fused ones come in whole epochs, at least one.

        The processes of a case begin it together, and each of them says how long it took there.
        """
        if self._meet is not None:
            self._meet()
        program, clock = self._program, self._clock
        if kind == REFERENCE:
            return self._yardstick.block(steps, clock)
        if kind == "compute":
            return self._compute(steps)
        if kind in PART_KINDS:
            self._buffers[kind], block = self._apart.block(kind, self._buffers[kind], steps, clock)
            return block
        if kind == "latency":
            self._state, block = timing.latency(program.step, self._state, self._batches, steps, clock)
        elif kind == "throughput":
            self._state, block = timing.throughput(
                program.step, self._state, self._batches, steps, clock, self._in_flight
            )
        else:
            times = max(1, round(steps / len(self._batches)))
            self._state, block = timing.fused(program.epoch, self._state, self._stacked, times, clock)
            return block
        used = block.steps % len(self._batches)
        self._batches = self._batches[used:] + self._batches[:used]  # the next block goes on with the next batch
        return block

    @functools.cached_property
    def _yardstick(self) -> Yardstick:
        """Raises UsageError in all processes where it can't be had in one: those that have it would wait for that."""
        try:
            found, why = Yardstick(), "the reference workload can't be run in another of its processes."
        except UsageError as error:
            found, why = None, str(error)
        if self._agreed(float(found is None)) or found is None:
            raise UsageError(why)
        return found

    def rough(self, kinds: Sequence[Kind] = KINDS) -> dict[Kind, float]:
        """Seconds a step, roughly, for each of the kinds that makes sense; long steps are only waited for."""
        wanted: list[Kind] = [kind for kind in kinds if not self._long or kind not in KINDS]
        found: dict[Kind, float] = {kind: self._rough(kind) for kind in wanted}
        if self._long and "latency" in kinds:
            alone_on_cpu = jax.default_backend() == "cpu" and self.case.processes == 1
            found["latency"] = self._first_step_s if alone_on_cpu else self._rough("latency")
        return found

    def traces(self) -> int:
        """How often the step was traced so far; more than before while it was timed means that it was compiled then."""
        return self._traces.traces

    def profile(self, folder: str) -> str:
        """Traces a few steps into the folder; gives the file of it that Perfetto opens."""

        def step() -> Any:
            self._state, metrics = self._program.step(self._state, self._batches[0])
            return self._state, metrics

        return str(tracing.traced(step, Path(folder)))

    def _what(self) -> str:
        """The name of what all modes and paths of the workload share at this batch size."""
        return dataclasses.replace(
            self.case, mode="single", member_shards=1, data_shards=1, members=1, path="plain", processes=1
        ).name

    def _rough(self, kind: Kind) -> float:
        self.block(kind, 1)  # compiles what isn't compiled yet
        block = self.block(kind, 1)
        while (seconds := self._agreed(block.seconds)) < ROUGH_BLOCK_S:
            block = self.block(kind, 4 * block.steps)
        return seconds / block.steps

    def _use_cache(self, name: str) -> None:
        """Compiles into a folder of the cache from now on; a cache that the user has set stays."""
        if self._cache is not None:
            compilation_cache.reset_cache()
            jax.config.update("jax_compilation_cache_dir", str(self._cache / name))


def _own(value: float) -> float:
    return value


def _several(program: Program) -> tuple[Callable[[], None], Callable[[float], float]]:
    """What lets the processes of a program meet, and agree on the largest of their values."""
    layout = program.layout
    over = mesh.make_mesh(layout.member_shards, layout.data_shards, layout.processes)
    return mesh.meeting(over), mesh.largest(over)


def epoch_of(workload: Workload, batch: int, *, jit: bool = True) -> Any:
    """An epoch of batches on the host, (steps, batch, ...), each drawn from a key of its own.

    A workload of the user's own may draw them by NumPy, which can't be traced, and so they are drawn without `jit`.
    Raises UsageError for one that draws batches of another size.
    """
    draw = jax.jit(workload.batch, static_argnums=1) if jit else workload.batch
    keys = jax.random.split(jax.random.PRNGKey(SEED), min(workload.epoch_steps, EPOCH_STEPS_AT_MOST))
    drawn = [jax.tree.map(np.array, draw(key, batch)) for key in keys]
    if sizes := {leaf.shape[:1] for leaf in jax.tree.leaves(drawn)} - {(batch,)}:
        found = ", ".join(str(*size) for size in sorted(sizes))
        raise UsageError(f"its batch gives {found or 'no'} examples where n = {batch} of them were asked for.")
    return jax.tree.map(lambda *leaves: np.stack(leaves), *drawn)
