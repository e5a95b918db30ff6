"""A mode bound to a workload, sizes and devices: how it initialises, places and steps, compiled."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from toynet import fsdp
from toynet.blocks import in_blocks
from toynet.mesh import DATA, MEMBERS, fetched, first_devices, make_mesh, own, put, rows_everywhere, small_sums
from toynet.modes import Layout, Mode, check, check_alone, check_workload, collectives
from toynet.workload import Batch, Metrics, State, Workload

P = PartitionSpec

# Random weights take LLVM seconds to optimise, and run once: at level 1 they run as fast, compiled in a quarter of
# the time.
RUN_ONCE: dict[str, Any] = {"xla_backend_optimization_level": 1}


@dataclass(frozen=True)
class Program:
    """One workload in one mode, ready to run. With members, state and metrics lead with them, padding included."""

    workload: Workload
    mode: Mode
    layout: Layout
    state_sharding: Any
    """A Sharding, or a tree of them where each leaf of the state has its own."""
    batch_sharding: Sharding
    stacked_sharding: Sharding
    init: Callable[[jax.Array], State]
    """A state, on its devices, from one key for each padded member (`keys`)."""
    step: Callable[[State, Batch], tuple[State, Metrics]]
    """One step; the state handed in is donated."""
    epoch: Callable[[State, Batch, int], tuple[State, Metrics]]
    """All of a stack of batches, so many times over, in one program; metrics (steps,) of the last time."""
    epochs: Callable[[State, Batch, int, int], tuple[State, Metrics]]
    """The same, and the last step's metrics of each time: (room,), with room for as many as the last argument says."""
    gradients: Callable[[State, Batch], Any] | None
    communicates: bool = True
    divided_params: bool = False
    """Whether any leaf of the parameters is divided over devices while it is updated."""

    @property
    def collectives(self) -> frozenset[str]:
        """The kinds of collective that a correct step contains."""
        if not self.communicates:
            return frozenset()
        virtual_shards = self.workload.virtual_shards
        return collectives(self.mode, self.layout, virtual_shards, divided_params=self.divided_params)

    def keys(self, seed: int) -> jax.Array:
        """Keys of seeds seed, seed + 1, ...: one for each member, the last repeated as padding."""
        if not self.mode.ensemble:
            return jax.random.PRNGKey(seed)
        seeds = seed + np.minimum(np.arange(self.layout.padded_members), self.layout.members - 1)
        return jax.vmap(jax.random.PRNGKey)(seeds.astype(np.uint32))  # one by one takes thousands of calls

    def place(self, batch: Batch) -> Batch:
        """One batch, padded with zeros where it doesn't divide, on its devices."""
        return put(self.padded(batch), self.batch_sharding)

    def padded(self, batch: Batch) -> Batch:
        """One batch on the host, with zeros where it doesn't divide; over several processes this one's part of it."""
        return self._pad(batch, 0, self.batch_sharding)

    def place_stacked(self, batches: Batch) -> Batch:
        """The same as `place` for batches of shape (steps, batch, ...)."""
        return put(self._pad(batches, 1, self.stacked_sharding), self.stacked_sharding)

    def _pad(self, batch: Batch, axis: int, sharding: Sharding) -> Batch:
        size = self.layout.padded_batch(self.workload.virtual_shards)

        def pad(leaf: Any) -> np.ndarray:
            before, (_, *after) = leaf.shape[:axis], leaf.shape[axis:]
            held = own(sharding, (*before, size, *after), axis)
            part = np.asarray(leaf)[(*[slice(None)] * axis, held)]
            widths = [(0, 0)] * leaf.ndim
            widths[axis] = (0, held.stop - held.start - part.shape[axis])
            return np.pad(part, widths)

        return jax.tree.map(pad, batch)

    def members(self, tree: Any, which: Sequence[int] | None = None) -> Any:
        """A state or metrics on the host, of those members (None: of all, without padding); shapes (members, ...).

        Without members it is the tree itself. It is a copy, since donation may reuse the device's buffer. Over several
        processes all of them have to ask.
        """
        if not self.mode.ensemble:
            return jax.tree.map(fetched, tree)
        chosen = np.arange(self.layout.members) if which is None else np.asarray(which)
        if self.layout.processes > 1:
            mesh = make_mesh(self.layout.member_shards, self.layout.data_shards, self.layout.processes)
            return jax.tree.map(np.array, rows_everywhere(mesh)(tree, chosen))
        return jax.tree.map(lambda leaf: _rows(leaf, chosen), tree)


def _alone(function: Callable) -> Callable:
    return function


@dataclass(frozen=True)
class _Local:
    """What a device computes on its part of a state and a batch, and the specs of what comes of it."""

    step: Callable[[State, Batch], tuple[State, Metrics]]
    gradients: Callable[[State, Batch], Any] | None
    state: Any
    """Specs of a state, or one for all of its leaves."""
    grads: Any
    metrics: PartitionSpec
    lift: Callable[[Callable], Callable] = _alone
    """Makes of a function of one member's state, and a batch, one of all that a device holds."""
    divided_params: bool = False


def bind(workload: Workload, mode: Mode, layout: Layout, *, communicates: bool = True) -> Program:
    """The workload in that mode at these sizes; raises UsageError where that can't be.

    Where it doesn't communicate, the program lacks its collectives: each device works on its part of the batch as if
    it were alone. It computes something else, in the time that the arithmetic takes.
    """
    check(mode, layout)
    check_workload(workload, mode, layout)
    if not communicates:
        check_alone(workload)
    local = _local(workload, mode, layout, communicates)
    data = P(DATA) if layout.data_shards > 1 else P()
    stacked = P(None, *data)
    if mode.sharded:
        mesh = make_mesh(layout.member_shards, layout.data_shards, layout.processes)
        place = functools.partial(jax.tree.map, functools.partial(NamedSharding, mesh))
        shard = functools.partial(jax.shard_map, mesh=mesh, check_vma=communicates)
    else:
        place, shard = functools.partial(jax.tree.map, _on_first_device), _unsharded

    def transform(function: Callable, batch_spec: PartitionSpec, out_specs: Any) -> Callable:
        return shard(local.lift(function), in_specs=(local.state, batch_spec), out_specs=out_specs)

    def scan(state: State, batches: Batch) -> tuple[State, Metrics]:
        return lax.scan(local.step, state, batches)

    def epoch(state: State, batches: Batch, times: int) -> tuple[State, Metrics]:
        return _repeat(transform(scan, stacked, (local.state, local.metrics)), state, batches, times)

    def epochs(state: State, batches: Batch, times: int, room: int) -> tuple[State, Metrics]:
        return _remember(transform(scan, stacked, (local.state, local.metrics)), state, batches, times, room)

    init = jax.vmap(workload.init) if mode.ensemble else workload.init
    state_sharding, metrics_sharding = place((local.state, local.metrics))
    # Explicit output shardings: what comes out must be what goes in, or the second step compiles again.
    compiled = functools.partial(
        jax.jit,
        donate_argnums=0,
        out_shardings=(state_sharding, metrics_sharding),
        compiler_options=small_sums() if workload.small_sums else None,
    )
    return Program(
        workload,
        mode,
        layout,
        state_sharding,
        *place((data, stacked)),
        init=jax.jit(init, out_shardings=state_sharding, compiler_options=RUN_ONCE),
        step=compiled(transform(local.step, data, (local.state, local.metrics))),
        epoch=compiled(epoch),
        epochs=compiled(epochs, static_argnums=3),
        gradients=local.gradients and jax.jit(transform(local.gradients, data, local.grads)),
        communicates=communicates,
        divided_params=local.divided_params,
    )


def _local(workload: Workload, mode: Mode, layout: Layout, communicates: bool) -> _Local:
    if mode.shards_state and layout.data_shards > 1:
        divided = fsdp.divided(workload, mode, layout.data_shards, communicates=communicates)
        gradients = divided.gradients if workload.gradients else None
        divided_params = any(spec != P() for spec in jax.tree.leaves(divided.params))
        return _Local(divided.step, gradients, divided.state, divided.params, P(), divided_params=divided_params)
    # Without an axis to reduce over there must be no collective, not one over groups of a single device.
    axis_name = DATA if layout.data_shards > 1 and communicates else None
    members = P(MEMBERS) if layout.member_shards > 1 else P()

    of, lift = workload, _vmapped if mode.ensemble else _alone
    if mode.ensemble and workload.lanes:
        of, lift = workload.lanes, functools.partial(in_blocks, block=workload.lanes.block)

    def step(state: State, batch: Batch) -> tuple[State, Metrics]:
        return of.step(state, batch, axis_name)

    gradients = of.gradients and functools.partial(of.gradients, axis_name=axis_name)
    return _Local(step, gradients, members, members, members, lift)


def _vmapped(function: Callable) -> Callable:
    return jax.vmap(function, in_axes=(0, None))


def _rows(leaf: jax.Array, wanted: np.ndarray) -> np.ndarray:
    """Rows of an array whose first axis alone may be sharded, on the host, without assembling the whole."""
    rows, found = np.empty((len(wanted), *leaf.shape[1:]), leaf.dtype), np.zeros(len(wanted), bool)
    for shard in leaf.addressable_shards:
        first, count = shard.index[0].start or 0, shard.data.shape[0]
        here = (wanted >= first) & (wanted < first + count)
        if here.any():
            rows[here] = np.asarray(shard.data)[wanted[here] - first]
            found |= here
    if not found.all():
        raise IndexError(f"no device of this process has row {wanted[~found][0]} of {leaf.shape[0]}.")
    return rows


def _on_first_device(_: PartitionSpec) -> Sharding:
    return SingleDeviceSharding(first_devices(1)[0])


def _unsharded(function: Callable, **_: Any) -> Callable:
    return function


def _repeat(epoch: Callable, state: State, batches: Batch, times: int) -> tuple[State, Metrics]:
    """The epoch again and again, in a loop whose length isn't compiled in."""
    metrics = jax.eval_shape(epoch, state, batches)[1]
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), metrics)
    return lax.fori_loop(0, times, lambda _, carry: epoch(carry[0], batches), (state, nothing))


def _remember(epoch: Callable, state: State, batches: Batch, times: int, room: int) -> tuple[State, Metrics]:
    """The epoch again and again, and the last metrics of each in the last axis, which has that much room."""

    def again(i: jax.Array, carry: tuple[State, Metrics]) -> tuple[State, Metrics]:
        state, kept = carry
        state, metrics = epoch(state, batches)
        return state, jax.tree.map(lambda all_, each: all_.at[..., i].set(each[..., -1]), kept, metrics)

    metrics = jax.eval_shape(epoch, state, batches)[1]
    nothing = jax.tree.map(lambda leaf: jnp.zeros((*leaf.shape[:-1], room), leaf.dtype), metrics)
    return lax.fori_loop(0, times, again, (state, nothing))
