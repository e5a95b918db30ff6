"""What is shown while something is measured."""

from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console

from bench import progress
from bench.conductor import Conductor
from bench.events import RoundEnded, Schedule


def test_on_a_terminal_it_is_drawn_when_something_happens_and_by_no_thread_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = io.StringIO()
    monkeypatch.setattr(progress, "console", lambda **_: Console(file=drawn, force_terminal=True, width=120))
    conductor = Conductor(lambda: pytest.fail("nothing is started"), lambda: 0.0, Schedule(budget_s=60), (0,))
    threads = threading.active_count()
    with progress.progress(quiet=False) as watch:
        watch(RoundEnded(1, 2), conductor)
        assert threading.active_count() == threads
        assert "start 2, round 3" in drawn.getvalue()
        assert "about 60 s left" in drawn.getvalue()


def test_in_a_pipe_and_when_quiet_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    conductor = Conductor(lambda: pytest.fail("nothing is started"), lambda: 0.0, Schedule(), (0,))
    for terminal, quiet in ((False, False), (True, True)):
        drawn = io.StringIO()
        made = Console(file=drawn, force_terminal=terminal, width=120)
        monkeypatch.setattr(progress, "console", lambda made=made, **_: made)
        with progress.progress(quiet=quiet) as watch:
            watch(RoundEnded(0, 0), conductor)
        assert drawn.getvalue().strip() == ""
