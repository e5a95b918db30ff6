"""What changes from step to step: retraces, and outputs that grow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from bench.lint import leaves
from bench.lint.leaves import Change, What
from bench.lint.subject import STEPS, Subject
from bench.measured import Finding

# Metrics smaller than this are nobody's concern, whatever they are as large as.
SMALL_BYTES = 1024


def retraces(subject: Subject) -> Iterator[Finding]:
    """Leaves of the state that come out of the first step otherwise than they went in."""
    grown = {change.path for change in _grown(subject)}
    found = [one for one in leaves.changes(subject.course[0], subject.course[1], "state") if one.path not in grown]
    for what in leaves.FIXES:
        if alike := [change for change in found if change.what == what]:
            yield _retrace(what, alike)


def _retrace(what: What, changes: Sequence[Change]) -> Finding:
    first, *others = changes
    too = f" (so do {leaves.listed(change.path for change in others)})" if others else ""
    donated = ", and its buffer can't be used again for it" * (what != "weak type")
    subject = "a static value of the state" if what == "tree" and first.path == "state" else first.path
    said = f"{subject} goes into the first step as {first.was} and comes out as {first.now}{too}"
    return Finding(
        "retrace", f"{said}: the next step is traced and compiled anew{donated}", leaves.FIXES[what], "error"
    )


def growth(subject: Subject) -> Iterator[Finding]:
    """Leaves of the state whose shape is another one after each step."""
    for change in _grown(subject):
        shapes = [leaves.described(leaves.by_path(state, "state")[change.path]) for state in subject.course]
        yield Finding(
            "growth",
            f"{change.path} grows from step to step, from {' to '.join(shapes)}: every step is compiled anew, and "
            "takes longer than the one before",
            "give it the size that it may have at most in init, and write into it at an index that is part of the "
            "state: `history.at[i].set(x)`",
            "error",
        )


def _grown(subject: Subject) -> list[Change]:
    """Leaves whose shape changes in every step that was followed."""
    steps = [leaves.changes(was, now, "state") for was, now in pairwise(subject.course)]
    if len(steps) < STEPS:
        return []
    lasting = set.intersection(*({one.path for one in step if one.what == "shape"} for step in steps))
    return [one for one in steps[0] if one.path in lasting]


def large_metrics(subject: Subject) -> Iterator[Finding]:
    """Metrics with an entry for each example, or as large as the state."""
    state_bytes = sum(map(leaves.size_bytes, leaves.by_path(subject.state, "").values()))
    for path, leaf in leaves.by_path(subject.step.out[1], "metrics").items():
        size = leaves.size_bytes(leaf)
        per_example = leaf.shape[:1] == (subject.examples,) and subject.examples > 1
        if not per_example and size < max(state_bytes, SMALL_BYTES):
            continue
        as_large = "has an entry for each example of the batch" if per_example else "is as large as the state"
        yield Finding(
            "metrics",
            f"{path} is {leaves.described(leaf)}, which {as_large}: each step of many in one program keeps its own",
            "reduce it within the step to what is looked at afterwards, such as its mean",
        )


def traces(subject: Subject) -> Iterator[Finding]:
    """Traces of the first steps, as JAX really makes them, where nothing else says why."""
    if subject.ran.traces > 1 and not list(retraces(subject)):
        yield Finding(
            "retrace",
            f"the first {STEPS} steps were traced {subject.ran.traces} times, though shapes and dtypes of the state "
            "stayed as they are",
            "look for what changes by running it with JAX_EXPLAIN_CACHE_MISSES=1",
        )
