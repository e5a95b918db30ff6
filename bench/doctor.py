"""What could spoil a measurement on this machine, and how much two equal sides differ on it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import environment, noise
from bench.ab import Plan, Watch, compare
from bench.cases import Selection
from bench.comparison import Comparison
from bench.duet import Pace
from bench.keeping import check_writable
from bench.measured import Kind
from bench.record import write
from bench.report import quantity
from bench.report.document import Column, Table
from bench.sides import side
from bench.stats import interval, scatter
from bench.verdict import LOOKS, Rule, floor

CPU = Path("/sys/devices/system/cpu")
# A load average above this share of the cores: others are using them now.
BUSY = 0.25


def advice(cpu: Path = CPU, load: float | None = None) -> list[str]:
    """A sentence for each thing that could spoil a measurement here, with what to do about it."""
    cores = environment.usable_cores()
    said = list(_settings(cpu))
    load = environment.load_average() if load is None else load
    if load > BUSY * len(cores):
        said.append(
            f"The load average is {load:g} on {len(cores)} cores: something else is running; end it, or give the "
            "comparison more time."
        )
    if not environment.CAN_PIN:
        said.append("This system can't keep a process on chosen cores: expect more scatter than on Linux.")
    if len(cores) < (os.cpu_count() or 1):
        said.append(f"Only {len(cores)} of {os.cpu_count()} cores can be used (affinity or a container's quota).")
    return said or ["Nothing was found that would spoil a measurement here."]


def _settings(cpu: Path) -> Iterator[str]:
    governor = _read(cpu / "cpu0/cpufreq/scaling_governor")
    if governor not in (None, "performance"):
        yield f"The CPU frequency governor is {governor!r}: clocks change with load; set it to 'performance'."
    if _read(cpu / "intel_pstate/no_turbo") == "0" or _read(cpu / "cpufreq/boost") == "1":
        yield "The CPU may boost its clock while others idle: pairs see the same, single numbers don't; turn it off."
    if _read(cpu / "smt/active") == "1":
        yield "Cores are hardware threads that share units with a sibling: keep siblings idle, or turn SMT off."


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def measure_noise(
    *,
    selection: Selection,
    kind: Kind,
    pace: Pace,
    out: Path,
    limit_s: float,
    tolerance: float | None = None,
    command: Sequence[str],
    watch: Watch,
) -> Comparison:
    """A comparison of the working tree with itself, all of its restarts; adds the noise to what `out` has.

    What another machine left there is replaced.
    """
    check_writable(out)
    before = noise.known(out)
    here = side(".")
    plan = Plan(
        a=here,
        b=here,
        selection=selection,
        kind=kind,
        rule=Rule(),
        pace=pace,
        out=out.with_name(f"{out.stem}-samples.json"),
        noise=None,
        limit_s=limit_s,
        tolerance=tolerance,
        all_restarts=True,
        command=tuple(command),
    )
    found = compare(plan, watch)
    measured = noise.of(found)
    if measured.logs:
        write(noise.added(before, measured), out)
    return found


COLUMNS = (
    Column("case", numeric=False),
    Column("restarts"),
    Column("A/A"),
    Column("scatter of a restart"),
    Column("floor of a threshold"),
)


def table(found: Comparison) -> Table:
    """Of each case, how much two equal sides differed, and the least threshold that this allows."""
    return Table("noise", COLUMNS, tuple(_row(pair.name, pair.trial.logs) for pair in found.pairs))


def _row(name: str, logs: Sequence[float]) -> tuple[str, ...]:
    if len(logs) < LOOKS[0]:
        return name, str(len(logs)), "", "", f"needs {LOOKS[0]} restarts"
    percent = quantity.rounded(100 * scatter(logs), 2)
    return name, str(len(logs)), quantity.between(interval(logs)), f"{percent}%", f"{100 * floor(logs):.2g}%"
