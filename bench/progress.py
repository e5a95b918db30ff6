"""What is going on, on a terminal, with the time that is left; nothing where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench.conductor import Broke, Certified, Conductor, Event, RoundEnded, Sampled, Started
from bench.report.terminal import console
from bench.run import Watch


@contextmanager
def progress(*, quiet: bool) -> Iterator[Watch]:
    """Gives what watches the events of a run; broken cases are said at once, on standard error."""
    to = console(error=True)
    shown = to.is_terminal and not quiet
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[left]}"))
    with Progress(*columns, console=to, transient=True, disable=not shown, auto_refresh=False) as bar:
        task = bar.add_task("starting", total=None, left="")

        def watch(event: Event, conductor: Conductor) -> None:
            left_s = conductor.left_s()
            done = bar.tasks[0].elapsed or 0.0
            bar.update(
                task,
                description=_said(event),
                completed=done,
                total=done + left_s,
                left=f"about {left_s:.0f} s left",
            )
            bar.refresh()  # here, between blocks: a thread of its own would disturb them
            if isinstance(event, Broke) and not quiet:
                bar.print(f"broken: {event.case.name}: {event.why}", markup=False)

        yield watch


def _said(event: Event) -> str:
    match event:
        case Started(case=case, restart=restart):
            return f"start {restart + 1}: compiled {case.name}"
        case Certified(case=case):
            return f"checked {case.name}"
        case Sampled(case=case, restart=restart):
            return f"start {restart + 1}: timed {case.name}"
        case RoundEnded(restart=restart, round=number):
            return f"start {restart + 1}, round {number + 1}"
        case Broke(case=case):
            return f"broken: {case.name}"
