"""What takes a step to the host or to another device: callbacks, transfers, constants; and state that isn't donated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax

from bench.lint import leaves
from bench.lint.jaxprs import constants, equations
from bench.lint.subject import Subject
from bench.measured import Finding, Severity

# A constant is compiled into every program that has the step in it: this much, and compiling takes notice of it.
LARGE_BYTES = 10**6

_CALLBACKS = {
    "pure_callback": "jax.pure_callback",
    "io_callback": "jax.experimental.io_callback",
    "debug_callback": "jax.debug.callback",
    "debug_print": "jax.debug.print",
}


def callbacks(subject: Subject) -> Iterator[Finding]:
    """Calls of Python from within the compiled step."""
    calls = ((eqn.primitive.name, at) for eqn, at in equations(subject.step.jaxpr))
    for name, at in dict.fromkeys(call for call in calls if call[0] in _CALLBACKS):
        yield Finding(
            "callback",
            f"the step calls the host by {_CALLBACKS[name]}{at}: each step waits for Python, and its time is Python's, "
            "too",
            "leave it out of what is measured" + ", or write it in jax.numpy" * (name == "pure_callback"),
        )


def transfers(subject: Subject) -> Iterator[Finding]:
    """Arrays that init, a batch or the step moves, or that lie on another device than the rest."""
    here = jax.devices()[0]
    for name, traced in {"init": subject.init, "step": subject.step}.items():
        for eqn, at in equations(traced.jaxpr):
            for target in eqn.params["devices"] if eqn.primitive.name == "device_put" else ():
                if not _is_here(target, here):
                    yield _moved(name, f"moves {leaves.described(eqn.outvars[0].aval)} to {target}{at}", target)
        for constant in constants(traced.jaxpr):
            if isinstance(constant, jax.Array) and constant.devices() != {here}:
                places = ", ".join(sorted(map(str, constant.devices())))
                yield _moved(name, f"uses an array of {leaves.described(constant)} that lies on {places}", None)


def _is_here(target: Any, here: Any) -> bool:
    """Whether what is put there stays where it is: no place was named, or that of the step."""
    if getattr(target, "device_set", None) == {here}:
        return target.memory_kind in (None, here.default_memory().kind)
    return target in (None, here)


def _moved(name: str, what: str, target: Any) -> Finding:
    severity: Severity = "error" if isinstance(target, jax.Device) else "warning"  # which a program of one hasn't got
    return Finding(
        "transfer",
        f"{name} {what}, while it runs on {jax.devices()[0]}",
        "leave it to the harness where arrays lie: take `jax.device_put` out, and make arrays in init or batch",
        severity,
    )


def large_constants(subject: Subject) -> Iterator[Finding]:
    """Arrays that the step closes over."""
    found = {id(one): one for one in constants(subject.step.jaxpr) if leaves.size_bytes(one) >= LARGE_BYTES}
    for constant in found.values():
        what = f"{leaves.described(constant)}, {leaves.in_words(leaves.size_bytes(constant))}"
        yield Finding(
            "constant",
            f"the step closes over an array of {what}, which is compiled into each of its programs",
            "let init put it into the state, or batch into the batch",
        )


def not_donated(subject: Subject) -> Iterator[Finding]:
    """A jit of the user's own around the whole step, which keeps the old state beside the new one."""
    jaxpr = subject.step.jaxpr.jaxpr
    if len(jaxpr.eqns) != 1 or "donated_invars" not in jaxpr.eqns[0].params:
        return
    donated = dict(zip(map(id, jaxpr.eqns[0].invars), jaxpr.eqns[0].params["donated_invars"], strict=True))
    paths = leaves.by_path(subject.state, "state")
    kept = {
        path: leaves.size_bytes(leaf)
        for (path, leaf), var in zip(paths.items(), jaxpr.invars, strict=False)
        if not donated.get(id(var), True)
    }
    if kept:
        yield Finding(
            "donation",
            f"the step is jitted without donating {leaves.listed(kept)}: the harness donates them, a loop of your own "
            f"holds them twice ({leaves.in_words(sum(kept.values()))} more)",
            "jit it with `jax.jit(step, donate_argnums=0)`",
        )
