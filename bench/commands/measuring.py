"""`bench list` and `bench run`: which cases, and measuring them."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from bench.arguments import Counts, Folder, Meshes, Names, Switch, Tolerance, own
from bench.cases import DEFAULT_MODES, Case, Selection, path_of, plainly
from bench.commands.reporting import reported, while_read
from bench.commands.status import BROKEN, DONE
from bench.workers import LIMIT_S
from toynet import joining
from toynet.config import PRESETS, ComputeDtype
from toynet.errors import UsageError
from toynet.joining import Joining

if TYPE_CHECKING:
    from bench.record import Record
    from bench.run import Plan
    from toynet.rendezvous import Circle

MEMBERS, MEMBERS_SCALED = (8, 64), (8,)
# Where `doctor` keeps the noise floors of this machine, and `ab` and `gate` look for them.
NOISE = Path("results/noise.json")


@dataclass(frozen=True, kw_only=True)
class Cases:
    """Which cases: the product of these lists, as far as each mode takes them."""

    workloads: Annotated[Names, tyro.conf.arg(aliases=["--workload"])] = ("tutorial", "wide")
    """Presets (tutorial, small, wide, xl), or workloads of your own: "package.module:attribute", "path/to/file.py" or
    "path/to/file.py:attribute" (docs/own-workload.md)."""
    modes: Annotated[Names, own(f"{','.join(DEFAULT_MODES)}, as far as a workload takes them")] = ()
    """Ways of running them; 'fsdp' and 'zero1', which divide the state as well, are there for the asking."""
    devices: Annotated[Counts, own("1,2,4,8, as far as there are so many")] = ()
    """Devices; a CPU simulates them."""
    members: Annotated[Counts, own("8,64; with --scaling 8")] = ()
    """Members of an ensemble."""
    batch: Annotated[Counts, own("each workload's own")] = ()
    """Global batch."""
    mesh: Annotated[Meshes, own("the squarest for each of --devices")] = ()
    """For ensemble_data: member shards x data shards, such as 4x2."""
    dtype: Literal["float32", "float64"] = "float32"
    """What is computed in; float64 needs JAX_ENABLE_X64=1."""
    compute_dtype: Annotated[ComputeDtype | None, own("each preset's own", "{float32,float64,bfloat16}")] = None
    """What layers' products are computed in, as --dtype or bfloat16; parameters and sums keep --dtype."""
    hidden_layers: Annotated[Counts, own("each preset's own")] = ()
    """Hidden layers of the presets' networks."""
    hidden_dim: Annotated[Counts, own("each preset's own")] = ()
    """Width of each hidden layer."""
    paths: Annotated[Names, own("plain, and on one device fast")] = ()
    """How steps are computed: 'plain'; 'fast', as is quickest at their sizes ('list --explain' says how)."""
    deterministic: Switch = False
    """Measure data_parallel's bit-equal variant beside the plain one."""
    scaling: Annotated[Names, own("none")] = ()
    """strong, weak, or both: on one device and on more, with the same batch (members), or the same for each device."""

    def selection(self) -> Selection:
        return Selection(
            workloads=tuple(map(plainly, self.workloads)),
            modes=self.modes or None,
            devices=self.devices or None,
            members=self.members or (MEMBERS_SCALED if self.scaling else MEMBERS),
            batch=self.batch or None,
            meshes=self.mesh or None,
            dtype=self.dtype,
            compute_dtype=self.compute_dtype,
            hidden_layers=self.hidden_layers or None,
            hidden_dim=self.hidden_dim or None,
            paths=self.paths or None,
            deterministic=self.deterministic,
            scaling=self.scaling,
        )


@dataclass(frozen=True, kw_only=True)
class CasesAcross(Cases):
    """Which cases, and over how many processes they are divided."""

    across: Annotated[Counts, own("1; of several 1, those of a host, and all")] = ()
    """Processes that a case's devices are divided over, where several run this together; --devices, which then are
    those of all of them, has as many as there are by itself."""

    def selection(self) -> Selection:
        return dataclasses.replace(super().selection(), across=self.across or None)


@dataclass(frozen=True, kw_only=True)
class List(CasesAcross):
    """List the cases that `run` would measure, and what each needs; nothing is run.

    Example: python -m bench list --modes data_parallel --devices 1,2
    """

    explain: Switch = False
    """Say how the fast path of each case computes its steps on a CPU, and why so."""

    def execute(self) -> int:
        from bench import lookup
        from bench.choosing import chosen
        from bench.environment import usable_cores
        from bench.report import needs, terminal

        cases, cores = chosen(self.selection(), LIMIT_S), len(usable_cores())
        with while_read():
            to = terminal.console()
            terminal.show_table(needs.build([(case, lookup.shapes(case)) for case in cases], cores), to)
            for said in _explained(cases) if self.explain else ():
                to.print(said, soft_wrap=True, markup=False)
        return DONE


@dataclass(frozen=True, kw_only=True)
class Run(Joining, CasesAcross):
    """Measure cases, write their record after each round, print a table and what it means.

    Example: python -m bench run --workloads tutorial --modes single,ensemble --members 8 --budget 30
    """

    restarts: int = 3
    """Times that every worker is ended and started again; intervals come from these."""
    rounds: int = 3
    """Blocks of each kind that every case is asked for between restarts, at most."""
    budget: float = 150.0
    """Seconds to spend, about; where it runs out, there are fewer rounds, and fewer restarts of the slowest cases."""
    time_limit: Annotated[float | None, own(f"{LIMIT_S:g}; over several processes {joining.LIMIT_S:g}", "FLOAT")] = None
    """Seconds after which a worker that doesn't answer is broken, and a process that doesn't come or answer is lost."""
    tolerance: Tolerance = None
    """How far results may be from those of single, relative to each leaf's largest entry: gradients, steps, states."""
    no_lint: Switch = False
    """Don't look workloads of your own over before they are measured, as 'lint' does."""
    parts: Switch = False
    """Measure where the time of a step goes, too, as --scaling does."""
    trace: Annotated[Folder, own("none")] = None
    """A folder for a profiler trace of a few steps of each case, made after its first rounds (docs/traces.md)."""
    seed: int = 0
    """Of the orders and the cores drawn."""
    resume: Annotated[Path | None, own("none", "RECORD")] = None
    """A record of a run that was ended: go on with its cases and its schedule, in its file (docs/records.md)."""
    out: Path = Path("results/latest.json")
    """The record, in a folder that is made if need be; its report (.md) and pictures (.png) are written beside it."""
    quiet: Switch = False
    """Print nothing but errors."""

    def execute(self) -> int:
        if self.resume is not None and (others := self.given(but=_BESIDE_RESUME)):
            out = ", ".join(f"--{name}" for name in others)
            raise UsageError(f"--resume goes on with the cases and the schedule of {self.resume}; leave out {out}.")
        from bench.limits import check_seconds

        alone, limit_s = (usual if self.time_limit is None else self.time_limit for usual in (LIMIT_S, joining.LIMIT_S))
        check_seconds({"time limit": limit_s})
        place = self.place(limit_s)
        if place is None:
            return self._measured(alone, None)
        from bench import agent
        from toynet.rendezvous import together

        command, flags = ("bench", *sys.argv[1:]), self.given(but=_OF_A_RANK)
        with together(place, "bench run", limit_s, command, flags) as circle:
            if circle.rank:
                return agent.serve(circle, limit_s)
            return self._measured(limit_s, circle)

    def _plan(self, limit_s: float) -> Plan:
        from bench.events import Schedule
        from bench.record import read
        from bench.run import Plan

        before = None if self.resume is None else read(self.resume)
        asked = Schedule(
            restarts=self.restarts,
            rounds=self.rounds,
            budget_s=self.budget,
            seed=self.seed,
            parts=self.parts or bool(self.scaling),
        )
        return Plan(
            selection=self.selection(),
            schedule=asked if before is None else before.schedule,
            out=self.resume or self.out,
            limit_s=limit_s,
            tolerance=self.tolerance if before is None else before.tolerance,
            lint=not self.no_lint and before is None,
            traces=self.trace,
            command=("python", "-m", "bench", *sys.argv[1:]),
            before=before,
        )

    def _measured(self, limit_s: float, circle: Circle | None) -> int:
        from bench.progress import progress
        from bench.run import measure

        plan = self._plan(limit_s)
        if plan.before is not None and plan.before.complete:
            if circle is not None:
                circle.end(DONE)
            self._print(plan.before, f"{plan.out} is complete: there is nothing left to measure.")
            return DONE
        telling = contextlib.nullcontext() if circle is None else circle.telling()
        rest = f", and `python -m bench run --resume {plan.out}`, started as this was, goes on with the rest"
        with reported(plan.out, _report_of, rest), progress(quiet=self.quiet) as watch, telling:
            record = measure(plan, watch, circle)
        status = BROKEN if any(result.status == "broken" for result in record.cases) else DONE
        if circle is not None:
            circle.end(status)  # what is left to do needs none of the others
        _report_beside(record, plan.out)
        self._print(record, str(plan.out))
        return status

    def _print(self, record: Record, last: str) -> None:
        """Prints the report, and below it a line."""
        if self.quiet:
            return
        from bench.report import terminal
        from bench.report.table import build

        to = terminal.console()
        with while_read():
            terminal.show(build(record), to)
            to.print(f"\n{last}", soft_wrap=True, markup=False)


_PLACES = tuple(field.name for field in dataclasses.fields(Joining))
# What may differ between the ranks of a run, and what may stand beside --resume.
_OF_A_RANK = (*_PLACES, "out", "quiet", "resume", "trace")
_BESIDE_RESUME = (*_PLACES, "quiet", "resume", "time_limit", "trace")


def _report_of(out: Path) -> None:
    from bench.record import read

    _report_beside(read(out), out)


def _report_beside(record: Any, out: Path) -> None:
    from bench.report import markdown
    from bench.report.charts import pictures
    from bench.report.table import build

    out.with_suffix(".md").write_text(markdown.render(build(record)), encoding="utf-8")
    pictures.save(record, out)


def _explained(cases: Sequence[Case]) -> list[str]:
    """Of each case of a preset, the path that is the fast one on a CPU."""
    presets = [case for case in cases if case.workload in PRESETS]
    fast = dict.fromkeys(dataclasses.replace(case, path="fast") for case in presets)
    return [f"{case.name}: {(found := path_of(case, 'cpu')).name}: {found.why}." for case in fast]
