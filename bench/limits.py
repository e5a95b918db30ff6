"""What may be asked of a run: what can't be is refused in a sentence, before anything is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.cases import Case
from bench.environment import Backend
from bench.plausible import COUNT_AT_MOST
from toynet.errors import UsageError
from toynet.xla import MAX_SIMULATED

# As long as any wait that the system takes: three weeks.
SECONDS_AT_MOST = 2e6


def check_dtype(cases: Sequence[Case], backend: Backend) -> None:
    """Raises UsageError for a dtype that JAX was not told to compute in."""
    if any(case.dtype == "float64" for case in cases) and backend.settings["jax_enable_x64"] != "True":
        raise UsageError("float64 needs JAX_ENABLE_X64=1 in the environment; without it JAX computes in float32.")


def check_seed(seed: int) -> None:
    """Raises UsageError for one that a record can't have."""
    if not 0 <= seed <= COUNT_AT_MOST:
        raise UsageError(f"seed must be from 0 to 2**53, got {seed}.")


def check_seconds(seconds: Mapping[str, float]) -> None:
    """Raises UsageError for a duration that is none, or longer than the system can wait."""
    for name, value in seconds.items():
        if not 1e-6 <= value <= SECONDS_AT_MOST:
            raise UsageError(f"the {name} must be above 0 and at most {SECONDS_AT_MOST:g} s, got {value:g}.")


def check_tolerance(tolerance: float | None) -> None:
    """Raises UsageError for one that allows nothing, or anything."""
    if tolerance is not None and not 0 < tolerance < 1:
        raise UsageError(
            f"the tolerance, a share of a leaf's largest entry, must be above 0 and below 1, got {tolerance:g}."
        )


def available(cases: Sequence[Case], backend: Backend, *, cut: bool) -> list[Case]:
    """The cases for which there are devices; with `cut` others are left out, else they raise UsageError."""
    most = MAX_SIMULATED if backend.simulated else backend.device_count
    for case in cases:
        if case.devices > most * case.processes and not cut:
            how = f"a CPU can be made to show {most}" if backend.simulated else f"{backend.platform} has {most}"
            raise UsageError(f"{case.devices} devices asked for, but {how}; ask for fewer.")
    kept = [case for case in cases if case.devices <= most * case.processes]
    if not kept:
        raise UsageError(f"no case: all of them need more devices than the {most} of {backend.platform}.")
    return kept
