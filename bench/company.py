"""All processes of a run, as rank 0 has them: who they are, and where workers of a case are started."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import environment
from bench.cases import DEVICES, Case, Selection
from bench.crew import Crew, Post, dealt
from bench.environment import Backend
from bench.live import Launch, nursery
from bench.record import Process
from bench.remote import Agent, Described
from toynet import facts
from toynet.cluster import LOOPBACK, Meeting
from toynet.errors import UsageError
from toynet.rendezvous import Circle

# There JAX starts in all processes of a slice or in none: a case that is in some of them has the others stand by.
WHOLE = ("tpu",)


@dataclass(frozen=True)
class Company:
    """The processes of a run: rank 0, and the agents of the others."""

    circle: Circle
    processes: tuple[Process, ...]
    agents: tuple[Agent, ...]
    shared: tuple[str, ...]
    """Of each agent, a folder on its host."""
    free: tuple[tuple[int | None, int | None], ...]
    """Of each agent the memory that is free on its host, and on its fullest GPU; None: it can't be told."""
    kernels: tuple[int, ...]
    """Equal for processes that run on the same cores, as those of a host do, and of containers of one machine."""

    def selection(self, asked: Selection) -> Selection:
        """What is measured over these processes where nothing else was asked for: over one, those of a host, and all,
        on as many devices as one alone has, and on all that there are (of simulated ones, on one of each process)."""
        count = len(self.processes)
        check_across(asked, count)
        here = sum(one.machine == self.processes[0].machine for one in self.processes)
        backend = self.processes[0].backend
        each = 1 if backend.simulated else backend.device_count
        return dataclasses.replace(
            asked,
            across=asked.across or tuple(dict.fromkeys([1, here, count])),
            devices=asked.devices or tuple(sorted({*DEVICES, count * each})),
            devices_each=None if backend.simulated else each,
        )

    def deal(self, case: Case, drawn: Sequence[int], *, pinned: bool) -> list[tuple[int, ...]]:
        """The cores of each process of a case."""
        mine = self.processes[: case.processes]
        if not pinned:
            return [process.host.usable_cores for process in mine]
        return dealt(case, drawn, mine, self.kernels)

    @contextlib.contextmanager
    def crews(
        self, limit_s: float, shared: Path, preload: Sequence[str], tolerance: float | None
    ) -> Iterator[Callable[[], Crew]]:
        """What starts the workers of a case, in all of its processes, until the block ends."""
        place = self.circle.place
        meeting = Meeting(place.host, place.host == LOOPBACK, limit_s)
        launch = Launch(environment=place.environment)
        with nursery(limit_s, shared, preload, launch, look=self.circle.check) as start:
            for agent in self.agents:
                agent.nursery(preload)
            try:
                starts = [lambda: start().channel, *(agent.worker for agent in self.agents)]
                folders = [str(shared), *self.shared]
                posts = [
                    Post(self.circle.who(rank), begin, folder)
                    for rank, (begin, folder) in enumerate(zip(starts, folders, strict=True))
                ]
                whole = self.processes[0].backend.platform in WHOLE
                yield lambda: Crew(posts, meeting, limit_s, tolerance, self.circle.check, whole=whole)
            finally:
                for agent in self.agents:
                    agent.rest()


def company_of(circle: Circle, probe: Callable[[], Backend], limit_s: float) -> Company:
    """All processes of a circle, on backends that are alike; raises UsageError, naming what differs, where they aren't.

    Begins to listen to the others, which find out what they run on while this one does by `probe`.
    """
    machines, kernels = facts.hosts(circle.everyone), facts.kernels(circle.everyone)
    agents = tuple(Agent(circle, rank) for rank in sorted(circle.links))
    circle.start()
    asked = [(agent, agent.begin_describe()) for agent in agents]
    backend = probe()
    if backend.platform == "cpu" and (why := facts.unreachable(circle.everyone)):
        raise UsageError(why)
    described = [agent.end_describe(channel, limit_s) for agent, channel in asked]
    own = Described(environment.host(Path()), backend, "")
    processes = tuple(
        Process(rank, circle.everyone[rank]["host"], machines[rank], one.host, one.backend)
        for rank, one in enumerate([own, *described])
    )
    for process in processes[1:]:
        check_alike(processes[0], process)
    free = tuple((one.free_bytes, one.device_free_bytes) for one in described)
    return Company(circle, processes, agents, tuple(one.shared for one in described), free, tuple(kernels))


def check_across(asked: Selection, count: int) -> None:
    """Raises UsageError where cases are to be divided over more processes than there are."""
    if (most := max(asked.across or (1,))) > count:
        raise UsageError(
            f"--across must be at most {count}, as many processes as there are, got {most}; "
            "a launcher starts more, or --local-processes on this machine."
        )


def check_alike(first: Process, other: Process) -> None:
    """Raises UsageError, naming what differs, if two processes don't run the same on the same."""

    def told(process: Process) -> dict[str, object]:
        backend = process.backend
        return {
            "platform": backend.platform,
            "device": backend.device_kind,
            "devices": backend.device_count,
            **backend.settings,
            "commit": f"{process.host.commit}{' with changes' * process.host.dirty}",
        }

    ours, theirs = told(first), told(other)
    for name in ours:
        if ours[name] != theirs.get(name):
            raise UsageError(
                f"rank {other.rank} on {other.name} has {name} {theirs.get(name)}, and rank 0 on {first.name} "
                f"{ours[name]}; all processes of a run need the same."
            )
