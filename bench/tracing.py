"""A profiler trace of a few steps, as files for Perfetto and for XProf."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from toynet.errors import UsageError

STEPS = 5
# The folder in which XProf looks for sessions, and this one's name in it, which JAX would take from the clock.
SESSIONS, SESSION = Path("plugins", "profile"), "steps"
PERFETTO = "perfetto_trace.json.gz"


def traced(step: Callable[[], Any], folder: Path) -> Path:
    """Runs a few steps, each waited for, under the profiler; gives the file in the folder that Perfetto opens.

    An earlier trace of this kind in the folder is replaced. Raises UsageError where none can be made.
    """
    session = folder / SESSIONS / SESSION
    try:
        shutil.rmtree(session, ignore_errors=True)
        session.mkdir(parents=True)
        jax.profiler.start_trace(folder, create_perfetto_trace=True, profiler_options=_options())
        try:
            for number in range(STEPS):
                with jax.profiler.StepTraceAnnotation("step", step_num=number):
                    jax.block_until_ready(step())
        finally:
            jax.profiler.stop_trace()
    except OSError as error:
        raise UsageError(f"{folder} can't be written: {error.strerror}") from None
    except (RuntimeError, ValueError) as error:  # another trace is under way, or the profiler isn't to be had
        raise UsageError(f"the profiler failed: {' '.join(str(error).split())}") from None
    return session / PERFETTO


def _options() -> jax.profiler.ProfileOptions:
    """Without calls of Python, which would be most of the file, and of its time."""
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    options.session_id = SESSION
    return options
