"""What a history means, in plain sentences."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence

from bench.changes import FEWEST, visible
from bench.digest import Digest, Machine
from bench.history import History, Shift, moved
from bench.report import quantity
from bench.stats import Estimate

# Cases in a sentence, and sentences of one sort; the tables have the rest.
NAMED = 3
SAID = 8
UNKNOWN = "unknown"


def label(machine: Machine) -> str:
    """Such as `cpu: Intel(R) Xeon(R) Processor, 2 cores`."""
    device = "" if machine.platform == "cpu" else f"{machine.device}, "
    return f"{machine.platform}: {device}{machine.cpu}, {machine.cores} core{'s' * (machine.cores != 1)}"


def day(run: Digest) -> str:
    """When a run was made, to the minute."""
    return run.created[:16].replace("T", " ")


def commits(shift: Shift) -> str:
    """Those that may have made the change, as git writes a range: after the first, up to the second.

    `0123456 alone` where the runs on either side are of the same commit.
    """
    before, after = map(commit, shift.within)
    return after + " alone" * (after != UNKNOWN) if before == after else f"{before}..{after}"


def percent(ratio: Estimate) -> str:
    """A ratio as a change: `+5.1% (+4.2 to +6.0)`."""
    value = ratio.value - 1
    if ratio.low is None or ratio.high is None:
        return quantity.Number(f"{100 * value:+.1f}%", value)
    low, high = ratio.low - 1, ratio.high - 1
    decimals = 1 if high - low > 0.004 else 2
    text = f"{100 * value:+.{decimals}f}% ({100 * low:+.{decimals}f} to {100 * high:+.{decimals}f})"
    return quantity.Number(text, value, low, high)


def environment_lines(history: History) -> tuple[str, ...]:
    """A line for each kind of machine."""
    return tuple(_machine(history, machine) for machine in history.machines)


def sentences(history: History, shifts: Sequence[Shift]) -> tuple[str, ...]:
    """What changed, newest first, what couldn't be seen, what changed besides commits, and what doesn't count."""
    found, seen = _changed(history, shifts), _seen(history)
    said = (
        *((found, seen) if shifts else (seen, found)),  # that nothing changed is worth what could have been seen
        _environments(history),
        _not_searched(history),
        _left_out(history),
    )
    return tuple(itertools.chain(*said))


def _machine(history: History, machine: Machine) -> str:
    runs = [run for run in history.archive.runs if run.machine == machine]
    software = " ".join(f"{name} {version}" for name, version in runs[-1].software.items() if version)
    own = [
        setting
        for setting in machine.settings
        if setting[0].isupper() or any(setting not in other.settings for other in history.machines)
    ]
    between = f"{day(runs[0])} to {day(runs[-1])}" if len(runs) > 1 else day(runs[0])
    return "; ".join([label(machine), *own, f"{_counted(len(runs), 'run', 'runs')}, {between}", f"at last {software}"])


def _changed(history: History, shifts: Sequence[Shift]) -> list[str]:
    """Cases that changed alike in the same run are one sentence."""
    alike: dict[tuple[object, ...], list[Shift]] = defaultdict(list)
    for shift in shifts:
        alike[shift.series.machine, shift.first.path, shift.change.log > 0].append(shift)
    said = [_together(group) for group in alike.values()]
    if len(said) > SAID:
        said[SAID:] = [f"There are {len(shifts)} changes in all; the table has them, the newest first."]
    if not history.series:
        return [f"None of these runs has {history.kind} steps."]
    if not said and any(series.trend.scatter is not None for series in history.series):
        return [f"No case became slower or faster by {100 * history.least:g}% or more, as far as these runs tell."]
    return said


def _together(group: Sequence[Shift]) -> str:
    way = "slower" if group[0].change.log > 0 else "faster"
    cases = [shift.series.case for shift in group]
    when = f"since the run of {day(group[0].first)}"
    if len(group) == 1:
        return f"{cases[0]} is {_share(group[0].ratio)} {way} {when}: {_why(group[0])}."
    least, most = (pick(group, key=lambda shift: abs(shift.change.log)) for pick in (min, max))
    named = f"{', '.join(cases[:NAMED])}{f' and {len(cases) - NAMED} more' * (len(cases) > NAMED)}"
    widest = max(group, key=lambda shift: shift.change.latest - shift.change.earliest)
    between = f"{_points(least.ratio.value)} to {_points(most.ratio.value)}%"
    return f"{len(group)} cases are {between} {way} {when}: {_why(widest)}; they are {named}."


def _why(shift: Shift) -> str:
    before, after = map(commit, shift.within)
    made = [] if before == after and shift.moved else [f"commits {commits(shift)}"]
    return " or ".join([*made, *shift.moved])


def _share(ratio: Estimate) -> str:
    ends = sorted(_points(bound) for bound in (ratio.low, ratio.high) if bound)
    return f"{_points(ratio.value)}% ({' to '.join(ends)})"


def _points(ratio: float) -> str:
    return f"{abs(100 * (ratio - 1)):.1f}"


def _seen(history: History) -> list[str]:
    """What can't be seen for the scatter, if that is more than was asked for."""
    least = {
        series.case: math.expm1(visible(len(series.runs), series.trend.scatter))
        for series in history.series
        if series.trend.scatter is not None
    }
    if not least or max(least.values()) <= history.least:
        return []
    sharpest, dullest = (quantity.plain_percent(pick(least.values())) for pick in (min, max))
    most = f", and by {dullest} in {max(least, key=least.__getitem__)}" if len(least) > 1 else ""
    told = (
        f"These runs can't tell a change of {100 * history.least:g}%: as"
        if min(least.values()) > history.least
        else "As"
    )
    return [
        f"{told} runs scatter, a change half-way through them would have to be by {sharpest} or so to be seen in "
        f"{min(least, key=least.__getitem__)}{most}."
    ]


def _environments(history: History) -> list[str]:
    """What runs had besides other commits."""
    said = []
    for machine in history.machines:
        where = f" on {label(machine)}" if len(history.machines) > 1 else ""
        runs = [run for run in history.archive.runs if run.machine == machine]
        said += [
            f"{', '.join(changed)} with the run of {day(after)}{where}."
            for before, after in itertools.pairwise(runs)
            if (changed := moved(before, after))
        ]
    if len(said) > SAID:
        said[:-SAID] = [f"What the runs had besides commits changed {len(said)} times; these are the last."]
    return said


def _not_searched(history: History) -> list[str]:
    few = [s for s in history.series if s.against_reference and s.trend.scatter is None]
    without = [s for s in history.series if not s.against_reference]
    said = []
    if few:
        said.append(
            f"{_counted(len(few), 'case has', 'cases have')} fewer than {2 * FEWEST} runs: too few to look for changes."
        )
    if without:
        said.append(
            f"{_counted(len(without), 'case has', 'cases have')} no run that timed the reference workload; step times "
            "are shown, and no changes sought, since a slower machine can't be told from a slower commit."
        )
    return said


def _left_out(history: History) -> list[str]:
    archive = history.archive
    older = sum(not run.reference_s for run in archive.runs) if any(series.older for series in history.series) else 0
    said = [
        (older, "run is", "runs are", "of before there was a reference workload, and left out where others have it"),
        (archive.others, "file isn't a run's", "files aren't a run's", "record, and passed over"),
        (archive.copies, "file is a copy", "files are copies", "of a run that is in another"),
    ]
    return [f"{_counted(count, one, several)} {what}." for count, one, several, what in said if count]


def _counted(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"


def commit(run: Digest) -> str:
    """Such as `0123456 (dirty)`."""
    return UNKNOWN if run.commit is None else run.commit[:7] + " (dirty)" * run.dirty
