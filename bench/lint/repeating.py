"""Whether a workload is the same a second time: traced again, run again, with batches of another key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bench.lint import leaves
from bench.lint.jaxprs import constants
from bench.lint.subject import Subject, Traced
from bench.measured import Finding

# Of functions that stand in a jaxpr.
_ADDRESS = re.compile(r" at 0x[0-9a-fX]+")
_DRAWN = (
    "draw it with jax.random from a key that is an argument or in the state: what np.random, the time or the order of "
    "a set give is read once, while it is traced"
)


def other_traces(subject: Subject) -> Iterator[Finding]:
    """What a function is traced to differs from one time to the next, and so from process to process."""
    for name, both in subject.again.items():
        if what := _other(*both):
            yield Finding(
                "not the same twice",
                f"{name} isn't the same when it is traced again: {what}, so two processes measure two workloads",
                _DRAWN,
                "error",
            )


def _other(first: Traced, again: Traced) -> str:
    mine, theirs = list(constants(first.jaxpr)), list(constants(again.jaxpr))
    for was, now in zip(mine, theirs, strict=False):
        if (was.shape, was.dtype) == (now.shape, now.dtype) and not _equal(was, now):
            return f"a constant of {leaves.described(was)} in it is another one"
    if len(mine) != len(theirs):
        return f"it has {len(mine)} constants first and {len(theirs)} then"
    return _other_lines(_text(first), _text(again))


def _equal(was: Any, now: Any) -> bool:
    return was is now or leaves.on_host(was).tobytes() == leaves.on_host(now).tobytes()


def _text(traced: Traced) -> list[str]:
    return _ADDRESS.sub("", str(traced.jaxpr)).splitlines()


def _other_lines(first: list[str], again: list[str]) -> str:
    if first == again:
        return ""
    was, now = next(((a, b) for a, b in zip(first, again, strict=False) if a != b), ("", ""))
    return f"`{was.strip()}` has become `{now.strip()}`" if was else "it has other operations"


def other_batches(subject: Subject) -> Iterator[Finding]:
    """A batch that is another one when its key comes again."""
    first, again = (
        leaves.on_host(leaves.as_jax_has_them(one)) for one in (subject.drawn.batches[0], subject.drawn.again)
    )
    if leaves.changes(leaves.shapes(first), leaves.shapes(again), "batch"):
        paths: tuple[str, ...] = ("batch",)
    else:
        paths = leaves.unlike((first,), (again,), ("batch",))
    if paths:
        yield Finding(
            "not the same twice",
            f"batch gives other bits for {leaves.listed(paths)} when it is called again with the same key, so two runs "
            "measure different data",
            "draw it by the key alone, as by `np.random.default_rng(np.asarray(key))`, not from an iterator or a "
            "generator that goes on",
        )


def other_runs(subject: Subject) -> Iterator[Finding]:
    """The same program, run again on the same arguments, gives other bits."""
    for what, paths in (("init", subject.ran.unlike_init), ("the first step", subject.ran.unlike_step)):
        if paths:
            yield Finding(
                "not the same twice",
                f"{what} gives other bits for {leaves.listed(paths)} when it is run again, with the same key and state",
                "look for a callback that keeps something of its own; on a GPU for sums in no fixed order, which "
                "XLA_FLAGS=--xla_gpu_deterministic_ops=true gives one",
            )


def batches(subject: Subject) -> Iterator[Finding]:
    """Batches that aren't alike, from the first to the second, or haven't as many examples as were asked for."""
    first, *others = map(leaves.shapes, subject.drawn.batches)
    for change in next(filter(None, (leaves.changes(first, batch, "batch") for batch in others)), [])[:1]:
        yield Finding(
            "batches",
            f"{change.path} is {change.was} in the first batch and {change.now} in a later one: the step is compiled "
            "anew for it",
            "give every batch the shape and dtype that n says, whatever the key, and pad a short one",
            "error",
        )
    for path, leaf in leaves.by_path(first, "batch").items():
        if leaf.shape[:1] != (subject.examples,):
            yield Finding(
                "batches",
                f"{path} is {leaves.described(leaf)} in a batch of {subject.examples} examples, and its first axis was "
                f"expected to have {subject.examples} entries",
                "let batch(key, n) give n examples along the first axis of every leaf",
                "error",
            )
