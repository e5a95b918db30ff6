"""The step of `fsdp` and `zero1`: each of several devices holds a part of the state, leaf by leaf, and updates that.

A leaf of floating-point numbers is divided along the first axis that the devices share equally; others, as counters
and random keys are, stay whole. ZeRO: Rajbhandari et al. 2020. FSDP: Zhao et al. 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from toynet.errors import UsageError
from toynet.exchange import Collectives, Exchange, StandIns, own
from toynet.mesh import DATA
from toynet.modes import Mode, divided_axis
from toynet.workload import Batch, Metrics, Params, Parts, State, Workload

P = PartitionSpec


@dataclass(frozen=True)
class Divided:
    """A step on a divided state, for shard_map. Specs say how a leaf is divided, `P()` that it's whole everywhere."""

    parts: Parts
    devices: int
    exchange: Exchange
    gathers_first: bool
    """Whether parameters are divided, too, and gathered for use; else they are gathered after their update."""
    params: Any
    """Specs of parameters while they are updated, and of gradients."""
    state: Any
    """Specs of the state between steps."""

    def step(self, state: State, batch: Batch) -> tuple[State, Metrics]:
        """This device's part of the next state, from its parts of a state and a batch; metrics of the global batch."""
        gradients, metrics = self._means(state, batch)
        if self.gathers_first:
            return self.parts.update(state, gradients), metrics
        mine = with_params(self.parts, state, self._own(self.parts.params(state)))
        after = self.parts.update(mine, gradients)
        return with_params(self.parts, after, self._gathered(self.parts.params(after), to="invarying")), metrics

    def gradients(self, state: State, batch: Batch) -> Params:
        """What the optimizer is fed, divided as `params` says."""
        return self._means(state, batch)[0]

    def _means(self, state: State, batch: Batch) -> tuple[Params, Metrics]:
        params = self.parts.params(state)
        used = self._gathered(params, to="varying") if self.gathers_first else self.exchange.varying(params)
        if self.parts.keyed:
            batch = self.parts.keyed(state, batch, DATA)
        return self.parts.means(*self._reduced(*self.parts.sums(used, batch)))

    def _gathered(self, params: Params, to: Any) -> Params:
        def whole(leaf: jax.Array, spec: PartitionSpec) -> jax.Array:
            if spec != P():
                return self.exchange.gathered(leaf, _axis(spec), to)
            return self.exchange.varying(leaf) if to == "varying" else leaf

        return jax.tree.map(whole, params, self.params)

    def _own(self, params: Params) -> Params:
        def part(leaf: jax.Array, spec: PartitionSpec) -> jax.Array:
            return leaf if spec == P() else own(leaf, _axis(spec), self.devices)

        return jax.tree.map(part, params, self.params)

    def _reduced(self, gradients: Params, rest: Any) -> tuple[Params, Any]:
        """Sums over devices: divided where parameters are, all that stays whole in one collective."""
        leaves, structure = jax.tree.flatten(gradients)
        specs = jax.tree.leaves(self.params)
        whole = {i: leaf for i, (leaf, spec) in enumerate(zip(leaves, specs, strict=True)) if spec == P()}
        whole, rest = self.exchange.added((whole, rest))
        scattered = {
            i: self.exchange.scattered(leaves[i], _axis(spec)) for i, spec in enumerate(specs) if i not in whole
        }
        return structure.unflatten([(whole | scattered)[i] for i in range(len(leaves))]), rest


def divided(workload: Workload, mode: Mode, devices: int, *, communicates: bool = True) -> Divided:
    """The workload's step, its state divided over more than one device."""
    parts = workload.parts
    assert parts is not None
    shapes = jax.eval_shape(workload.init, jax.random.PRNGKey(0))
    with_params(parts, shapes, parts.params(shapes))  # refuses what can't be put back
    specs = jax.tree.map(lambda leaf: _spec(leaf, devices), shapes)
    params = parts.params(specs)
    state = specs if mode.shards_params else with_params(parts, specs, jax.tree.map(lambda _: P(), params))
    exchange = Collectives() if communicates else StandIns(devices)
    return Divided(parts, devices, exchange, mode.shards_params, params, state)


def with_params(parts: Parts, state: State, params: Params) -> State:
    """The state with other leaves in the place of its parameters; raises UsageError if they aren't leaves of it."""
    leaves, structure = jax.tree.flatten(state)
    places = jax.tree.leaves(parts.params(structure.unflatten(range(len(leaves)))))
    if not all(isinstance(place, int) for place in places):
        raise UsageError("the `params` of a workload's parts must select leaves of its state, and computes others.")
    for place, leaf in zip(places, jax.tree.leaves(params), strict=True):
        leaves[place] = leaf
    return structure.unflatten(leaves)


def _spec(leaf: jax.ShapeDtypeStruct, devices: int) -> PartitionSpec:
    axis = divided_axis(leaf.shape, devices) if jnp.issubdtype(leaf.dtype, jnp.inexact) else None
    return P() if axis is None else P(*[None] * axis, DATA)


def _axis(spec: PartitionSpec) -> int:
    return tuple(spec).index(DATA)
