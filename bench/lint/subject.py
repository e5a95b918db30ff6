"""What is looked over: a workload's functions as JAX traces them, and their first steps run for real."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
from jax.core import Tracer

from bench.lint import leaves
from toynet.program import RUN_ONCE
from toynet.workload import Workload

SEED = 42
STEPS = 3
"""So many steps are followed: what changes in the first settles in the second, or changes again."""


@dataclass(frozen=True)
class Warned:
    """What JAX or NumPy warned of while a function was traced."""

    message: str
    file: str
    line: int


@dataclass(frozen=True)
class Traced:
    """A function traced once."""

    jaxpr: Any
    """Closed."""
    out: Any
    """What comes out, as JAX sees it: a tree of shapes, dtypes and weak types."""
    given: Any
    """The same as the function gave it: arrays of NumPy and numbers of Python are still what they were."""
    warned: tuple[Warned, ...]
    again: Callable[[], Traced]
    """Traces it a second time."""


def trace(function: Callable[..., Any], *args: Any) -> Traced:
    """Traces a function anew, whatever JAX remembers of it by itself."""
    given: list[Any] = []

    def fresh(*args: Any) -> Any:
        out = function(*args)
        given.append(jax.tree.map(_without_tracers, out))
        return out

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        traced = jax.jit(fresh).trace(*args)
    warned = dict.fromkeys(Warned(str(one.message), one.filename, one.lineno) for one in caught)
    return Traced(traced.jaxpr, traced.out_info, given[-1], tuple(warned), lambda: trace(function, *args))


def _without_tracers(leaf: Any) -> Any:
    return None if isinstance(leaf, Tracer) else leaf


@dataclass(frozen=True)
class Ran:
    """The first steps, run for real. Everything is on the host."""

    metrics: Any
    """Of the first step."""
    state: Any
    """After the first step."""
    traces: int
    """Of the step, in STEPS steps."""
    unlike_init: tuple[str, ...]
    """Leaves of the initial state whose bits are others when init is run again."""
    unlike_step: tuple[str, ...]
    """Leaves of what the first step gives whose bits are others when it is run again, from the same state."""


@dataclass(frozen=True)
class Subject:
    """A workload with batches of so many examples; what is asked for is traced or run when it first is."""

    workload: Workload
    examples: int

    @cached_property
    def first(self) -> dict[str, Traced]:
        """`init`, `batch` and `step`, each traced once."""
        return {"init": self._init, "batch": self._batch, "step": trace(self.workload.step, self.state, self.drawn)}

    @cached_property
    def _init(self) -> Traced:
        return trace(self.workload.init, _key())

    @cached_property
    def _batch(self) -> Traced:
        return trace(self.draw, _key())

    @cached_property
    def again(self) -> dict[str, Traced]:
        """The same traced a second time, as another process would."""
        functions = {name: one.again for name, one in self.first.items()}
        jax.clear_caches()  # of what is jitted within them, too
        return {name: again() for name, again in functions.items()}

    def draw(self, key: jax.Array) -> Any:
        """A batch."""
        return self.workload.batch(key, self.examples)

    @property
    def state(self) -> Any:
        """The one that init gives, as shapes."""
        return self._init.out

    @property
    def drawn(self) -> Any:
        """A batch, as shapes."""
        return self._batch.out

    @property
    def metrics(self) -> Any:
        """Those of a step, as shapes."""
        return self.first["step"].out[1]

    @cached_property
    def course(self) -> tuple[Any, ...]:
        """The state before the first step and after each, as shapes, until it stays as it is; STEPS steps at most."""
        states = [self.state, self.first["step"].out[0]]
        while len(states) <= STEPS and leaves.changes(states[-2], states[-1], "state"):
            states.append(trace(self.workload.step, states[-1], self.drawn).out[0])
        return tuple(states)

    @cached_property
    def ran(self) -> Ran:
        """The first steps; init and the first of them twice."""
        traces = 0

        def counted(state: Any, batch: Any) -> Any:
            nonlocal traces
            traces += 1
            return self.workload.step(state, batch)

        init, draw, step = (
            jax.jit(function, compiler_options=RUN_ONCE) for function in (self.workload.init, self.draw, counted)
        )
        key, *keys = jax.random.split(_key(), STEPS + 1)
        state, batches = init(key), [leaves.on_host(draw(key)) for key in keys]
        before, (after, metrics) = leaves.on_host(state), leaves.on_host(step(state, batches[0]))
        unlike = leaves.unlike((before,), (leaves.on_host(init(key)),), ("state",))
        again = leaves.on_host(step(state, batches[0]))
        unlike_after = leaves.unlike((after, metrics), again, ("state", "metrics"))
        for batch in batches:
            state, _ = jax.block_until_ready(step(state, batch))
        return Ran(metrics, after, traces, unlike, unlike_after)


def _key() -> jax.Array:
    return jax.random.PRNGKey(SEED)
