"""What `single` computes for one member, on the host; and `single` itself run op by op, to check it by."""

from __future__ import annotations

import contextlib
from typing import Any

import jax
import numpy as np

from toynet import modes
from toynet.program import Program, bind
from toynet.workload import loss


class Reference:
    """The mode `single` of a program's workload; member i has seed `seed` + i. States and results are on the host."""

    def __init__(self, program: Program, seed: int) -> None:
        self._program = bind(program.workload, modes.MODES["single"], modes.Layout(batch=program.layout.batch))
        self._seed = seed
        self._without_jit = program.mode.name == "single"

    def _scope(self) -> contextlib.AbstractContextManager[Any]:
        return jax.disable_jit() if self._without_jit else contextlib.nullcontext()

    def _placed(self, state: Any) -> Any:
        return jax.device_put(state, self._program.state_sharding)

    def initial(self, member: int) -> Any:
        """The state before the first step."""
        with self._scope():
            return self._program.members(self._program.init(jax.random.PRNGKey(self._seed + member)))

    def gradients(self, state: Any, batch: Any) -> Any:
        """Raw gradients at a state, of a batch that isn't placed yet."""
        assert self._program.gradients is not None
        with self._scope():
            return self._program.members(self._program.gradients(self._placed(state), self._program.place(batch)))

    def step(self, state: Any, batch: Any) -> Any:
        """The state one step after another."""
        with self._scope():
            return self._program.members(self._program.step(self._placed(state), self._program.place(batch))[0])

    def curve(self, state: Any, batches: Any) -> np.ndarray:
        """The loss of each step over `batches`, taken one by one, each step compiled; shape (steps,)."""
        state, losses = self._placed(state), []
        for batch in unstacked(self._program.place_stacked(batches)):
            state, metrics = self._program.step(state, batch)
            losses.append(np.array(loss(metrics)))
        return np.stack(losses)


def unstacked(batches: Any) -> list[Any]:
    """Batches of shape (steps, batch, ...) one by one."""
    leaves, structure = jax.tree.flatten(batches)
    return [structure.unflatten(parts) for parts in zip(*leaves, strict=True)]
