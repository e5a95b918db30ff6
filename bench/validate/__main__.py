"""`python -m bench.validate`: holds verdicts, scaling and start times against bars, and keeps what it found.

Exit status: 0 every bar is kept, 1 one isn't, 2 unusable input, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from bench.arguments import Command, Names, Switch
from bench.commands.reporting import finished
from toynet.arguments import parsed
from toynet.config import preset
from toynet.errors import UsageError

FOLDER = Path("results/validation")


@dataclass(frozen=True, kw_only=True)
class Simulate:
    """Simulate comparisons on modelled noise, and on the noise of recorded A/A comparisons.

    Example: python -m bench.validate simulate --comparisons 1000
    """

    comparisons: int = 10_000
    """Of each noise without a change; a fifth as many of each with one."""
    seed: int = 0
    """Of the noise."""
    recorded: Path = FOLDER / "real.json"
    """What `real` found, to draw noise from; where there is none, noise is modelled only."""
    out: Path = FOLDER / "simulated.json"
    """What was found; its report (.md) is written beside it."""

    def execute(self) -> int:
        from bench.reading import read_as
        from bench.validate import real, reports, simulate

        recorded = read_as(self.recorded, real.Real, real.SCHEMA) if self.recorded.exists() else None
        found = simulate.everything(self.comparisons, self.seed, recorded, command(), print)
        return reports.written(found, reports.simulated(found), self.out)


@dataclass(frozen=True, kw_only=True)
class Real:
    """Compare trees whose difference is planted, on this machine, with another process coming and going.

    Goes on where an earlier call stopped. Example: python -m bench.validate real --minutes 60
    """

    minutes: float = 60.0
    """When to stop, with what there is by then."""
    budget: float = 300.0
    """Seconds for each comparison, as in `ab`."""
    elsewhere: Annotated[tuple[Path, ...], tyro.conf.UseAppendAction] = ()
    """What was found on another machine, which counts as well."""
    out: Path = FOLDER / "real.json"
    """What was found; its report (.md) and picture (.png) are written beside it."""

    def execute(self) -> int:
        from bench.reading import read_as
        from bench.validate import pictures, real, reports

        others = [read_as(path, real.Real, real.SCHEMA) for path in self.elsewhere]
        found = real.extended(
            self.out,
            real.begun(command()),
            real.missing(others),
            budget_s=self.budget,
            until_s=60 * self.minutes,
            say=lambda line: print(line, flush=True),
        )
        pictures.scatter(found, self.out.with_suffix(".png"))
        return reports.written(found, reports.real(found, *others), self.out)


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """Hold records of `bench run --scaling` against the bars for scaling, and the harness against a plain loop.

    Example: python -m bench.validate scaling results/baseline-scaling-wide-cpu.json
    """

    records: Annotated[tuple[Path, ...], tyro.conf.Positional] = tuple(
        Path(f"results/baseline-scaling-{name}-cpu.json") for name in ("wide", "wide-4096", "tutorial")
    )
    """What runs wrote; one has to have `wide` at batch 4096."""
    workloads: Names = ("tutorial", "wide")
    """Whose steps are timed by the harness and by a loop."""
    restarts: int = 8
    """Processes for each workload."""
    rounds: int = 15
    """Couples of blocks in each."""
    out: Path = FOLDER / "scaling.json"
    """What was found; its report (.md) is written beside it."""

    def execute(self) -> int:
        from bench.record import read
        from bench.validate import loop, reports, scaling

        for name in self.workloads:
            preset(name)
        if min(self.restarts, self.rounds) < 2:
            raise UsageError(f"at least 2 restarts and 2 rounds are needed, got {self.restarts} and {self.rounds}.")
        records = {str(path): read(path) for path in self.records}
        scaling.found(records, (), command())  # says at once what they lack
        found = scaling.found(records, loop.compared(self.workloads, self.restarts, self.rounds), command())
        return reports.written(found, scaling.report(found), self.out)


@dataclass(frozen=True, kw_only=True)
class Start:
    """Time commands that measure nothing, as whole processes asked in turn; the machine should be idle.

    Example: python -m bench.validate start --processes 15
    """

    processes: int = 15
    """Of each command."""
    record: Path = Path("results/baseline-cpu.json")
    """What is reported."""
    other: Path = Path("results/baseline-scaling-wide-cpu.json")
    """What is compared with it."""
    out: Path = FOLDER / "start.json"
    """What was found; its report (.md) is written beside it."""

    def execute(self) -> int:
        from bench.validate import reports, start

        if self.processes < 2:
            raise UsageError(f"at least 2 processes of each command are needed, got {self.processes}.")
        found = start.found(self.record, self.other, self.processes, command(), start.process_s)
        return reports.written(found, start.report(found), self.out)


@dataclass(frozen=True, kw_only=True)
class History:
    """Simulate series with and without changes, and time `bench history` on many records that are made for it.

    Example: python -m bench.validate history --processes 5
    """

    series: int = 2000
    """Of each noise and length."""
    seed: int = 0
    """Of the noise."""
    processes: int = 0
    """Of `bench history`, timed while the machine should be idle; 0 for none."""
    records: int = 1000
    """That each of them reads; they take about 1 MB each on the disk for the time being."""
    cases: int = 100
    """In each of them."""
    template: Path = Path("results/baseline-cpu.json")
    """Whose certificates and costs their cases have."""
    out: Path = FOLDER / "history.json"
    """What was found; its report (.md) is written beside it."""

    def execute(self) -> int:
        import msgspec

        from bench.validate import archives, histories, history, reports

        found = history.everything(self.series, self.seed, command(), print)
        if self.processes:
            timed = archives.timed(self.template, self.records, self.cases, self.processes)
            found = msgspec.structs.replace(found, timed=timed)
        return reports.written(found, histories.report(found), self.out)


@dataclass(frozen=True, kw_only=True)
class Asserts:
    """Run `assert_not_slower` on functions against themselves, and against some that do less.

    The machine should be idle. Goes on where an earlier call stopped.
    Example: python -m bench.validate asserts --same 1000
    """

    same: int = 1000
    """Runs of functions against themselves."""
    minutes: float = 60.0
    """When to stop, with what there is by then."""
    loaded: Switch = False
    """With another process that comes and goes."""
    out: Path = FOLDER / "asserts.json"
    """What was found; its report (.md) is written beside it."""

    def execute(self) -> int:
        from bench.validate import asserts, reports

        if self.same < 1 or not self.minutes > 0:
            raise UsageError(f"a run and some minutes at least are needed, got {self.same} and {self.minutes:g}.")
        found = asserts.extended(
            self.out,
            asserts.begun(command()),
            asserts.wanted(self.same, loaded=self.loaded),
            until_s=60 * self.minutes,
            say=lambda line: print(line, flush=True),
        )
        return reports.written(found, asserts.report(found), self.out)


def command() -> tuple[str, ...]:
    """What was typed, without where Python is."""
    return ("python", "-m", "bench.validate", *sys.argv[1:])


COMMANDS: dict[str, Callable[..., Command]] = {
    "simulate": Simulate,
    "real": Real,
    "scaling": Scaling,
    "start": Start,
    "history": History,
    "asserts": Asserts,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line; gives its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    return finished(lambda: parsed("python -m bench.validate", argv, COMMANDS).execute())


if __name__ == "__main__":
    sys.exit(main())
