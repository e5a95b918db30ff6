"""What `single` computes for one member, on the host; and `single` itself computed otherwise, to check it by."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from bench.lint.jaxprs import jaxprs_within
from bench.memo import Memo
from toynet import modes
from toynet.program import Program, bind
from toynet.workload import Workload, loss

# Without jit each operation of each shape is compiled by itself, in some hundredths of a second. The presets' gradients
# take about 120 of them; a transformer's 550 took 14 s, and a loop takes its body's as often as it is run.
OPERATIONS_WITHOUT_JIT = 200


class Reference:
    """The mode `single` of a program's workload. States, batches and results are on the host.

    Where the program is `single` itself, an epoch is computed step by step, and gradients, or a step if the workload
    gives none, without jit. Of many operations they are by a program that LLVM didn't optimise, as a step always is.
    """

    def __init__(self, program: Program, memo: Memo, name: str, plain: Workload | None = None) -> None:
        """`name` tells the workload, at its batch size and dtype, from others in the memo.

        `plain` is the workload computed plainly, where the program has another way.
        """
        layout = modes.Layout(batch=program.layout.batch)
        self._program = bind(plain or program.workload, modes.MODES["single"], layout)
        self._is_single = program.mode.name == "single" and plain is None
        self._memo = memo
        self._name = name

    def _placed(self, state: Any) -> Any:
        return jax.device_put(state, self._program.state_sharding)

    def initial(self, seed: int) -> dict[str, np.ndarray]:
        """The state before the first step, `named`, of a member with that seed; all cases of a run ask for the same."""
        key = jax.random.PRNGKey(seed)
        return self._memo(f"{self._name}/initial-{seed}", lambda: named(self._program.members(self._program.init(key))))

    def gradients(self, state: Any, batch: Any) -> Any:
        """Raw gradients at a state."""
        assert self._program.gradients is not None
        placed = self._placed(state), self._program.place(batch)
        if not self._is_single:
            return self._program.members(self._program.gradients(*placed))
        return self._program.members(self._otherwise(self._program.workload.gradients, *placed))

    def step(self, state: Any, batch: Any) -> Any:
        """The state one step after another."""
        placed = self._placed(state), self._program.place(batch)
        if not self._is_single:
            return self._program.members(self._program.step(*placed)[0])
        if self._program.gradients is None:
            return self._program.members(self._otherwise(self._program.workload.step, *placed)[0])
        return self._program.members(self._unoptimised(*placed)[0])

    def _otherwise(self, function: Any, *args: Any) -> Any:
        if operations(jax.make_jaxpr(function)(*args), OPERATIONS_WITHOUT_JIT) > OPERATIONS_WITHOUT_JIT:
            return unoptimised(function)(*args)
        with jax.disable_jit():
            return function(*args)

    @functools.cached_property
    def _unoptimised(self) -> Callable[..., Any]:
        return unoptimised(self._program.workload.step)

    def curve(self, state: Any, batches: Sequence[Any]) -> np.ndarray:
        """The loss of each step over `batches`, taken one by one from a state; shape (steps,)."""
        state, losses = self._placed(state), []
        for batch in batches:
            state, metrics = self._program.step(state, self._program.place(batch))
            losses.append(np.array(loss(metrics)))
        return np.stack(losses)


def named(tree: Any) -> dict[str, Any]:
    """A tree's leaves by their paths. What else it holds, such as functions, may differ wherever it is made anew, and
    can't be kept in a file."""
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def unstacked(batches: Any) -> list[Any]:
    """Batches of shape (steps, batch, ...), on the host, one by one."""
    leaves, structure = jax.tree.flatten(batches)
    return [structure.unflatten(parts) for parts in zip(*leaves, strict=True)]


def unoptimised(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function jitted, its program as LLVM leaves it at level 0."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def operations(jaxpr: Any, most: int) -> int:
    """How many operations run where a (closed) jaxpr is run without jit; more than `most` where that isn't known."""
    total = 0
    for eqn in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        if eqn.primitive.name == "while":
            return most + 1
        within = sum(operations(inner, most) for inner in jaxprs_within(eqn))
        total += (within or 1) * eqn.params.get("length", 1) if eqn.primitive.name == "scan" else within or 1
    return total
