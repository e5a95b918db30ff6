"""The processes of one command in touch: each has a connection to rank 0, and a pulse on it.

Nothing here knows JAX. A process that ends, or gives no pulse for half of the time limit, is lost, and with it the
command: all others are told so, and by whom.
"""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from toynet.cluster import Place
from toynet.errors import ProcessInterrupted
from toynet.facts import check_alike, named
from toynet.gathering import gathered, listening, over
from toynet.link import PULSE_S, Ended, Link, pulse_s

# Processes that were told that all is over end within that time.
ENDING_S = 10.0


class Circle:
    """All processes of a command, as one of them sees them: rank 0 has a link to each, the others one to rank 0."""

    def __init__(self, place: Place, everyone: Sequence[Mapping[str, Any]], links: Mapping[int, Link]) -> None:
        """`everyone`: the facts of each process, by rank. The links begin to read when they are started."""
        self.place = place
        self.everyone = tuple(everyone)
        self.links = dict(links)
        self._told = False
        self._loss: Exception | None = None
        """Of the others, what was told first, until it is raised."""
        self._over = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._heart.start()

    @property
    def rank(self) -> int:
        return self.place.rank

    def who(self, rank: int) -> str:
        """A process by rank and host."""
        return named(rank, self.everyone[rank]["host"])

    def start(self) -> None:
        """Begins to listen to the others."""
        for link in self.links.values():
            link.start()

    def check(self) -> None:
        """Raises what ended one of the others, if one has ended; all that are left are told so before."""
        if (lost := self._lost()) is not None:
            if not isinstance(lost, Ended):
                self._lose(lost)
            raise lost

    def _lost(self) -> Exception | None:
        return next((link.lost for link in self.links.values() if link.lost is not None), None)

    def _lose(self, lost: Exception) -> None:
        if not self._told:
            self._loss = lost
            self.fail(lost)

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """What ends the block early is told to the others, and ends them, too.

        Where one of them is lost, that is raised, and not what it leads to: a launcher interrupts all that are left.
        """
        try:
            yield
        except (Ended, SystemExit):
            raise
        except BaseException as error:
            lost = self._lost()
            both = isinstance(error, KeyboardInterrupt) and isinstance(lost, ProcessInterrupted)
            if lost is not None and not isinstance(lost, Ended) and not both:
                self._lose(lost)
            self.fail(over(error, self.who(self.rank)))
            loss, self._loss = self._loss, None  # once: what comes of it around this block is whoever's who handles it
            if loss is not None:
                raise loss from None
            raise

    def fail(self, error: Exception) -> None:
        """Tells everyone that all is over, unless they know, and what they are to raise."""
        if not self._told:
            self._told = True
            for link in self.links.values():
                link.fail(error)

    def end(self, status: int) -> None:
        """Tells everyone that all is done, unless they know, and with which exit status."""
        if not self._told:
            self._told = True
            for link in self.links.values():
                link.end(status)

    def close(self) -> None:
        """Lets go of everyone."""
        self._over.set()
        self._heart.join()
        for link in self.links.values():
            link.close()

    def _beat(self) -> None:
        every_s = min((pulse_s(link.silence_s) for link in self.links.values()), default=PULSE_S)
        while not self._over.wait(every_s):
            for link in self.links.values():
                link.pulse()


@contextlib.contextmanager
def together(
    place: Place, what: str, limit_s: float, command: Sequence[str], flags: Mapping[str, str] | None = None
) -> Iterator[Circle]:
    """All processes that run `what`, until the block ends; what ends it early ends the others, too.

    For `--local-processes`, rank 0 starts them by itself: by this interpreter, the module and arguments `command`.
    The values of `flags` have to be the same in all of them.

    Raises ProcessLost, which names who didn't come, and UsageError if they don't run the same versions.
    """
    with contextlib.ExitStack() as stack:
        server = None
        if place.port == 0:
            server = stack.enter_context(listening(place))
            place = dataclasses.replace(place, port=server.getsockname()[1])
            stack.enter_context(_others(place, command))
        circle = Circle(place, *gathered(place, what, limit_s, server, flags))
        stack.enter_context(contextlib.closing(circle))
        check_alike(circle.everyone)
        with circle.telling():
            yield circle


@contextlib.contextmanager
def _others(place: Place, command: Sequence[str]) -> Iterator[None]:
    """The other processes on this machine, which have ended when the block does.

    What they print of their own is printed then; who was lost, and why rank 0 gave up, rank 0 says itself.
    """
    arguments, rest = [], list(command)
    while rest:
        flag = rest.pop(0)
        if flag.replace("_", "-") == "--local-processes":
            rest.pop(0)
        elif not flag.replace("_", "-").startswith("--local-processes="):
            arguments.append(flag)
    joined = ["--coordinator", place.address, "--processes", str(place.count)]
    started: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryFile("a+", errors="replace") as said:
        try:
            for rank in range(1, place.count):
                own = [sys.executable, "-m", *arguments, *joined, "--process-id", str(rank)]
                started.append(
                    subprocess.Popen(
                        own, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
                    )
                )
            yield
        finally:
            _end(started)
            said.seek(0)
            sys.stderr.writelines(line for line in said if not line.startswith("error: rank "))


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Waits until they have ended, which they were told to, and ends those that don't."""
    until = time.monotonic() + ENDING_S
    try:
        for process in processes:
            process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        pass
    finally:
        for process in processes:
            process.kill()
            process.wait()
