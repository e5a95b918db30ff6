"""`bench doctor`: what could spoil a measurement here, and how much two equal sides differ."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.arguments import Counts, Names, Switch, Tolerance
from bench.commands.measuring import NOISE, Cases
from bench.commands.reporting import while_read
from bench.commands.status import BROKEN, DONE
from bench.workers import LIMIT_S


@dataclass(frozen=True, kw_only=True)
class Doctor(Cases):
    """Say what could spoil a measurement here; with --noise, measure how much two equal sides differ.

    Example: python -m bench doctor --noise --workloads tutorial
    """

    noise: Switch = False
    """Measure the noise floor of each case: the least threshold that a comparison can keep."""
    modes: Names = ("single",)
    """Ways of running them."""
    members: Counts = (8,)
    """Members of an ensemble."""
    paths: Names = ("plain",)
    """How steps are computed: 'plain', or 'fast' as is quickest at their sizes."""
    kind: Literal["latency", "throughput", "fused"] = "latency"
    """What is measured: steps that are waited for, a chain of them, or many in one program."""
    rounds_s: float = 1.0
    """Seconds of each restart to spend on asking both sides in turn, about."""
    restarts: int = 12
    """Restarts of both sides; the floor comes from how much these differ."""
    budget: float = 600.0
    """Seconds to spend at most, about."""
    time_limit: float = LIMIT_S
    """Seconds after which a worker that doesn't answer is broken."""
    tolerance: Tolerance = None
    """How far results may be from those of single, relative to each leaf's largest entry: gradients, steps, states."""
    out: Path = NOISE
    """Where the floors are kept for `ab` and `gate`."""
    quiet: Switch = False
    """Print nothing but errors."""

    def execute(self) -> int:
        from bench import doctor
        from bench.choosing import chosen
        from bench.report import terminal

        chosen(self.selection(), self.time_limit)  # what can't be is refused with --noise and without
        to = terminal.console()
        if not self.quiet:
            with while_read():
                for said in doctor.advice():
                    to.print(said, soft_wrap=True, markup=False)
        if not self.noise:
            return DONE
        from bench.duet import Pace
        from bench.progress import comparing

        with comparing(quiet=self.quiet) as watch:
            found = doctor.measure_noise(
                selection=self.selection(),
                kind=self.kind,
                pace=Pace(rounds_s=self.rounds_s, restarts=self.restarts, budget_s=self.budget),
                out=self.out,
                limit_s=self.time_limit,
                tolerance=self.tolerance,
                command=("python", "-m", "bench", *sys.argv[1:]),
                watch=watch,
            )
        if not self.quiet:
            with while_read():
                terminal.show_table(doctor.table(found), to)
                to.print(f"\n{self.out}", soft_wrap=True, markup=False)
        return BROKEN if any(pair.verdict == "broken" for pair in found.pairs) else DONE
