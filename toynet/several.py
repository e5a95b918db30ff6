"""Training in several processes: each that was started finds the others, and watches over a child that holds JAX.

JAX's runtime says late that a process is lost, and ends its own then, without a word of whom. So what a launcher starts
never holds JAX: it learns of a loss from its child and from the others at once, and ends the child.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import math
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Literal

from toynet.cluster import LOOPBACK, Joined, Meeting, Place
from toynet.errors import ProcessLost, UsageError
from toynet.options import Train
from toynet.printed import Printed, how_it_ended, stopped
from toynet.rendezvous import Circle, Ended, together

UNUSABLE, INTERRUPTED = 2, 130
# Between two looks at the child and at the others.
LOOK_S = 0.1
# So long after a child is over another process may say that it was the cause: where its runtime ended it, which it does
# for a fault of its own and for others', and where it raised, which is mostly for others'.
GRACE_S = {"killed": 0.0, "aborted": 1.0, "failed": 2.0, "unusable": 2.0}
# A child that has closed its pipe is gone within that time.
ENDING_S = 5.0


def train(place: Place, options: Train, argv: Sequence[str]) -> int:
    """Trains together with the others, which run the same command line; gives the exit status.

    Raises ProcessLost, which names who, and UsageError, on rank 0 alone, for what a child found out.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the others as Ctrl-C does
    with together(place, options.what, options.limit_s, ("toynet", *argv)) as circle:
        watch = Watch(circle, options.limit_s)
        circle.start()
        try:
            with contextlib.closing(Child(argv, _met(circle, options.limit_s), place)) as child:
                status = watch.over(child)
                circle.end(status)
        except (UsageError, KeyboardInterrupt) as error:
            circle.end(UNUSABLE if isinstance(error, UsageError) else INTERRUPTED)
            raise
        return status


def _met(circle: Circle, limit_s: float) -> Joined:
    """How the child of this process joins those of the others, where rank 0 says."""
    place = circle.place
    if place.rank:
        return Joined(**json.loads(circle.links[0].receive()))
    first, *others = Meeting(place.host, place.host == LOOPBACK, limit_s).joined(place.count)
    for joined in others:
        circle.links[joined.process_id].send(json.dumps(dataclasses.asdict(joined)).encode())
    return first


@dataclass(frozen=True)
class Report:
    """How a child's training went."""

    how: Literal["done", "unusable", "failed", "aborted", "killed"]
    """Unusable: as the user asked for it; failed: it raised; aborted: it ended by itself; killed: by another."""
    what: str
    """Done: the exit status; unusable: a sentence; else what goes on after its name."""


class Child:
    """A process of this one's that joins JAX's runtime and trains; it ends when this one does."""

    def __init__(self, argv: Sequence[str], joined: Joined, place: Place) -> None:
        """Starts it; that of rank 0 prints where this process does."""
        self._printed = Printed()
        self._pipe, theirs = socket.socketpair()
        self._reports = self._pipe.makefile("rb")
        out = [] if joined.process_id else [os.dup(sys.stdout.fileno())]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "toynet.child", str(theirs.fileno()), *argv],
                stdin=subprocess.DEVNULL,
                stdout=self._printed.file,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno(), *out],
                env={**os.environ, **place.environment},
                start_new_session=True,  # what a terminal sends, such as Ctrl-C, is for this process alone
            )
        for own in out:
            os.close(own)
        told = {"joined": dataclasses.asdict(joined), "out": out[0] if out else None}
        with contextlib.suppress(BrokenPipeError):  # one that has ended says so when it is heard
            self._pipe.sendall(json.dumps(told).encode() + b"\n")

    @property
    def stopped(self) -> bool:
        """Whether a signal keeps it from running."""
        return stopped(self._process.pid)

    def heard(self, within_s: float) -> Report | None:
        """How it went, None if it goes on after that time."""
        self._printed.bound()
        if not select.select([self._pipe], [], [], within_s)[0]:
            return None
        with contextlib.suppress(ConnectionError):
            if (line := self._reports.readline()).endswith(b"\n"):
                return Report(**json.loads(line))
        try:
            status = self._process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            return Report("aborted", self._printed.after("closed its pipe and didn't end"))
        if status < 0 and status != -signal.SIGABRT:
            return Report("killed", f"was {how_it_ended(status)}")
        return Report("aborted", self._printed.after(f"was {how_it_ended(status)}"))

    def close(self) -> None:
        """Ends it, and waits until it is gone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # the latter for a zombie on macOS
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reports.close()
        self._pipe.close()
        self._printed.file.close()


class Watch:
    """What one of several processes does while its child trains: it looks at the child, and at the others."""

    def __init__(self, circle: Circle, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begins to listen to what the others report, before the circle is started."""
        self._circle = circle
        self._own = circle.who(circle.rank)
        self._silence_s = limit_s / 2
        self._clock = clock
        self._verdict: ProcessLost | UsageError | None = None
        self._until = math.inf
        self._running_at = clock()
        self._unusable: SimpleQueue[str] = SimpleQueue()
        if circle.rank == 0:
            for rank, link in circle.links.items():
                link.listener = functools.partial(self._listen, circle.who(rank))

    def over(self, child: Child) -> int:
        """Waits until all is over; gives the exit status.

        Raises ProcessLost, and UsageError on rank 0, to which the others report what their children found out.
        """
        report = None
        while True:
            if (status := self._others()) is not None:
                return status
            if self._verdict and self._clock() >= self._until:
                raise self._verdict
            if report is not None:
                time.sleep(LOOK_S)
            elif report := child.heard(LOOK_S):
                if (status := self._judged(report)) is not None:
                    return status
            else:
                self._check_running(child)

    def _listen(self, who: str, message: bytes) -> None:
        self._unusable.put(f"{who}: {message.decode()}")

    def _others(self) -> int | None:
        """The exit status if another process has ended all; raises ProcessLost if one is lost."""
        self._circle.check()
        for link in self._circle.links.values():
            if isinstance(link.lost, Ended):
                return link.lost.args[0]
        if not (self._unusable.empty() or isinstance(self._verdict, UsageError)):
            self._condemn(UsageError(self._unusable.get()), GRACE_S["unusable"])  # the own child may say the same
        return None

    def _judged(self, report: Report) -> int | None:
        """The exit status, if the report of the own child settles it."""
        circle = self._circle
        if report.how == "done":
            return None if circle.rank else int(report.what)
        if report.how != "unusable":
            self._condemn(ProcessLost(f"{self._own} {report.what}"), GRACE_S[report.how])
        elif circle.rank == 0:
            raise UsageError(report.what)
        else:
            circle.links[0].send(report.what.encode())
        return None

    def _condemn(self, verdict: ProcessLost | UsageError, grace_s: float) -> None:
        """Settles what is raised unless a better reason comes in that time."""
        if isinstance(verdict, UsageError) or self._verdict is None:
            self._verdict, self._until = verdict, self._clock() + grace_s

    def _check_running(self, child: Child) -> None:
        """Raises ProcessLost if the child has been stopped for too long."""
        if not child.stopped:
            self._running_at = self._clock()
        elif self._clock() - self._running_at > self._silence_s:
            raise ProcessLost(f"{self._own} has been stopped for {self._silence_s:g} s")
