"""The processes of a command in touch: three circles in this process, and what ends one of them."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Iterator

import pytest

from toynet import cluster, facts, link
from toynet.cluster import Place
from toynet.errors import ProcessInterrupted, ProcessLost, UsageError
from toynet.link import Ended, Link
from toynet.rendezvous import Circle, together

LIMIT_S = 60.0
HOSTS = ("a", "b", "c")


@pytest.fixture
def circles() -> Iterator[list[Circle]]:
    """Those of ranks 0, 1 and 2, in their order."""
    everyone = [{"host": host} for host in HOSTS]
    here: dict[int, Link] = {}
    found = []
    for rank in (1, 2):
        ours, theirs = socket.socketpair()
        here[rank] = Link(ours, f"rank {rank} on {HOSTS[rank]}", LIMIT_S)
        there = {0: Link(theirs, "rank 0 on a", LIMIT_S)}
        found.append(Circle(Place("a", 80, 3, rank), everyone, there))
    circles = [Circle(Place("a", 80, 3, 0), everyone, here), *found]
    for circle in circles:
        circle.start()
    yield circles
    for circle in circles:
        circle.close()


def until_lost(circle: Circle, rank: int) -> None:
    """Waits until it has noticed that the other is."""
    with pytest.raises((ProcessLost, UsageError, Ended)):
        circle.links[rank].receive()


def test_rank_0_has_a_link_to_each_and_the_others_to_rank_0_alone(circles: list[Circle]) -> None:
    assert [list(circle.links) for circle in circles] == [[1, 2], [0], [0]]
    assert [circle.rank for circle in circles] == [0, 1, 2]
    assert circles[1].who(2) == "rank 2 on c"
    circles[0].links[2].send(b"to c")
    assert circles[2].links[0].receive() == b"to c"
    for circle in circles:
        circle.check()


def test_a_rank_that_is_lost_is_named_to_all_that_are_left(circles: list[Circle]) -> None:
    circles[1].close()
    until_lost(circles[0], 1)
    with pytest.raises(ProcessLost, match=r"^rank 1 on b has ended"):
        circles[0].check()
    with pytest.raises(ProcessLost, match=r"^rank 1 on b has ended"):
        circles[2].links[0].receive()


def test_rank_0_that_is_lost_ends_the_others(circles: list[Circle]) -> None:
    circles[0].close()
    for other in circles[1:]:
        until_lost(other, 0)
        with pytest.raises(ProcessLost, match=r"^rank 0 on a has ended"):
            other.check()


def test_the_end_is_told_once_and_is_no_loss(circles: list[Circle]) -> None:
    circles[0].end(3)
    circles[0].fail(ProcessLost("rank 9 on z"))
    for other in circles[1:]:
        with pytest.raises(Ended) as ended:
            other.links[0].receive()
        assert ended.value.args == (3,)


@pytest.mark.parametrize(
    ("error", "raised", "said"),
    [
        (ProcessLost("rank 7 on z has ended"), ProcessLost, "^rank 7 on z has ended"),
        (UsageError("no case."), UsageError, r"^rank 0 on a gave up: no case\."),
        (KeyboardInterrupt(), ProcessInterrupted, "^rank 0 on a was interrupted"),
        (RuntimeError(), ProcessLost, "^rank 0 on a gave up: RuntimeError"),
    ],
)
def test_what_ends_rank_0_is_told_to_the_others(
    circles: list[Circle], error: BaseException, raised: type[Exception], said: str
) -> None:
    with pytest.raises(type(error)), circles[0].telling():
        raise error
    for other in circles[1:]:
        with pytest.raises(raised, match=said):
            other.links[0].receive()


def test_an_interruption_by_a_launcher_that_lost_one_is_that_loss(circles: list[Circle]) -> None:
    circles[1].close()
    until_lost(circles[0], 1)
    with pytest.raises(ProcessLost, match=r"^rank 1 on b has ended"), circles[0].telling():
        raise KeyboardInterrupt


class Said(Exception):
    """What a command makes of a loss that it has told its user."""


def said(circle: Circle) -> None:
    try:
        with circle.telling():
            circle.check()
    except ProcessLost:
        raise Said from None


def test_a_loss_that_was_handled_is_not_raised_again(circles: list[Circle]) -> None:
    circles[1].close()
    until_lost(circles[0], 1)
    with pytest.raises(Said), circles[0].telling():
        said(circles[0])


def test_a_pulse_goes_to_all_while_nothing_else_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("toynet.link.PULSE_S", 0.01)
    ours, theirs = socket.socketpair()
    with theirs, contextlib.closing(Circle(Place("a", 80, 2, 0), [{"host": "a"}, {"host": "b"}], {1: _link(ours)})):
        assert [link.received(theirs) for _ in range(3)] == [(link.PULSE, b"")] * 3


def _link(connection: socket.socket) -> Link:
    found = Link(connection, "rank 1 on b", LIMIT_S)
    found.start()
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def test_two_processes_are_together_until_one_ends_and_both_know_how(monkeypatch: pytest.MonkeyPatch) -> None:
    port, ended = free_port(), []

    def second() -> None:
        with together(Place("127.0.0.1", port, 2, 1), "test", LIMIT_S, ()) as circle:
            circle.start()
            try:
                circle.links[0].receive()
            except Ended as end:
                ended.append(end.args[0])

    thread = threading.Thread(target=second)
    thread.start()
    with together(Place("127.0.0.1", port, 2, 0), "test", LIMIT_S, ()) as circle:
        circle.start()
        circle.end(4)
        thread.join()
    assert ended == [4]


def test_processes_with_other_versions_are_refused_on_each_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    port, said = free_port(), []

    def joining(rank: int) -> None:
        try:
            with together(Place("127.0.0.1", port, 2, rank), "test", LIMIT_S, ()):
                raise AssertionError
        except UsageError as error:
            said.append(str(error))

    others = iter([{"jaxlib": "1.0"}, {"jaxlib": "1.1"}])  # whoever asks first
    monkeypatch.setattr(facts, "versions", lambda _: next(others))
    threads = [threading.Thread(target=joining, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(said)) == 1
    assert len(said) == 2
    assert "rank 1 on" in said[0]
    assert "has jaxlib 1." in said[0]
    assert said[0].endswith("install the same versions everywhere.")


STARTED = """
import sys
from toynet.cluster import told
from toynet.rendezvous import Ended, together
from toynet.joining import Joining
flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))
place = told(flags["--coordinator"], int(flags["--processes"]), int(flags["--process-id"]))
print("on standard output, which is rank 0's")
with together(place, "test", 60.0, ()) as circle:
    circle.start()
    circle.links[0].send(repr([flags.pop("--out"), sorted(flags)]).encode())
    try:
        circle.links[0].receive()
    except Ended:
        print("error: rank 0 on here gave up", file=sys.stderr)  # as that says itself
        print("of its own", file=sys.stderr)
"""


@pytest.mark.parametrize("local", [["--local-processes", "2"], ["--local-processes=2"], ["--local_processes", "2"]])
def test_local_processes_are_started_with_the_same_command_line_and_end_with_rank_0(
    local: list[str], tmp_path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "started.py").write_text(STARTED)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{':'.join(filter(None, sys.path))}")
    place = cluster.local(2)
    assert place is not None
    with together(place, "test", LIMIT_S, ["started", *local, "--out", "x y"]) as circle:
        assert circle.place.port > 0
        circle.start()
        assert circle.links[1].receive() == b"['x y', ['--coordinator', '--process-id', '--processes']]"
        circle.end(0)
    assert capfd.readouterr() == ("", "of its own\n")
