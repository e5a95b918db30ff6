"""The workers of one case in all of its processes, asked as if they were one."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench.asking import Channel, LiveWorker, understood
from bench.cases import Case
from bench.measured import KINDS, Block, Certificate, Compiled, Kind, Parts, Stages
from bench.record import Process
from bench.workers import How, WorkerFailed
from toynet.cluster import Meeting
from toynet.errors import UsageError

# After the first of them failed, the others may say within that time how they did: one may have been the cause.
GRACE_S = 2.0
# An agent answers for its worker at the latest after the time limit; what it says is on its way then.
UNDER_WAY_S = 5.0
# What JAX's runtime prints as it ends a process for the fault of another.
CONSEQUENCE = "another task died"
BLAME: tuple[How, ...] = ("ended", "stopped", "raised", "silent")


@dataclasses.dataclass(frozen=True)
class Post:
    """One process that may have workers: what starts one there, and what the other processes must know of it."""

    who: str
    """Rank and host."""
    start: Callable[[], Channel]
    shared: str | None
    """A folder on its host, where workers keep what others can use."""


class Crew:
    """Workers of a case, one in each of its processes: the first of those that there are, from rank 0 on."""

    def __init__(
        self,
        posts: Sequence[Post],
        meeting: Meeting,
        limit_s: float,
        tolerance: float | None,
        look: Callable[[], None],
        *,
        whole: bool = False,
    ) -> None:
        """`look` is called while answers are awaited, and may raise what ends the waiting.

        If `whole`, JAX starts in all processes or in none: those that aren't the case's stand by.
        """
        self._posts = posts
        self._meeting = meeting
        self._limit_s = limit_s
        self._tolerance = tolerance
        self._look = look
        self._whole = whole
        self._workers: list[LiveWorker[Channel]] = []
        self._standing_by: list[LiveWorker[Channel]] = []

    def begin_prepare(self, case: Case, cores: Sequence[int], *others: Sequence[int]) -> None:
        count = len(self._posts) if self._whole else case.processes
        joined = self._meeting.joined(count) if count > 1 else [None]
        for post, own, join in zip(self._posts, (cores, *others), joined, strict=False):
            self._workers.append(worker := self._started(post))
            worker.begin_joining(case, own, join)
        for post, join in zip(self._posts[case.processes :], joined[case.processes :], strict=False):
            assert join is not None
            self._standing_by.append(worker := self._started(post))
            worker.begin_stand_by(case.devices // case.processes, join)

    def _started(self, post: Post) -> LiveWorker[Channel]:
        return LiveWorker(post.start(), self._limit_s, post.shared, self._tolerance)

    def end_prepare(self) -> None:
        self._answers([*self._workers, *self._standing_by])

    def begin_compile(self) -> None:
        for worker in self._workers:
            worker.begin_compile()

    def end_compile(self) -> Compiled:
        """As the first process says, and of each stage the longest time that it took in any."""
        found = [msgspec.convert(answer, Compiled) for answer in self._answers()]
        return dataclasses.replace(found[0], stages=slowest([one.stages for one in found]))

    def begin_check(self, fused: bool | None = None) -> None:
        for worker in self._workers:
            worker.begin_check(fused)

    def end_check(self) -> Certificate:
        """That of the first process, and what failed in others but not in that."""
        first, *others = (msgspec.convert(answer, Certificate) for answer in self._answers())
        known = {check.name for check in first.checks if not check.passed}
        failed = [
            dataclasses.replace(check, name=f"{check.name} ({post.who})")
            for post, certificate in zip(self._posts[1:], others, strict=False)
            for check in certificate.checks
            if not check.passed and check.name not in known
        ]
        return dataclasses.replace(first, checks=(*first.checks, *failed))

    def take_apart(self, *, peaks: bool) -> Parts:
        for worker in self._workers:
            worker.ask({"ask": "take_apart", "peaks": peaks})
        return msgspec.convert(self._answers()[0], Parts)

    def profile(self, folder: Path) -> Path:
        """Traces a few steps in all processes, each into the folder on its host; gives the first one's file."""
        for rank, worker in enumerate(self._workers):
            # Where that is relative, it is so to the folder in which the process was started there.
            own = folder.absolute() if rank == 0 else folder.with_name(f"{folder.name}-rank{rank}")
            worker.ask({"ask": "profile", "folder": str(own)})
        return Path(self._answers()[0])

    def rough(self, kinds: Sequence[Kind] = KINDS) -> dict[Kind, float]:
        """Of each kind, the longest in any process."""
        for worker in self._workers:
            worker.ask({"ask": "rough", "kinds": list(kinds)})
        found = [msgspec.convert(answer, dict[Kind, float]) for answer in self._answers()]
        return {kind: max(one[kind] for one in found) for kind in found[0]}

    def traces(self) -> int:
        for worker in self._workers:
            worker.ask({"ask": "traces"})
        return max(self._answers())

    def block(self, kind: Kind, steps: int) -> Block:
        """A block that all begin together; its time is that of the slowest."""
        for worker in self._workers:
            worker.begin_block(kind, steps)
        blocks: list[Block] = self._answers()
        longest = max(blocks, key=lambda block: block.seconds)
        if len(blocks) == 1:
            return longest
        return dataclasses.replace(longest, processes_s=tuple(block.seconds for block in blocks))

    def close(self) -> None:
        """Ends the workers of all processes."""
        for worker in (*self._workers, *self._standing_by):
            worker.close()

    def _answers(self, workers: Sequence[LiveWorker[Channel]] | None = None) -> list[Any]:
        """What each of them says (None: those of the case); raises WorkerFailed or UsageError, naming who failed, soon
        after one did."""
        pending = dict(enumerate(worker.channel for worker in workers or self._workers))
        said: dict[int, Any] = {}
        failed: dict[int, WorkerFailed | UsageError] = {}
        until = time.monotonic() + self._limit_s + UNDER_WAY_S * (len(pending) > 1)
        while pending and time.monotonic() < until:
            for rank, channel in list(pending.items()):
                try:
                    if (message := channel.heard(wait=rank == min(pending))) is None:
                        continue
                    said[rank] = understood(message)
                except (WorkerFailed, UsageError) as error:
                    failed[rank] = error
                    until = min(until, time.monotonic() + GRACE_S)
                del pending[rank]
            self._look()
        if all(isinstance(error, WorkerFailed) and error.how == "silent" for error in failed.values()):
            failed |= {rank: channel.silent(self._limit_s) for rank, channel in pending.items()}
        if failed:
            blamed = self._blamed(failed)
            # Who hasn't answered yet would be taken to answer the next request: the crew is given up, too.
            raise WorkerFailed(str(blamed), "raised") if pending and isinstance(blamed, UsageError) else blamed
        return [said[rank] for rank in sorted(said)]

    def _blamed(self, failed: Mapping[int, WorkerFailed | UsageError]) -> WorkerFailed | UsageError:
        """What went wrong, by those that are its cause as far as that shows."""
        if len(self._workers) + len(self._standing_by) == 1:
            return failed[0]
        for rank, error in failed.items():
            if isinstance(error, UsageError):
                return UsageError(f"{self._posts[rank].who}: {error}")
        errors = {rank: error for rank, error in failed.items() if isinstance(error, WorkerFailed)}
        errors = {rank: error for rank, error in errors.items() if CONSEQUENCE not in str(error)} or errors
        how: How = next(how for how in BLAME if any(error.how == how for error in errors.values()))
        said = [f"{self._posts[rank].who}: {error}" for rank, error in errors.items() if error.how == how]
        return WorkerFailed("; ".join(said), how)


def slowest(stages: Sequence[Stages]) -> Stages:
    """Of each stage the longest time; it was cached if it was in all processes."""
    longest = {
        field.name: max(getattr(one, field.name) for one in stages)
        for field in dataclasses.fields(Stages)
        if field.name != "compile_cached"
    }
    return Stages(**longest, compile_cached=all(one.compile_cached for one in stages))


def dealt(
    case: Case, drawn: Sequence[int], processes: Sequence[Process], kernels: Sequence[int]
) -> list[tuple[int, ...]]:
    """For each process of a case as many of its cores as it has devices, in the order drawn for the first one's.

    Processes of one kernel have cores of their own as far as there are enough; else they share them.
    """
    each = case.devices // case.processes
    first = processes[0].host.usable_cores
    places = [first.index(core) for core in drawn]
    taken: dict[int, set[int]] = {}
    found = []
    for process, kernel in zip(processes, kernels, strict=False):
        cores = process.host.usable_cores
        order = [*(cores[place] for place in places if place < len(cores)), *cores[len(first) :]]
        others = taken.setdefault(kernel, set())
        order.sort(key=lambda core: core in others)
        others.update(order[:each])
        found.append(tuple(sorted(order[:each])))
    return found
