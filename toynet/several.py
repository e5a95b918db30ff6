"""Training in several processes: each that was started finds the others, and watches over a child that holds JAX.

JAX's runtime says late that a process is lost, and ends its own then, without a word of whom. So what a launcher starts
never holds JAX: it learns of a loss from its child and from the others at once, and ends the child.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from toynet import facts
from toynet.cluster import LOOPBACK, Joined, Meeting, Place
from toynet.errors import ProcessLost, UsageError
from toynet.joining import Joining
from toynet.link import Ended
from toynet.options import Train
from toynet.printed import Printed, how_it_ended, stopped
from toynet.rendezvous import Circle, together

UNUSABLE = 2
# Between two looks at the child and at the others.
LOOK_S = 0.1
# So long after a child is over another process may say that it was the cause: the runtime ends it for a fault of its
# own and for others', it raises mostly for others'. What is unusable is mostly so everywhere, and rank 0 says it.
GRACE_S = {"killed": 0.0, "aborted": 1.0, "failed": 2.0, "unusable": 2.0}
# A child that has closed its pipe is gone within that time.
ENDING_S = 5.0
# Flags that may differ between processes, beside those by which they find each other.
OF_A_RANK = (*(field.name for field in dataclasses.fields(Joining)), "plot", "quiet")


def train(place: Place, options: Train, argv: Sequence[str]) -> int:
    """Trains together with the others, which run the same command line; gives the exit status.

    Raises UsageError for what a child found out, and ProcessLost, which names who.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the others as Ctrl-C does
    limit_s, command = options.limit_s, ("toynet", *argv)
    with together(place, "toynet train", limit_s, command, options.given(but=OF_A_RANK)) as circle:
        circle.start()
        try:
            with contextlib.closing(Child(argv, _met(circle, limit_s), place)) as child:
                status = watched(child, circle, limit_s)
                circle.end(status)
        except Ended as ended:
            return ended.args[0]
        except UsageError:
            if circle.rank == 0:
                circle.end(UNUSABLE)
            raise
        return status


def _met(circle: Circle, limit_s: float) -> Joined:
    """How the child of this process joins those of the others, where rank 0 says."""
    place = circle.place
    if place.rank:
        return Joined(**json.loads(circle.links[0].receive()))
    unreachable = facts.unreachable(circle.everyone)
    first, *others = Meeting(place.host, place.host == LOOPBACK, limit_s, unreachable).joined(place.count)
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
        was = "was " * (status < 0)
        return Report("aborted", self._printed.after(f"{was}{how_it_ended(status)}"))

    def close(self) -> None:
        """Ends it, and waits until it is gone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # the latter for a zombie on macOS
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reports.close()
        self._pipe.close()
        self._printed.file.close()


def watched(child: Child, circle: Circle, limit_s: float) -> int:
    """Looks at the child and at the others until rank 0's is done; gives the exit status there.

    Raises what ends it early: ProcessLost, UsageError; and Ended on the other ranks.
    """
    who = circle.who(circle.rank)
    verdict: Exception | None = None
    until = math.inf
    running_at = time.monotonic()
    report = None
    while True:
        circle.check()
        if verdict is not None and time.monotonic() >= until:
            raise verdict
        if report is not None:
            time.sleep(LOOK_S)
        elif (report := child.heard(LOOK_S)) is None:
            if not child.stopped:
                running_at = time.monotonic()
            elif time.monotonic() - running_at > limit_s / 2:
                raise ProcessLost(f"{who} has been stopped for {limit_s / 2:g} s")
        elif report.how == "done" and circle.rank == 0:
            return int(report.what)
        elif report.how != "done":
            unusable = report.how == "unusable"
            verdict = UsageError(report.what) if unusable else ProcessLost(f"{who} {report.what}")
            until = time.monotonic() + (0.0 if unusable and circle.rank == 0 else GRACE_S[report.how])
