"""What a worker is asked for and what it answers, over whatever channel leads to it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from bench import wire
from bench.cases import Case, Own
from bench.environment import Backend
from bench.measured import KINDS, Block, Certificate, Compiled, Finding, Kind, Parts
from bench.workers import WorkerFailed
from toynet.cluster import Joined
from toynet.errors import UsageError

# While an answer is awaited, what the process prints is looked at that often, and whether all others are there: mpirun
# stops those that are left a second after one is lost, and who it was is to be said before.
LOOK_S = 0.25
# Of the time limit, what a user's module may take to be imported: it is to be ended while it can still be said where.
IMPORT_SHARE = 0.9


class Channel(Protocol):
    """What carries messages to a worker process, here or elsewhere, and its answers back, one at a time."""

    def tell(self, message: bytes) -> None:
        """Sends a message; that nobody takes it shows in `heard`."""
        ...

    def heard(self, *, wait: bool = True) -> bytes | None:
        """An answer; None if none came within LOOK_S seconds, or without `wait` by now. Raises WorkerFailed."""
        ...

    def silent(self, limit_s: float) -> WorkerFailed:
        """What is said of a worker that didn't answer within that time."""
        ...

    def close(self) -> None:
        """Ends the worker; may be called again."""
        ...


C = TypeVar("C", bound=Channel, covariant=True)


class LiveWorker(Generic[C]):
    """What a worker process is asked for, and what it answers."""

    def __init__(
        self,
        channel: C,
        limit_s: float,
        shared: str | None = None,
        tolerance: float | None = None,
        look: Callable[[], None] = lambda: None,
    ) -> None:
        """`shared` and `tolerance` as a nursery has them; `look` is called now and then while an answer is awaited, and
        may raise what ends the waiting."""
        self.channel = channel
        self._limit_s = limit_s
        self._shared = shared
        self._tolerance = tolerance
        self._look = look

    def ask(self, request: dict[str, Any]) -> None:
        """Sends a request without waiting for its answer."""
        self.channel.tell(msgspec.json.encode(request))

    def answer(self) -> Any:
        """The answer to the last request; raises WorkerFailed, or UsageError for what the user got wrong."""
        return understood(awaited(self.channel, self._limit_s, self._look))

    def backend(self) -> Backend:
        """What JAX runs on there; starts JAX in the worker."""
        self.ask({"ask": "backend"})
        return msgspec.convert(self.answer(), Backend)

    def own(self, workload: str, sizes: Sequence[int] = ()) -> Own:
        """What a workload says of itself; raises UsageError if the name leads to none that can be measured, with
        batches of those sizes, too."""
        within_s = IMPORT_SHARE * self._limit_s
        self.ask({"ask": "lookup", "workload": workload, "within_s": within_s, "sizes": sizes})
        try:
            return msgspec.convert(self.answer(), Own)
        except WorkerFailed as error:
            raise UsageError(
                f"{workload!r} can't be loaded: {error}; what it runs as it is imported and traced has to come back."
            ) from None

    def lint(self, workload: str, examples: int | None = None) -> tuple[Finding, ...]:
        """What is found in a workload with batches of so many examples (None: its own size)."""
        within_s = IMPORT_SHARE * self._limit_s
        self.ask({"ask": "lint", "workload": workload, "examples": examples, "within_s": within_s})
        return msgspec.convert(self.answer(), tuple[Finding, ...])

    def begin_prepare(self, case: Case, cores: Sequence[int], *others: Sequence[int]) -> None:
        """Lets the worker import, pin itself and initialise the case, which is in this process alone."""
        assert not others
        self.begin_joining(case, cores, None)

    def begin_joining(self, case: Case, cores: Sequence[int], joined: Joined | None) -> None:
        """The same for one of the processes of a case, which joins JAX's runtime so."""
        within = {"shared": self._shared, "within_s": IMPORT_SHARE * self._limit_s}
        join = {"joined": None if joined is None else dataclasses.asdict(joined)}
        self.ask({"ask": "prepare", "case": dataclasses.asdict(case), "cores": list(cores), **join, **within})

    def begin_stand_by(self, devices: int, joined: Joined) -> None:
        """Lets the worker start JAX with that many devices beside the processes of a case, which it is none of."""
        self.ask({"ask": "stand_by", "devices": devices, "joined": dataclasses.asdict(joined)})

    def end_prepare(self) -> None:
        """Waits until the case is prepared."""
        self.answer()

    def begin_compile(self) -> None:
        """Lets the worker compile the step and run it once."""
        self.ask({"ask": "compile"})

    def end_compile(self) -> Compiled:
        """Waits for what compiling took."""
        return msgspec.convert(self.answer(), Compiled)

    def begin_check(self, fused: bool | None = None) -> None:
        """Lets the worker compare the case with `single`; as in `Holder.check`."""
        self.ask({"ask": "check", "fused": fused, "tolerance": self._tolerance})

    def end_check(self) -> Certificate:
        """Waits for what the comparison found."""
        return msgspec.convert(self.answer(), Certificate)

    def take_apart(self, *, peaks: bool) -> Parts:
        """Makes programs of the parts of its step; with `peaks`, of what its devices can do at most, too."""
        self.ask({"ask": "take_apart", "peaks": peaks})
        return msgspec.convert(self.answer(), Parts)

    def profile(self, folder: Path) -> Path:
        """Traces a few steps into the folder; gives the file of it that Perfetto opens."""
        self.ask({"ask": "profile", "folder": str(folder.absolute())})
        return Path(self.answer())

    def rough(self, kinds: Sequence[Kind] = KINDS) -> dict[Kind, float]:
        """Seconds a step, roughly, for each of the kinds of block that makes sense for the case."""
        self.ask({"ask": "rough", "kinds": list(kinds)})
        return msgspec.convert(self.answer(), dict[Kind, float])

    def traces(self) -> int:
        """How often the step was traced so far."""
        self.ask({"ask": "traces"})
        return self.answer()

    def block(self, kind: Kind, steps: int) -> Block:
        """Runs a block of steps."""
        self.begin_block(kind, steps)
        return self.answer()

    def begin_block(self, kind: Kind, steps: int) -> None:
        """Lets the worker run a block of steps."""
        self.channel.tell(wire.block_request(kind, steps))

    def close(self) -> None:
        """Ends the process and all that it started, and waits until it is gone; may be called again."""
        self.channel.close()


def awaited(channel: Channel, limit_s: float, look: Callable[[], None] = lambda: None) -> bytes:
    """The answer that comes within so many seconds; raises WorkerFailed if none does, and what `look` raises."""
    until = time.monotonic() + limit_s
    while (message := channel.heard()) is None:
        look()
        if time.monotonic() > until:
            raise channel.silent(limit_s)
    return message


def understood(message: bytes) -> Any:
    """What an answer says; raises WorkerFailed, or UsageError for what the user got wrong."""
    if message.startswith(wire.BLOCK):
        return wire.answered_block(message)
    reply = msgspec.json.decode(message)
    if "unusable" in reply:
        raise UsageError(reply["unusable"])
    if "failed" in reply:
        raise WorkerFailed(reply["failed"], "raised")
    return reply["answer"]
