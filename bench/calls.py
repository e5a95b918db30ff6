"""A function and its arguments in this process: compiled in its stages, called, every output waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax

from bench import cost, timing
from bench.handed import arrays, copied, is_deleted, is_finite, like, size
from bench.jitted import compilations, jitted
from bench.measured import Block
from bench.signature import changed, signature
from bench.timing import Clock, Wait
from toynet.errors import UsageError

Kind = Literal["latency", "throughput"]

# The second call finds the first one's outputs among its arguments, the third those of a program made for them.
SETTLED_AFTER = 3
# What a chain of calls may hold of outputs that nobody asks for.
PENDING_BYTES = 2**30


@dataclass(frozen=True)
class Start:
    """From Python to the first result, in seconds."""

    trace_s: float
    """Next to 0 where the function's library has no stage of its own for it: then lowering has it."""
    lower_s: float
    compile_s: float
    compile_cached: bool
    """Whether a persistent compilation cache answered; compile_s is then the time to load from it."""
    first_call_s: float


class Calls:
    """A function that was compiled anew, and copies of its arguments, which its calls may use up.

    `start`, `cost`, `devices`: its stages, what a call needs on each device, and how many of those there are.
    `jaxpr`: what it was traced to; None where its library doesn't show it.
    `first`: a copy of what the first call gave, if it is kept.
    `donated`: the numbers of the arguments that it deletes. `carried`: whether its state is carried on.
    `spent`: the numbers of those that are copied before each call: it deletes them, and nothing comes out for them.
    `found`: a sentence for each of the first calls that was compiled again. `recompiled`: how often that happened while
    it was timed.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        *,
        carry: bool | None = None,
        anew: bool = True,
        keep: bool = False,
        clock: Clock = time.perf_counter,
        wait: Wait = jax.block_until_ready,
    ) -> None:
        """Compiles the function, and calls it until it isn't compiled again.

        One that has a `lower` is jitted and stays as it is; any other is, by a jit of its own. With `anew`, what was
        compiled of a jitted one is forgotten first, where it can be: a `jax.jit`'s own programs, nobody else's.

        `carry`: whether what comes out goes in again as the first argument. None: if the first output, or the only
        one, has its tree, shapes and dtypes. A lone array of a lone array may be a value as well as a state, so
        there only if it is donated. An argument that is donated and not carried on is copied before each call, which
        isn't timed.

        Arrays of NumPy are put on the device first. Raises UsageError for what can't be traced, or carried on.
        """
        if jax.process_count() > 1:
            raise UsageError(
                f"a function is measured in one process, and this is one of {jax.process_count()}: each would make as "
                "many calls as its own clock says, and wait for the others."
            )
        self._masters = tuple(args)
        self._clock, self._wait = clock, wait
        self._function = jitted(function, self._masters, anew=anew)
        current = self.copies()
        before = signature(current)
        traced, program, seconds, cached = timing.compiled(self._function, current, clock)
        outputs, first_s = timing.timed(lambda: self._function(*current), clock, wait)
        self.start = Start(*seconds, cached, first_s)
        self.jaxpr = getattr(traced, "jaxpr", None)
        self.cost = cost.of(getattr(program, "compiled", program), self.jaxpr)
        self.first: Any = jax.tree.map(copied, outputs) if keep else None
        self.donated = tuple(i for i, arg in enumerate(current) if is_deleted(arg))
        self.devices = max([1, *(len(leaf.sharding.device_set) for leaf in arrays((current, outputs)))])
        self._only = like(outputs, self._masters[:1])
        self.carried = self._carries(outputs, carry)
        self.spent = tuple(i for i in self.donated if i or not self.carried)
        self._chain = self._stepped(outputs)
        self._in_flight = min(timing.in_flight(self.devices), max(1, PENDING_BYTES // max(size(outputs), 1)))
        self._current = current
        self._after(outputs)
        self.found: list[str] = []
        self.recompiled = 0
        self._settle(before)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of blocks that it can be timed in: a chain isn't one where each call needs copies."""
        return ("latency",) if self.spent else ("latency", "throughput")

    def renew(self) -> None:
        """Goes on from fresh copies of the arguments, by the same program."""
        self._current = self.copies()

    def call(self) -> Any:
        """What one call gives, all of it ready; its state is carried on."""
        return self.of(*self.ready())

    def ready(self) -> tuple[Any, ...]:
        """The arguments of the next call; those that it uses up are copies."""
        fresh = {i: self._wait(jax.tree.map(copied, self._masters[i])) for i in self.spent}
        return tuple(fresh.get(i, arg) for i, arg in enumerate(self._current))

    def of(self, *args: Any) -> Any:
        """What the call of those arguments gives, as `call` does, for a clock that must not time what `ready` does."""
        outputs = self._wait(self._function(*args))
        self._after(outputs)
        return outputs

    def copies(self) -> tuple[Any, ...]:
        """The arguments of the first call, to be used up."""
        return self._wait(tuple(jax.tree.map(copied, arg) for arg in self._masters))

    def block(self, kind: Kind, calls: int) -> Block:
        """Calls back to back: each waited for, or as a chain of them, bounded in flight, waited for at the end.

        What is compiled meanwhile is counted.
        """
        with compilations() as compiled:
            block = self._block(kind, calls)
        self.recompiled += len(compiled)
        return block

    def is_finite(self) -> bool:
        """Whether the state that is carried on is finite still, where it was in the beginning."""
        return not self.carried or is_finite(self._current[0]) or not is_finite(self._masters[0])

    def _block(self, kind: Kind, calls: int) -> Block:
        if self.spent:
            return self._copied(calls)
        step, state, rest = self._chain, *self._state_and_rest()
        if kind == "latency":
            state, block = timing.latency(step, state, [rest], calls, self._clock, self._wait)
        else:
            state, block = self._throughput(step, state, rest, calls)
        if self.carried:
            self._current = (state, *self._current[1:])
        return block

    def _throughput(self, step: timing.Step, state: Any, rest: Any, calls: int) -> tuple[Any, Block]:
        """Of a function that gives nothing but a state, which the next call may delete, by chains of the bound."""
        bound = self._in_flight
        done, seconds = 0, 0.0
        while done < calls:
            chain = min(calls - done, bound if self._only else calls)
            state, block = timing.throughput(step, state, [rest], chain, self._clock, bound, self._wait)
            done, seconds = done + chain, seconds + block.seconds
        return state, Block(calls, seconds)

    def _copied(self, calls: int) -> Block:
        """Each call waited for, with copies of what it deletes, that are made before its time begins."""
        seconds: list[float] = []
        for _ in range(calls):
            args = self.ready()
            outputs, taken = timing.timed(lambda args=args: self._function(*args), self._clock, self._wait)
            self._after(outputs)
            seconds.append(taken)
        return Block(calls, sum(seconds), None, min(seconds))

    def _carries(self, outputs: Any, carry: bool | None) -> bool:
        first = isinstance(outputs, tuple | list) and like(outputs[0] if outputs else None, self._masters[:1])
        fits = self._only or first
        if carry and not fits:
            raise UsageError(
                "the state can't be carried on: neither what the function gives, nor the first of it, has the tree, "
                "the shapes and the dtypes of its first argument."
            )
        lone = self._only and jax.tree.structure(outputs) == jax.tree.structure(0)
        return (fits and not (lone and 0 not in self.donated)) if carry is None else carry

    def _stepped(self, outputs: Any) -> timing.Step:
        """The function as a step: of a state and the rest of its arguments, or of no state and all of them."""
        function = self._function
        if not self.carried:
            return lambda _, args: (None, function(*args))
        if self._only:
            return lambda state, rest: (function(state, *rest), None)
        if len(outputs) == 2 and len(self._masters) == 2:
            return function
        return lambda state, rest: ((found := function(state, *rest))[0], found[1:])

    def _state_and_rest(self) -> tuple[Any, Any]:
        if not self.carried:
            return None, self._current
        state, *rest = self._current
        return state, (rest[0] if self._chain is self._function else rest)

    def _after(self, outputs: Any) -> None:
        if self.carried:
            self._current = (outputs if self._only else outputs[0], *self._current[1:])

    def _settle(self, before: dict[str, str]) -> None:
        for number in range(2, SETTLED_AFTER + 2):
            now = signature(self.ready()) if self.carried else before
            with compilations() as compiled:
                self.call()
            if not compiled:
                return
            why = changed(before, now) or "its arguments look as they did before"
            self.found.append(f"Call {number} was compiled anew: {why}.")
            before = now
