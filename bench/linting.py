"""Looks workloads over in processes of their own, and says what that means for measuring them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from bench.cases import Case, is_own
from bench.live import PRELOAD, nursery
from bench.measured import Finding
from bench.workers import WorkerFailed
from toynet.errors import UsageError

Findings = Mapping[str, tuple[Finding, ...]]
"""Of each workload that was looked over, by its name."""


def of_cases(cases: Sequence[Case], limit_s: float, look: Callable[[], None] = lambda: None) -> Findings:
    """What is found in the workloads of the user's own; a lint that fails is a finding, too, and costs nothing else.

    `look` as a nursery has it.
    """
    found: dict[str, tuple[Finding, ...]] = {}
    for case in cases:
        if (name := case.workload) in found or not is_own(name):
            continue
        try:
            found[name] = of_workload(name, limit_s, case.batch, look)
        except UsageError as error:
            found[name] = (Finding("lint", f"the lint didn't come to its end: {str(error).rstrip('.')}", ""),)
    return found


def of_workload(
    name: str, limit_s: float, examples: int | None = None, look: Callable[[], None] = lambda: None
) -> tuple[Finding, ...]:
    """What is found in one with batches of so many examples (None: its own size).

    Raises UsageError where it can't be looked over.
    """
    try:
        with nursery(limit_s, None, PRELOAD, look=look) as start, contextlib.closing(start()) as worker:
            return worker.lint(name, examples)
    except WorkerFailed as error:
        raise UsageError(
            f"{name!r} can't be looked over: {error}; what it runs has to come back, within --time-limit."
        ) from None


def check(found: Findings, workloads: Iterable[str]) -> None:
    """Raises UsageError if none of the workloads can be measured rightly."""
    errors = {name: [one for one in found.get(name, ()) if one.severity == "error"] for name in workloads}
    if not all(errors.values()):
        return
    name, (first, *others) = next(iter(errors.items()))
    more = f" (and {len(others)} more, which `python -m bench lint {name}` tells)" if others else ""
    raise UsageError(f"{name!r} can't be measured: {first.said}{more}.")
