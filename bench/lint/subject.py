"""What is looked over: a workload's functions as JAX traces them, and their first steps run for real."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
from jax.core import Tracer

from bench.lint import leaves
from toynet.workload import Workload

# What is run a few times had better be compiled soon than run fast.
QUICKLY: dict[str, Any] = {"xla_backend_optimization_level": 0}
SEED = 42
STEPS = 3
"""So many steps are followed: what changes in the first settles in the second, or changes again."""


@dataclass(frozen=True)
class Warned:
    """What JAX or NumPy warned of while a function was called."""

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

    with _warnings() as warned:
        traced = jax.jit(fresh).trace(*args)
    return Traced(traced.jaxpr, traced.out_info, given[-1], tuple(warned), lambda: trace(function, *args))


@contextlib.contextmanager
def _warnings() -> Iterator[dict[Warned, None]]:
    """What is warned of in here, each once."""
    told: dict[Warned, None] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield told
    told |= dict.fromkeys(Warned(str(one.message), one.filename, one.lineno) for one in caught)


def _without_tracers(leaf: Any) -> Any:
    return None if isinstance(leaf, Tracer) else leaf


@dataclass(frozen=True)
class Drawn:
    """Batches as the harness draws them: by NumPy or by JAX, and not traced."""

    batches: tuple[Any, ...]
    """One for each of STEPS keys, as they were given."""
    again: Any
    """That of the first key, drawn a second time."""
    warned: tuple[Warned, ...]


@dataclass(frozen=True)
class Ran:
    """The first steps, run for real. Everything is on the host."""

    metrics: tuple[Any, ...]
    """Of each of STEPS steps."""
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
    def drawn(self) -> Drawn:
        """The first batches."""
        keys = _keys()
        with _warnings() as warned:
            batches = tuple(self.workload.batch(key, self.examples) for key in keys)
            again = self.workload.batch(keys[0], self.examples)
        return Drawn(batches, again, tuple(warned))

    @property
    def batch(self) -> Any:
        """The first, as shapes."""
        return leaves.shapes(self.drawn.batches[0])

    @cached_property
    def init(self) -> Traced:
        """`init`, traced."""
        return trace(self.workload.init, _keys()[0])

    @property
    def state(self) -> Any:
        """The one that it gives, as shapes."""
        return self.init.out

    @cached_property
    def step(self) -> Traced:
        """`step`, traced."""
        return trace(self.workload.step, self.state, self.batch)

    @cached_property
    def again(self) -> dict[str, tuple[Traced, Traced]]:
        """`init` and `step`, each as it was traced first, and as another process would trace it."""
        first = {"init": self.init, "step": self.step}
        jax.clear_caches()  # of what is jitted within them, too
        return {name: (traced, traced.again()) for name, traced in first.items()}

    @cached_property
    def course(self) -> tuple[Any, ...]:
        """The state before the first step and after each, as shapes, until it stays as it is; STEPS steps at most."""
        states = [self.state, self.step.out[0]]
        while len(states) <= STEPS and leaves.changes(states[-2], states[-1], "state"):
            states.append(trace(self.workload.step, states[-1], self.batch).out[0])
        return tuple(states)

    @cached_property
    def ran(self) -> Ran:
        """The first steps; init and the first of them twice."""
        traces = 0

        def counted(state: Any, batch: Any) -> Any:
            nonlocal traces
            traces += 1
            return self.workload.step(state, batch)

        init, step = (jax.jit(function, compiler_options=QUICKLY) for function in (self.workload.init, counted))
        key, batches = _keys()[0], [leaves.as_jax_has_them(batch) for batch in self.drawn.batches]
        state = init(key)
        before, (after, metrics) = leaves.on_host(state), leaves.on_host(step(state, batches[0]))
        unlike_init = leaves.unlike((before,), (leaves.on_host(init(key)),), ("state",))
        unlike_step = leaves.unlike((after, metrics), leaves.on_host(step(state, batches[0])), ("state", "metrics"))
        told = []
        for batch in batches:
            state, metrics = jax.block_until_ready(step(state, batch))
            told.append(leaves.on_host(metrics))
        return Ran(tuple(told), after, traces, unlike_init, unlike_step)


def _keys() -> tuple[jax.Array, ...]:
    return tuple(jax.random.split(jax.random.PRNGKey(SEED), STEPS))
