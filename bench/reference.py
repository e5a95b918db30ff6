"""What `single` computes for one member, on the host; and `single` itself run op by op, to check it by."""

from __future__ import annotations

import contextlib
from typing import Any

import jax
import numpy as np

from bench.memo import Memo
from toynet import modes
from toynet.program import Program, bind
from toynet.workload import loss


class Reference:
    """The mode `single` of a program's workload, for members of an ensemble whose first seed is `seed`.

    What doesn't depend on the program that is checked comes from a memo, since all cases of a run ask
    for it. For `single` itself, gradients and steps are computed without jit, and the epoch step by step.
    """

    def __init__(self, program: Program, seed: int, memo: Memo, name: str) -> None:
        """`name` tells this workload, at this batch size and dtype, from others in the memo."""
        self._program = bind(program.workload, modes.MODES["single"], modes.Layout(batch=program.layout.batch))
        self._seed = seed
        self._without_jit = program.mode.name == "single"
        self._memo = Memo() if self._without_jit else memo
        self._name = name

    def _scope(self) -> contextlib.AbstractContextManager[Any]:
        return jax.disable_jit() if self._without_jit else contextlib.nullcontext()

    def _init(self, member: int) -> Any:
        return self._program.init(jax.random.PRNGKey(self._seed + member))

    def initial(self, member: int) -> Any:
        """The state before the first step."""
        return self._memo(f"{self._name}/initial-{member}", lambda: self._program.members(self._init(member)))

    def gradients(self, member: int, batch: Any) -> Any:
        """Raw gradients at the initial state, of a batch that isn't placed."""

        def compute() -> Any:
            assert self._program.gradients is not None
            state = self._init(member)
            with self._scope():
                return self._program.members(self._program.gradients(state, self._program.place(batch)))

        return self._memo(f"{self._name}/gradients-{member}", compute)

    def curve(self, member: int, batches: Any) -> np.ndarray:
        """The loss of each step over `batches`, taken one by one from the initial state; shape (steps,)."""

        def compute() -> np.ndarray:
            state, losses = self._init(member), []
            for batch in unstacked(batches):
                state, metrics = self._program.step(state, self._program.place(batch))
                losses.append(np.array(loss(metrics)))
            return np.stack(losses)

        return self._memo(f"{self._name}/curve-{member}", compute)

    def step(self, state: Any, batch: Any) -> Any:
        """The state one step after another; both on the host."""
        placed = jax.device_put(state, self._program.state_sharding)
        with self._scope():
            return self._program.members(self._program.step(placed, self._program.place(batch))[0])


def unstacked(batches: Any) -> list[Any]:
    """Batches of shape (steps, batch, ...), on the host, one by one."""
    leaves, structure = jax.tree.flatten(batches)
    return [structure.unflatten(parts) for parts in zip(*leaves, strict=True)]
