"""Many runs as series: each case on each kind of machine, in the order of the runs, and where it changed."""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import archive
from bench.archive import Archive
from bench.changes import Change, Trend, trend
from bench.digest import Beside, Digest, Machine, median
from bench.measured import Kind
from bench.processes import mapping
from bench.stats import Estimate, over_restarts

# So many values are searched for changes sooner by several processes.
MANY = 20_000


@dataclass(frozen=True)
class Series:
    """One case on one kind of machine."""

    case: str
    """Its name, and which reference it is held against, where there are several."""
    machine: Machine
    runs: tuple[Digest, ...]
    """Those that count, one at least, in their order."""
    values: tuple[float, ...]
    """Of each run."""
    restarts: tuple[tuple[float, ...], ...]
    """Of each run, what its value is the median of."""
    reference_s: tuple[float, ...]
    """Seconds of the reference workload in each run, to which its values are ratios. Empty: they are seconds, in which
    a slower machine isn't told from a slower commit, and no changes are sought."""
    older: int
    """Runs that don't count, for they have no reference."""
    trend: Trend

    @property
    def against_reference(self) -> bool:
        return bool(self.reference_s)

    def estimate(self, place: int) -> Estimate:
        """The value of the run in that place, with its interval."""
        return over_restarts(self.restarts[place])

    def shifts(self) -> list[Shift]:
        """Its changes, in order."""
        bounds = [0, *(change.at for change in self.trend.changes), len(self.runs)]
        return [
            Shift(self, change, start, end)
            for change, start, end in zip(self.trend.changes, bounds, bounds[2:], strict=False)
        ]


@dataclass(frozen=True)
class Shift:
    """A change of a series, and the places of the runs that it comes from: from start on, before end."""

    series: Series
    change: Change
    start: int
    end: int

    @property
    def first(self) -> Digest:
        """The first run after it."""
        return self.series.runs[self.change.at]

    @property
    def within(self) -> tuple[Digest, Digest]:
        """The last run that is before it for sure, and the first that is after it."""
        return self.series.runs[self.change.earliest - 1], self.series.runs[self.change.latest]

    @property
    def ratio(self) -> Estimate:
        """What a step takes after it, against before."""
        log, half = self.change.log, self.change.half
        return Estimate(math.exp(log), math.exp(log - half), math.exp(log + half), self.end - self.start)

    @property
    def reference(self) -> float:
        """The same of the reference workload itself, in the same runs."""
        seconds, at = self.series.reference_s, self.change.at
        return statistics.median(seconds[at : self.end]) / statistics.median(seconds[self.start : at])

    @property
    def moved(self) -> tuple[str, ...]:
        """What besides the commit may have caused it."""
        return moved(*self.within)


@dataclass(frozen=True)
class History:
    """All series, by machine."""

    archive: Archive
    kind: Kind
    least: float
    """Changes of less than this share are left out."""
    series: tuple[Series, ...]

    @property
    def machines(self) -> list[Machine]:
        """In the order of their first runs."""
        return list(dict.fromkeys(run.machine for run in self.archive.runs))


def history(places: Sequence[Path], kind: Kind, least: float) -> History:
    """The history that is in files and folders."""
    found = archive.read(places, kind)
    series = _series(found.runs)
    searched = [one.values if one.against_reference else () for one in series]
    with mapping(pays=sum(map(len, searched)) >= MANY) as mapped:
        trends = list(mapped(functools.partial(_trend, least=math.log1p(least)), searched))
    told = (dataclasses.replace(one, trend=own) for one, own in zip(series, trends, strict=True))
    return History(found, kind, least, tuple(told))


def _trend(values: Sequence[float], least: float) -> Trend:
    return trend([math.log(value) for value in values], least)


def _series(runs: Sequence[Digest]) -> list[Series]:
    by_case: dict[tuple[Machine, str], list[Digest]] = defaultdict(list)
    for run in runs:
        for case in (*run.ratios, *run.step_s):
            by_case[run.machine, case].append(run)
    return [one for (machine, case), own in by_case.items() for one in _of_case(case, machine, own)]


def _of_case(case: str, machine: Machine, runs: Sequence[Digest]) -> list[Series]:
    """One for each number of devices that the reference's worker had: with as many cores, it is another program.

    Where some of its runs have a reference, the others don't count.
    """
    references = dict.fromkeys(beside for run in runs for beside in run.ratios.get(case, ()))
    if not references:
        return [_one(case, machine, [(run, run.step_s[case]) for run in runs])]
    older = sum(case not in run.ratios for run in runs)
    found = []
    for beside in references:
        name = f"{case} (reference in {worker(beside)})" if len(references) > 1 else case
        having = [(run, run.ratios[case][beside]) for run in runs if beside in run.ratios.get(case, ())]
        reference_s = [median(run.reference_s[beside]) for run, _ in having]
        found.append(_one(name, machine, having, reference_s, older))
    return found


def worker(beside: Beside) -> str:
    """Such as `a worker of 2 devices`."""
    return f"a worker of {beside[1]} device{'s' * (beside[1] != 1)}"


def _one(
    case: str,
    machine: Machine,
    runs: Sequence[tuple[Digest, tuple[float, ...]]],
    reference_s: Sequence[float] = (),
    older: int = 0,
) -> Series:
    restarts = tuple([values for _, values in runs])
    values = tuple([median(values) for values in restarts])
    return Series(
        case, machine, tuple([run for run, _ in runs]), values, restarts, tuple(reference_s), older, trend=Trend()
    )


def moved(before: Digest, after: Digest) -> tuple[str, ...]:
    """What besides the commit is another in a later run, such as `jaxlib 0.10.1 -> 0.10.2`."""
    was, became = before.software, after.software
    names = [name for name in {**was, **became} if was.get(name) != became.get(name)]
    return tuple(f"{name} {was.get(name, 'none')} -> {became.get(name, 'none')}" for name in names)
