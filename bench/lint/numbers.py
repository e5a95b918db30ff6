"""What a workload computes in, and whether it computes numbers at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.lint import leaves
from bench.lint.jaxprs import equations, is_users, jaxprs_within, line_of
from bench.lint.subject import Subject
from bench.measured import Finding
from toynet.workload import loss

_WIDE = (np.dtype(np.float64), np.dtype(np.complex128))


def float64(subject: Subject) -> Iterator[Finding]:
    """float64 that nobody asked for: where JAX has it, what brings it in; where it hasn't, what it is cut down from."""
    yield from _wide(subject) if jax.dtypes.canonicalize_dtype("float64") == np.float64 else _narrowed(subject)


def _wide(subject: Subject) -> Iterator[Finding]:
    """Of a state that has float32 too: in float64 alone it is meant."""
    floats = {
        path: leaf
        for path, leaf in leaves.by_path(subject.state, "state").items()
        if jnp.issubdtype(leaf.dtype, jnp.inexact)
    }
    wide = [path for path, leaf in floats.items() if _is_wide(leaf)]
    if floats and len(wide) == len(floats):
        return
    batch = [path for path, leaf in leaves.by_path(subject.batch, "batch").items() if _is_wide(leaf)]
    if named := wide + batch:
        yield Finding(
            "float64",
            f"{leaves.listed(named)} {'is' if len(named) == 1 else 'are'} float64, and "
            f"{leaves.listed(path for path in floats if path not in wide) if floats else 'nothing else'} "
            "less: what they meet is computed in float64",
            "say `dtype=jnp.float32` where it is made",
        )
    made = dict.fromkeys(_brings(eqn, at) for eqn, at in equations(subject.step.jaxpr))
    if places := [place for place in made if place]:
        yield Finding(
            "float64",
            f"the step makes {leaves.listed(places)}, though its state isn't float64",
            "look for a NumPy float64 or a `jnp.float64` there, and say `jnp.float32`",
        )


def _brings(eqn: Any, at: str) -> str:
    """What an equation makes of float64 out of what isn't, and where; a single number is none to speak of."""
    made = [var.aval for var in eqn.outvars if _is_wide(var.aval) and var.aval.size > 1 and not var.aval.weak_type]
    if not made or any(_is_wide(var.aval) for var in eqn.invars) or jaxprs_within(eqn):
        return ""
    given = [leaves.described(var.aval) for var in eqn.invars if hasattr(var.aval, "dtype")]
    return leaves.described(made[0]) + "".join(f" of {one}" for one in given[:1]) + at


def _narrowed(subject: Subject) -> Iterator[Finding]:
    init, batch, step = subject.init, subject.drawn, subject.step
    given = {"init": init.given, "batch": batch.batches[0], "step": step.given[0]}
    for name, tree in given.items():
        for path, leaf in leaves.by_path(tree, "batch" if name == "batch" else "state").items():
            yield from _cut(name, path, leaf)
    for name, warned in {"init": init.warned, "batch": batch.warned, "step": step.warned}.items():
        for one in warned:
            if found := re.match(r"Explicitly requested dtype (\w+)", one.message):
                at = line_of(one.file, one.line) if is_users(one.file) else ""
                yield _is_cut(f"{name} asks for {found[1]}{at}", found[1])


def _cut(name: str, path: str, leaf: Any) -> Iterator[Finding]:
    """What JAX makes less of than NumPy has in it; whole numbers only if they don't fit."""
    if not isinstance(leaf, np.ndarray | np.generic):
        return
    narrow = jax.dtypes.canonicalize_dtype(leaf.dtype)
    lost = leaf.dtype in _WIDE or (np.issubdtype(leaf.dtype, np.integer) and np.any(leaf.astype(narrow) != leaf))
    if lost and narrow != leaf.dtype:
        yield _is_cut(f"{path} of {name} is an array of NumPy of {leaf.dtype}{list(leaf.shape)}", str(leaf.dtype))


def _is_cut(what: str, dtype: str) -> Finding:
    narrow = jax.dtypes.canonicalize_dtype(dtype)
    return Finding(
        "float64",
        f"{what}, of which JAX makes {narrow}, for x64 isn't enabled",
        f"say {narrow} where it is made, or compute in {dtype} with JAX_ENABLE_X64=1 in the environment",
    )


def not_finite(subject: Subject) -> Iterator[Finding]:
    """A loss of the first steps that is no finite number."""
    losses = [float(np.mean(loss(metrics))) for metrics in subject.ran.metrics]
    wrong = next((i for i, value in enumerate(losses) if not np.isfinite(value)), None)
    if wrong is None:
        return
    spoilt = [
        path
        for path, leaf in leaves.by_path(subject.ran.state, "state").items()
        if jnp.issubdtype(leaf.dtype, jnp.inexact) and not np.all(np.isfinite(leaf))
    ]
    are = "is" if len(spoilt) == 1 else "are"
    after = f", and {leaves.listed(spoilt)} {are} not finite after the first" if spoilt else ""
    which = "the very first step" if wrong == 0 else f"step {wrong + 1}"
    yield Finding(
        "not finite",
        f"the loss of {which} is {losses[wrong]:g}{after}",
        "run a step with JAX_DEBUG_NANS=1, which stops at the operation that makes it",
        "error",
    )


def _is_wide(of: Any) -> bool:
    return getattr(of, "dtype", None) in _WIDE
