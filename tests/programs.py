"""Programs of the tutorial's workload for tests, and how far apart two results are."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from toynet.config import Config
from toynet.modes import Layout, by_name
from toynet.paths import PLAIN, Path
from toynet.program import Program, bind
from toynet.train import training_batches, workload


def program(
    config: Config, mode: str = "single", members: int = 1, mesh: tuple[int, int] = (1, 1), path: Path = PLAIN
) -> Program:
    """The configuration in a mode, on a mesh of members x data."""
    layout = Layout(members=members, batch=config.batch_size, member_shards=mesh[0], data_shards=mesh[1])
    return bind(workload("tutorial", config, path), by_name(mode), layout)


def first_batch(config: Config) -> Any:
    """The first of the training batches."""
    return jax.tree.map(lambda leaf: leaf[0], training_batches(config))


def place(program: Program, members: list[Any]) -> Any:
    """Members' states, from the host, as the state of a program, padded as its own are."""
    if not program.mode.ensemble:
        return jax.device_put(jax.tree.map(np.array, members[0]), program.state_sharding)
    padding = [members[-1]] * (program.layout.padded_members - program.layout.members)
    return jax.device_put(stack(members[: program.layout.members] + padding), program.state_sharding)


def described(program: Program) -> Any:
    """The shapes, dtypes and shardings of a program's state."""
    state = jax.eval_shape(program.init, program.keys(0))
    shardings = jax.tree.broadcast(program.state_sharding, state)
    return jax.tree.map(lambda leaf, at: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=at), state, shardings)


def after(program: Program, config: Config, times: int) -> tuple[Any, Any]:
    """State and metrics, on the host, after so many epochs from the configuration's seed."""
    state = program.init(program.keys(config.seed))
    return program.members(program.epoch(state, program.place_stacked(training_batches(config)), times))


def member(tree: Any, i: int) -> Any:
    """Member i of a tree whose leaves lead with members."""
    return jax.tree.map(lambda leaf: leaf[i], tree)


def stack(trees: list[Any]) -> Any:
    """Trees as one whose leaves lead with them."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def deviation(found: Any, expected: Any) -> float:
    """The largest difference of any leaf, relative to that leaf's largest expected entry."""

    def of_leaf(mine: Any, theirs: Any) -> float:
        mine, theirs = np.asarray(mine), np.asarray(theirs)
        assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype)
        assert np.isfinite(mine).all()
        assert np.isfinite(theirs).all()
        return float(np.abs(mine - theirs).max() / (np.abs(theirs).max() or 1))

    return max(jax.tree.leaves(jax.tree.map(of_leaf, found, expected)))
