"""Proves, before any step is timed, that a case computes what `single` computes."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from bench.conditioning import moved
from bench.deviation import Comparison
from bench.measured import Certificate, Check, Collective
from bench.reference import Reference, named, unstacked
from bench.tolerance import tolerances
from toynet import modes
from toynet.program import Program
from toynet.workload import Workload, loss

# A wrong mode shows on some member of some shard of them; checking more takes time and finds no more.
CHECKED_MEMBERS = 4
# The gradient of parameters that are equal on all devices is summed over them unasked; a mean of it changes nothing.
OF_THE_LOSS = "take the mean of the loss over the devices before its gradient, not the mean of gradients"


class TraceCount:
    """Counts how often JAX traces a workload's step, whether as a whole or in its parts."""

    def __init__(self) -> None:
        self.traces = 0

    def counted(self, workload: Workload) -> Workload:
        """The workload, its step counted."""
        changed: dict[str, Any] = {"step": self._counted(workload.step)}
        # A side's own toynet may be older, and know of neither.
        if parts := getattr(workload, "parts", None):
            changed["parts"] = dataclasses.replace(parts, update=self._counted(parts.update))
        if lanes := getattr(workload, "lanes", None):
            changed["lanes"] = dataclasses.replace(lanes, step=self._counted(lanes.step))
        return dataclasses.replace(workload, **changed)

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def counting(*args: Any, **kwargs: Any) -> Any:
            self.traces += 1
            return function(*args, **kwargs)

        return counting


def certify(
    program: Program,
    reference: Reference,
    initial: Any,
    first_losses: np.ndarray,
    state: Any,
    batches: Any,
    *,
    fused: bool,
    seed: int,
    dtype: str,
    products: str | None = None,
    tolerance: float | None = None,
    traces: TraceCount,
    found: Sequence[Collective],
) -> tuple[Certificate, Any]:
    """Compares a program, whose step was compiled and run before, with `single` on the same batches.

    `initial` are the checked members of its state before the first step, `first_losses` their losses in
    that step, on the first of the batches, both on the host. `state` is the one after it, which is
    donated; the state after all checks is given back. `batches` has shape (steps, batch, ...) and isn't
    placed. With `fused` an epoch is run as one program; else, since steps are long, its first is the one
    that was run, and its last the one that is compared. `found` are the collectives of the compiled step.
    `products` is what the layers' products are rounded to (None: the dtype of the state), `tolerance` what is allowed
    of the initial state, of gradients and of steps (None: what is usual in these dtypes).

    Raises UsageError for dtypes of which that isn't known.
    """
    members = checked_members(program)
    products = products or dtype
    allowed = tolerances(dtype, products, tolerance)
    comparison = functools.partial(Comparison, program.mode.ensemble, members)
    begun, raw, steps = (
        comparison(most, asked=allowed.asked) for most in (allowed.initial, allowed.gradients, allowed.steps)
    )
    curves = comparison(allowed.curve)
    checks = [begun.check("initial state", named(initial), [reference.initial(seed + i) for i in members])]

    first, *others = unstacked(batches)
    last = others[-1] if others else first
    start = steps.each(program.members(state, members))
    if program.gradients is not None:
        grads = program.members(program.gradients(state, program.place(last)), members)
        expected = [reference.gradients(s, last) for s in start]
        checks.append(_raw_gradients(raw, grads, expected, allowed.floor, program.layout.data_shards))

    if fused:
        state, metrics = program.epoch(state, program.place_stacked(batches), 1)
        losses = list(np.moveaxis(program.members(loss(metrics), members), -1, 0))
        expected = [reference.curve(s, [first, *others]) for s in start]
    else:
        state, losses = _steps(program, state, others[:-1], members)
        expected = [reference.curve(s, [first, *others[:-1], last]) for s in steps.each(initial)]
    same, traced = steps.each(program.members(state, members)), traces.traces
    state, metrics = jax.block_until_ready(program.step(state, program.place(last)))
    again = traces.traces - traced
    if not fused:
        losses = [first_losses, *losses, program.members(loss(metrics), members)]
    checks.append(curves.check("loss over an epoch", np.stack(losses, axis=-1), expected))
    after = program.members(state, members)
    stepped = functools.partial(reference.step, batch=last)

    def movable(k: int) -> Sequence[float]:
        return moved(stepped, same[k], products)

    checks.append(steps.check("step from the same state", after, [stepped(s) for s in same], movable=movable))
    if program.gradients is None and program.layout.data_shards > 1 and not checks[-1].passed:
        checks[-1] = _hinted(checks[-1], f"if it averages gradients: {OF_THE_LOSS}")
    checks += [_not_retraced(again), _expected_collectives(program, found)]
    placed = program.place(last)
    checks += [_placed(program, state), _shares(program, state, placed)]
    if getattr(program.layout, "processes", 1) > 1:  # a side's own toynet may be older
        checks.append(share_of_process(program, state, placed))
    curve = np.ravel(steps.each(np.stack(losses, axis=-1))[0])
    refused = tuple(refusals(program.workload).items())
    return Certificate(tuple(checks), members, tuple(curve.tolist()), products, refused), state


def _raw_gradients(raw: Comparison, found: Any, expected: Sequence[Any], floor: float, devices: int) -> Check:
    """Of the checked members; with a hint where they are sums over the devices in place of means."""
    check = raw.check("raw gradients", found, expected, floor)
    if devices == 1 or check.passed:
        return check
    means = jax.tree.map(lambda leaf: leaf / np.asarray(devices, leaf.dtype), found)
    if not raw.check("", means, expected, floor).passed:
        return check
    return _hinted(check, f"{devices} times what they should be: {OF_THE_LOSS}")


def _hinted(check: Check, hint: str) -> Check:
    """A failed check that says what may have gone wrong."""
    return dataclasses.replace(check, found=f"{check.found} ({hint})")


def refusals(workload: Workload) -> dict[str, str]:
    """The modes that a workload can't be run in, and why."""
    lacks = "it has no `parts` by which to divide its state"
    divide = [mode.name for mode in modes.MODES.values() if getattr(mode, "shards_state", False)]
    undivided = {} if getattr(workload, "parts", None) else dict.fromkeys(divide, lacks)
    return {**undivided, **getattr(workload, "refused", {})}  # a side's toynet may be older, and know of neither


def _steps(
    program: Program, state: Any, batches: Sequence[Any], members: Sequence[int]
) -> tuple[Any, list[np.ndarray]]:
    """The state after steps on those batches, one by one, and their losses."""
    losses = []
    for batch in batches:
        state, metrics = jax.block_until_ready(program.step(state, program.place(batch)))
        losses.append(program.members(loss(metrics), members))
    return state, losses


def checked_members(program: Program) -> tuple[int, ...]:
    """CHECKED_MEMBERS, and one of each shard at least, evenly spread; the first and the last among them."""
    n = program.layout.members
    spread = np.linspace(0, n - 1, min(n, max(CHECKED_MEMBERS, program.layout.member_shards)))
    return tuple(dict.fromkeys(spread.round().astype(int).tolist()))


def _not_retraced(again: int) -> Check:
    said = "no retrace" if not again else f"traced {again} more times"
    return Check("traces", not again, said, "no retrace")


def _expected_collectives(program: Program, found: Sequence[Collective]) -> Check:
    expected = {f"{kind} over {program.layout.data_shards}" for kind in _kinds(program)}
    present = {f"{collective.kind} over {collective.group_size}" for collective in found}
    return Check("collectives", present == expected, _listed(present), _listed(expected))


def _kinds(program: Program) -> frozenset[str]:
    if hasattr(program, "collectives"):
        return program.collectives
    # A side's own toynet may be older.
    return modes.collectives(program.mode, program.layout, program.workload.virtual_shards)


def _placed(program: Program, state: Any) -> Check:
    def as_expected(leaf: jax.Array, sharding: jax.sharding.Sharding) -> bool:
        same = leaf.sharding.is_equivalent_to(sharding, leaf.ndim)
        return same and len(leaf.sharding.device_set) == program.layout.devices

    shardings = jax.tree.leaves(jax.tree.broadcast(program.state_sharding, state))
    pairs = list(zip(jax.tree.leaves(state), shardings, strict=True))
    wrong = [(f"{leaf.sharding}", f"{sharding}") for leaf, sharding in pairs if not as_expected(leaf, sharding)]
    found, expected = wrong[0] if wrong else ("as placed", "; ".join(dict.fromkeys(map(str, shardings))))
    return Check("sharding of the state", not wrong, found, expected)


def _shares(program: Program, state: Any, batch: Any) -> Check:
    """That each device holds its part of the batch, and of the members, and no more: weak scaling counts on it."""
    layout = program.layout
    examples = layout.padded_batch(program.workload.virtual_shards) // layout.data_shards
    expected = (
        f"{examples} examples" + f" x {layout.padded_members // layout.member_shards} members" * program.mode.ensemble
    )
    present = {f"{rows} examples" for rows in _rows_on_devices(batch)}
    if program.mode.ensemble:
        present = {f"{one} x {rows} members" for one in present for rows in _rows_on_devices(state)}
    return Check("share of a device", present == {expected}, _listed(present), expected)


def share_of_process(program: Program, state: Any, batch: Any) -> Check:
    """That this process addresses its part of the batch, and of the members, and no more."""
    layout = program.layout
    examples, members = layout.padded_batch(program.workload.virtual_shards), layout.padded_members
    over_data = math.gcd(layout.data_shards, layout.processes)
    expected = f"{examples // over_data} of {examples} examples"
    present = {f"{rows} of {examples} examples" for rows in _rows_in_process(batch)}
    if program.mode.ensemble:
        expected += f" x {members * over_data // layout.processes} of {members} members"
        present = {f"{one} x {rows} of {members} members" for one in present for rows in _rows_in_process(state)}
    return Check("share of a process", present == {expected}, _listed(present), expected)


def _rows_in_process(tree: Any) -> set[int]:
    """How many entries of the leading axis this process addresses of a tree's leaves."""

    def addressed(leaf: jax.Array) -> int:
        held = {shard.index[0].indices(leaf.shape[0])[:2] for shard in leaf.addressable_shards}
        return sum(last - first for first, last in held)

    return {addressed(leaf) for leaf in jax.tree.leaves(tree)}


def _rows_on_devices(tree: Any) -> set[int]:
    """The lengths of the leading axis that devices hold of a tree's leaves."""
    return {shard.data.shape[0] for leaf in jax.tree.leaves(tree) for shard in leaf.addressable_shards}


def _listed(kinds: set[str]) -> str:
    return ", ".join(sorted(kinds)) or "none"
