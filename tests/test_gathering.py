"""How processes find each other, each a thread of this process, on loopback."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from toynet import door, gathering, link
from toynet.cluster import Place
from toynet.errors import ProcessLost, UsageError
from toynet.facts import Facts
from toynet.gathering import gathered, listening
from toynet.link import Link

HOST = socket.gethostname()
LIMIT_S = 20.0
SOON_S = 0.4
Gathered = tuple[list[Facts], dict[int, Link]]


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with listening(Place("127.0.0.1", 0, 3, 0)) as waiting:
        yield waiting


@pytest.fixture
def come(server: socket.socket) -> Iterator[Callable[..., Future[Gathered]]]:
    """Lets a process of three come, and gives what it will have gathered."""
    port = server.getsockname()[1]
    found: list[Future[Gathered]] = []

    def coming(
        rank: int, count: int = 3, limit_s: float = LIMIT_S, what: str = "test", **flags: str
    ) -> Future[Gathered]:
        listens = server if rank == 0 else None
        place = Place("127.0.0.1", port, count, rank)
        found.append(pool.submit(gathered, place, what, limit_s, listens, flags))
        return found[-1]

    with ThreadPoolExecutor(8) as pool:
        yield coming
    for one in found:
        if one.exception() is None:
            for each in one.result()[1].values():
                each.close()


def test_three_processes_find_each_other_in_whatever_order_they_come(come: Callable[..., Future[Gathered]]) -> None:
    later = come(2)
    later_still = come(1)
    everyone, links = come(0).result()
    assert [one["host"] for one in everyone] == [HOST] * 3
    assert all(one["what"] == "test" for one in everyone)
    assert list(links) == [1, 2]
    assert [links[rank].who for rank in links] == [f"rank 1 on {HOST}", f"rank 2 on {HOST}"]
    for rank, process in ((1, later_still), (2, later)):
        told, to_first = process.result()
        assert [{**one, "flags": {}} for one in told] == [
            {key: one[key] for key in told[i]} | {"flags": {}} for i, one in enumerate(everyone)
        ]
        assert {number: one.who for number, one in to_first.items()} == {0: f"rank 0 on {HOST}"}
        links[rank].send(b"%d" % rank)
        to_first[0].start()
        assert to_first[0].receive() == b"%d" % rank


def test_rank_0_may_come_last(come: Callable[..., Future[Gathered]], server: socket.socket) -> None:
    port = server.getsockname()[1]
    server.close()
    others = [come(1), come(2)]
    time.sleep(0.05)  # they find nobody, and try again
    with listening(Place("127.0.0.1", port, 3, 0)) as later:
        _, links = gathered(Place("127.0.0.1", port, 3, 0), "test", LIMIT_S, later)
    assert all(len(other.result()[0]) == 3 for other in others)
    for one in links.values():
        one.close()


def test_a_rank_that_never_comes_is_named_to_all_that_are_there(come: Callable[..., Future[Gathered]]) -> None:
    there = come(2)
    first = come(0, limit_s=SOON_S)
    said = rf"rank 1 of 3 never came to 127\.0\.0\.1:\d+ within 0\.4 s; there were: rank 0 on {HOST}, rank 2 on {HOST}$"
    for process in (first, there):
        with pytest.raises(ProcessLost, match=said):
            process.result()


def test_several_that_never_come_are_named(come: Callable[..., Future[Gathered]]) -> None:
    with pytest.raises(ProcessLost, match=r"rank 1 and 2 of 3 never came .*; there were: rank 0 on"):
        come(0, limit_s=0.05).result()


def test_rank_0_that_is_not_there_is_told_after_the_time_limit(server: socket.socket) -> None:
    port = server.getsockname()[1]
    server.close()
    with pytest.raises(ProcessLost, match=rf"rank 0 never answered at 127\.0\.0\.1:{port} within 0\.05 s"):
        gathered(Place("127.0.0.1", port, 2, 1), "test", 0.05)


def test_a_host_that_lets_nothing_through_yet_is_asked_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    def connected(_: object, timeout: float) -> socket.socket:
        waited.append(timeout)
        raise TimeoutError(0, "timed out")

    monkeypatch.setattr(gathering, "AGAIN_S", 0.0)
    monkeypatch.setattr(socket, "create_connection", connected)
    with pytest.raises(TimeoutError):
        gathering._connected(Place("127.0.0.1", 1, 2, 1), 600.0)
    assert waited == [gathering.TRY_S]


def test_a_port_that_is_taken_is_told_with_what_to_do(server: socket.socket) -> None:
    port = server.getsockname()[1]
    said = rf"^rank 0 on {HOST} can't wait for the others at port {port}: Address already in use; name another by --coo"
    with pytest.raises(ProcessLost, match=said):
        listening(Place("127.0.0.1", port, 2, 0))


def test_beyond_loopback_both_families_are_listened_to() -> None:
    with listening(Place("node1", 0, 2, 0)) as waiting:
        port = waiting.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), 5).close()
        if socket.has_dualstack_ipv6():
            socket.create_connection(("::1", port), 5).close()


STRANGERS = [
    b"",
    b"GET / HTTP/1.1\r\nHost: node1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    struct.pack("!IB", 4, link.HELLO) + b"null",
    struct.pack("!IB", 2, link.HELLO) + b"{}",
    struct.pack("!IB", 2**31, link.HELLO),
    struct.pack("!IB", 9, link.MESSAGE) + b'{"rank":1',
]


def test_strangers_at_the_port_keep_nobody_waiting(
    come: Callable[..., Future[Gathered]], server: socket.socket
) -> None:
    first = come(0)
    with contextlib.ExitStack() as stack:
        for said in STRANGERS:
            stranger = stack.enter_context(socket.create_connection(server.getsockname(), 5))
            stranger.sendall(said)  # and stays on the line
        others = [come(1), come(2)]
        assert len(first.result()[0]) == 3
        assert all(len(other.result()[1]) == 1 for other in others)


def test_a_stranger_that_says_nothing_is_sent_away(
    come: Callable[..., Future[Gathered]], server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "HELLO_S", 0.02)
    monkeypatch.setattr("toynet.link.PULSE_S", 0.02)
    with socket.create_connection(server.getsockname(), LIMIT_S) as stranger:
        first = come(0)
        assert stranger.recv(1) == b""
        come(1)
        come(2)
        assert len(first.result()[0]) == 3


def test_a_rank_that_comes_twice_is_sent_away_and_the_first_counts(come: Callable[..., Future[Gathered]]) -> None:
    first, one, again = come(0), come(1), come(1)
    failed = next(which for which in _ended(one, again))
    with pytest.raises(UsageError, match=f"rank 1 on {HOST} came twice; give each process a --process-id of its own"):
        failed.result()
    come(2)
    assert len(first.result()[0]) == 3


def _ended(*futures: Future[Gathered]) -> Iterator[Future[Gathered]]:
    while True:
        yield from (future for future in futures if future.done())
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("differs", "said"),
    [
        ({"count": 4}, f"rank 1 on {HOST} counts 4 processes, and rank 0 on {HOST} 3; tell all the same --processes"),
        ({"what": "other"}, f"rank 1 on {HOST} runs other, and rank 0 on {HOST} test; start the same command every"),
        ({"modes": "single"}, f"rank 1 on {HOST} has single for --modes, and rank 0 on {HOST} the default; give"),
    ],
)
def test_processes_that_do_not_run_the_same_are_refused_on_all_ranks(
    come: Callable[..., Future[Gathered]], differs: dict[str, Any], said: str
) -> None:
    for process in (come(0), come(1, **differs)):
        with pytest.raises(UsageError, match=said):
            process.result()


def test_another_version_of_toynet_is_refused(come: Callable[..., Future[Gathered]], server: socket.socket) -> None:
    first = come(0)
    with socket.create_connection(server.getsockname(), 5) as older:
        link.tell(older, link.HELLO, b'{"greeting": "toynet 0", "rank": 1, "host": "b"}')
        assert link.received(older)[0] == link.UNUSABLE
    with pytest.raises(UsageError, match=f"rank 1 on b has another version of toynet than rank 0 on {HOST}; install"):
        first.result()


def test_another_program_at_the_address_of_rank_0_is_told(server: socket.socket) -> None:
    def answer() -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.recv(2**16)

    thread = threading.Thread(target=answer)
    thread.start()
    with pytest.raises(ProcessLost, match=r"127\.0\.0\.1:\d+ is another program's, and not rank 0's"):
        gathered(Place("127.0.0.1", server.getsockname()[1], 2, 1), "test", LIMIT_S)
    thread.join()


def test_a_rank_that_came_and_went_may_come_again(come: Callable[..., Future[Gathered]], server: socket.socket) -> None:
    first = come(0)
    with socket.create_connection(server.getsockname(), 5) as early:
        said = b'{"greeting": "toynet 1", "rank": 1, "count": 3, "what": "test", "host": "b", "flags": {}}'
        link.tell(early, link.HELLO, said)
        assert link.received(early)[0] == link.PULSE  # it is counted
    again, other = come(1), come(2)
    everyone, _ = first.result()
    assert everyone[1]["host"] == HOST
    assert len(again.result()[0]) == len(other.result()[0]) == 3
