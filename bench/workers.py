"""What is asked of a worker, by whoever measures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, Protocol, get_args

from bench.cases import Case
from bench.measured import KINDS, Block, Certificate, Compiled, Kind, Parts

# How a worker failed: of several that work together, the cause is in the first of these that is among them.
How = Literal["ended", "stopped", "raised", "silent"]
# One step in a chain would only be a step that is waited for.
STEPS_AT_LEAST: dict[Kind, int] = {**dict.fromkeys(get_args(Kind), 1), "throughput": 2}
# Seconds after which one that doesn't answer is broken, unless the command line says otherwise.
LIMIT_S = 120.0
# Of the first loss, which a restart has to reproduce: it is the same program, compiled anew.
FIRST_LOSS_TOLERANCE = 1e-5


class WorkerFailed(Exception):
    """A worker died, was aborted, or didn't answer in time; the message says which, with its last lines."""

    def __init__(self, why: str, how: How = "ended") -> None:
        super().__init__(why)
        self.how = how


class Worker(Protocol):
    """What is asked of a worker. What begins may run beside others.

    Each call may raise WorkerFailed or UsageError, either of which costs the case only.
    """

    def begin_prepare(self, case: Case, cores: Sequence[int], *others: Sequence[int]) -> None:
        """On those cores; `others`: of the other processes of the case, one after another."""
        ...

    def end_prepare(self) -> None: ...
    def begin_compile(self) -> None: ...
    def end_compile(self) -> Compiled: ...
    def begin_check(self, fused: bool | None = None) -> None: ...
    def end_check(self) -> Certificate: ...
    def rough(self, kinds: Sequence[Kind] = KINDS) -> dict[Kind, float]: ...
    def traces(self) -> int: ...
    def block(self, kind: Kind, steps: int) -> Block: ...
    def close(self) -> None: ...


class PartsWorker(Worker, Protocol):
    """A worker that can take its case apart and trace its steps, too."""

    def take_apart(self, *, peaks: bool) -> Parts: ...
    def profile(self, folder: Path) -> Path: ...


def reference_bearer(cases: Iterable[Case]) -> Case | None:
    """Of cases that are alive at once, the one whose worker runs the reference workload, too.

    `single` where there is one, for what is compared with it is alive whenever it is; else the one with the fewest
    devices. Over several processes one that is in most of them, so that each host is seen. The same in every restart
    of the same cases. None if none of them is computed plainly.
    """
    plain = [case for case in cases if case.path == "plain"]
    return min(plain, key=lambda case: (-case.processes, case.mode != "single", case.devices, case.name), default=None)


def unlike_first(loss: float | None, first: float | None) -> str:
    """How the loss of a first step isn't that of the first start, in words; empty if it is."""
    if first is None or loss is None:
        return "the loss of the first step isn't a finite number"
    if abs(loss - first) > FIRST_LOSS_TOLERANCE * abs(first):
        return f"the loss of the first step is {loss:g}, and was {first:g} before the restart"
    return ""
