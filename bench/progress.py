"""What is going on, on a terminal, with the time that is left; nothing where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench import ab, duet, run
from bench.conductor import Conductor
from bench.events import Broke, Certified, Event, RoundEnded, Sampled, Started, TakenApart, Traced, Unreferenced
from bench.report.harmless import harmless
from bench.report.terminal import console


@contextmanager
def progress(*, quiet: bool) -> Iterator[run.Watch]:
    """Gives what watches the events of a run; broken cases are said at once, on standard error."""
    with _bar(quiet=quiet) as (show, say):

        def watch(event: Event, conductor: Conductor) -> None:
            show(_said(event), conductor.left_s(), "about")
            if isinstance(event, Broke):
                say(f"broken: {event.case.name}: {event.why}")
            if isinstance(event, Traced) and event.why_not:
                say(f"not traced: {event.case.name}: {event.why_not}")
            if isinstance(event, Unreferenced):
                say(f"no reference workload: {event.why}")

        yield watch


@contextmanager
def comparing(*, quiet: bool) -> Iterator[ab.Watch]:
    """Gives what watches the events of a comparison; broken pairs are said at once, on standard error."""
    with _bar(quiet=quiet) as (show, say):

        def watch(event: duet.Event, duets: duet.Duets, _: object) -> None:
            if not isinstance(event, duet.Played):
                show(_compared(event), duets.left_s(), "at most")
            if isinstance(event, duet.Broke):
                say(f"broken: {event.pair.name}: {event.why}")

        yield watch


@contextmanager
def racing(*, quiet: bool) -> Iterator[Callable[[str, float], None]]:
    """Gives what shows, between blocks, where contenders are, and the seconds left."""
    with _bar(quiet=quiet) as (show, _):
        show("starting contenders", 0.0, "not known yet, at least")
        yield lambda description, left_s: show(description, left_s, "about")


@contextmanager
def _bar(*, quiet: bool) -> Iterator[tuple[Callable[[str, float, str], None], Callable[[str], None]]]:
    """What shows a description with the seconds left, and how surely; and what says a line that stays."""
    to = console(error=True)
    shown = to.is_terminal and not quiet
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[left]}"))
    with Progress(*columns, console=to, transient=True, disable=not shown, auto_refresh=False) as bar:
        task = bar.add_task("starting", total=None, left="")

        def show(description: str, left_s: float, surely: str) -> None:
            done = bar.tasks[0].elapsed or 0.0
            left = f"{surely} {left_s:.0f} s left"
            bar.update(task, description=description, completed=done, total=done + left_s, left=left)
            bar.refresh()  # here, between blocks: a thread of its own would disturb them

        def say(line: str) -> None:
            if not quiet:
                bar.print(harmless(line), markup=False)

        yield show, say


def _compared(event: duet.Opened | duet.Agreed | duet.Judged | duet.Broke) -> str:
    match event:
        case duet.Opened(pair=pair, restart=restart):
            return f"restart {restart + 1}: {pair.name}"
        case duet.Agreed(pair=pair):
            return f"checked {pair.name}"
        case duet.Judged(pair=pair, trial=trial):
            return f"{pair.name}: {trial.verdict or ('confirming' if trial.claim else 'not clear yet')}"
        case duet.Broke(pair=pair):
            return f"broken: {pair.name}"


def _said(event: Event) -> str:
    match event:
        case Started(case=case, restart=restart):
            return f"start {restart + 1}: compiled {case.name}"
        case Certified(case=case):
            return f"checked {case.name}"
        case TakenApart(case=case):
            return f"taken apart {case.name}"
        case Sampled(case=case, restart=restart):
            return f"start {restart + 1}: timed {case.name}"
        case Traced(case=case):
            return f"traced {case.name}"
        case Unreferenced(case=case):
            return f"no reference workload: {case.name}"
        case RoundEnded(restart=restart, round=number):
            return f"start {restart + 1}, round {number + 1}"
        case Broke(case=case):
            return f"broken: {case.name}"
