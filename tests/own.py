"""How far the step of a user's own workload, in a mode, is off the one of `single`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from programs import place, stack

from bench import keydata
from bench.deviation import deviation
from bench.holder import epoch_of
from bench.reference import unstacked
from toynet.modes import Layout, by_name
from toynet.program import Program, bind
from toynet.workload import Workload

BATCH = 8


def program(
    workload: Workload, mode: str = "single", members: int = 1, mesh: tuple[int, int] = (1, 1), batch: int = BATCH
) -> Program:
    """The workload, as it is looked up, in a mode on a mesh of members x data."""
    layout = Layout(members=members, batch=batch, member_shards=mesh[0], data_shards=mesh[1])
    return bind(keydata.raw(workload), by_name(mode), layout)


def off(single: Program, mode: str, members: int = 1, mesh: tuple[int, int] = (1, 1)) -> float:
    """The largest deviation of a leaf of states and metrics after two steps from the same states."""
    other = program(single.workload, mode, members, mesh)
    states = [single.members(single.init(jax.random.PRNGKey(seed))) for seed in range(members)]
    expected = [_after(single, state, batches(single)) for state in states]
    found = _after(other, place(other, states), batches(single))
    return deviation(found, stack(expected) if other.mode.ensemble else expected[0])


def batches(program: Program) -> list[Any]:
    """Two batches of its workload, or as many as there are, on the host."""
    return unstacked(epoch_of(program.workload, program.layout.batch, jit=False))[:2]


def _after(program: Program, state: Any, batches: Sequence[Any]) -> Any:
    """State and metrics, on the host, after a step on each of the batches."""
    placed, metrics = jax.device_put(state, program.state_sharding), None
    for batch in batches:
        placed, metrics = jax.block_until_ready(program.step(placed, program.place(batch)))
    return program.members((placed, metrics))
