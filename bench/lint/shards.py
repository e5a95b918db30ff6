"""Random numbers in mode data_parallel: keys that devices share, or that depend on how many devices there are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import jax

from bench import alike, foreign
from bench.alike import SHARDS
from bench.lint import leaves
from bench.lint.flow import Flow
from bench.lint.jaxprs import equations
from bench.lint.subject import Subject, trace
from bench.measured import Finding
from toynet.mesh import DATA

_BY_EXAMPLE = (
    "draw with `toynet.keys.example_keys(key, n, axis_name)`, which has a key for each example by its index in the "
    "global batch"
)


_NOT_SHARDED = 'take it out of --modes, or name it in the Workload\'s `refused={"data_parallel": why}`'
_VARYING = (
    "what a loop carries differs from device to device and begins with what doesn't: begin it with "
    '`jax.lax.pcast(begin, axis_name, to="varying")` where there is an axis name'
)


def shared_keys(subject: Subject) -> Iterator[Finding]:
    """Follows random numbers through the step as two devices would trace it; they needn't be there."""
    workload = subject.workload
    if "data_parallel" in workload.refused:
        return
    local = _telling(subject)
    batch = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((SHARDS * local, *leaf.shape[1:]), leaf.dtype), subject.batch
    )
    if said := alike.unlike(workload, subject.state, batch):
        yield Finding("mode", f"in mode data_parallel {said}", "", "error")
        return
    step = alike.divided(lambda state, batch: workload.step(state, batch, DATA))
    try:
        traced = trace(step, subject.state, batch)
    except Exception as error:  # noqa: BLE001, it is the user's code
        yield Finding(
            "mode",
            f"in mode data_parallel the step can't be traced: {foreign.raised(error)}",
            _VARYING if "{V:" in str(error) else _NOT_SHARDED,
        )
        return
    flow = Flow(DATA, local)
    flow.follow(traced.jaxpr, divided=len(leaves.by_path(batch, "")))
    for at in flow.shared:
        yield Finding(
            "key",
            f"in mode data_parallel every device draws the same random numbers for its part of the batch{at}: the key "
            "is replicated over them, so the first example of each has the same ones",
            _BY_EXAMPLE,
        )
    for at in flow.counted:
        yield Finding(
            "key",
            f"in mode data_parallel a key is made of the index of the device{at}, so random numbers depend on how many "
            "devices there are, and aren't those of single",
            _BY_EXAMPLE,
        )


def _telling(subject: Subject) -> int:
    """So many examples a device as no axis of the step has by itself: what is drawn for each of them shows by that.

    A multiple of what it really has, for a step may divide its batch further.
    """
    sizes = {1}
    for eqn, _ in equations(subject.step.jaxpr):
        sizes.update(*(getattr(var.aval, "shape", ()) for var in (*eqn.invars, *eqn.outvars)))
    local = -(-subject.examples // SHARDS)
    return next(times * local for times in itertools.count(1) if times * local not in sizes)
