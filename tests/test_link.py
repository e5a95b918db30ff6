"""A connection between two processes, both ends of which are in this one: messages, the pulse, silence, the end."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from toynet import link
from toynet.errors import ProcessInterrupted, ProcessLost, UsageError
from toynet.link import Ended, Link

LONG_S = 300.0


@pytest.fixture
def ends() -> Iterator[tuple[Link, Link]]:
    ours, theirs = socket.socketpair()
    with closing(Link(ours, "rank 1 on b", LONG_S)) as near, closing(Link(theirs, "rank 0 on a", LONG_S)) as far:
        near.start()
        far.start()
        yield near, far


@pytest.fixture
def raw() -> Iterator[tuple[Link, socket.socket]]:
    """A link that is soon impatient, and what isn't one at its other end."""
    ours, theirs = socket.socketpair()
    with theirs, closing(Link(ours, "rank 1 on b", 0.05)) as near:
        yield near, theirs


def test_messages_come_whole_and_in_their_order(ends: tuple[Link, Link]) -> None:
    near, far = ends
    sent = [b"", b"\0 \n", bytes(range(256)), b"x" * 2**21, b"last"]  # the fourth is more than a socket takes at once
    for message in sent:
        near.send(message)
        near.pulse()
    assert [far.receive() for _ in sent] == sent
    far.send(b"back")
    assert near.receive() == b"back"


def test_messages_of_several_threads_are_not_mixed(ends: tuple[Link, Link]) -> None:
    near, far = ends
    sent = [bytes([letter]) * 2**17 for letter in b"abcdefgh"]
    threads = [threading.Thread(target=near.send, args=(message,)) for message in sent]
    for thread in threads:
        thread.start()
    assert sorted(far.receive() for _ in sent) == sent
    for thread in threads:
        thread.join()


def test_a_listener_takes_messages_as_they_come() -> None:
    ours, theirs = socket.socketpair()
    heard: list[bytes] = []
    with closing(Link(ours, "rank 1 on b", LONG_S)) as near, closing(Link(theirs, "rank 0 on a", LONG_S)) as far:
        far.listener = heard.append
        near.send(b"before it reads")
        far.start()
        near.send(b"then")
        near.end(0)
        with pytest.raises(Ended):
            far.receive()
    assert heard == [b"before it reads", b"then"]


@pytest.mark.parametrize("status", [0, 4, 130])
def test_the_end_comes_after_what_was_sent_and_with_its_status(ends: tuple[Link, Link], status: int) -> None:
    near, far = ends
    near.send(b"before")
    near.end(status)
    assert far.receive() == b"before"
    for _ in range(2):  # whoever asks again hears the same
        with pytest.raises(Ended) as ended:
            far.receive()
        assert ended.value.args == (status,)


@pytest.mark.parametrize("error", [ProcessLost, ProcessInterrupted, UsageError])
def test_what_ends_one_process_is_raised_in_the_other(ends: tuple[Link, Link], error: type[Exception]) -> None:
    near, far = ends
    near.fail(error("rank 2 on c: 42 °C"))
    with pytest.raises(error, match=r"^rank 2 on c: 42 °C$") as raised:
        far.receive()
    assert type(raised.value) is error
    assert far.lost is raised.value


def test_a_process_that_goes_is_lost(ends: tuple[Link, Link]) -> None:
    near, far = ends
    far.close()
    with pytest.raises(ProcessLost, match=r"^rank 1 on b has ended$"):
        near.receive()
    near.send(b"to nobody")  # is no error: that it is lost shows where an answer is awaited
    near.pulse()
    assert near.gone()


def test_a_process_that_is_there_is_not_gone() -> None:
    ours, theirs = socket.socketpair()
    with closing(Link(ours, "rank 1 on b", LONG_S)) as near, closing(Link(theirs, "rank 0 on a", LONG_S)) as far:
        assert not near.gone()
        far.send(b"something")
        assert not near.gone()
        near.start()
        assert near.receive() == b"something"


def test_silence_is_a_loss_and_names_who_is_silent(raw: tuple[Link, socket.socket]) -> None:
    near, _ = raw
    near.start()
    with pytest.raises(ProcessLost, match=r"^rank 1 on b gave no sign of life for 0\.05 s$"):
        near.receive()


def test_a_pulse_is_a_sign_of_life_in_the_middle_of_nothing(raw: tuple[Link, socket.socket]) -> None:
    near, theirs = raw
    for _ in range(3):
        link.tell(theirs, link.PULSE)
    link.tell(theirs, link.MESSAGE, b"at last")
    near.start()
    assert near.receive() == b"at last"


def test_a_process_that_takes_nothing_in_is_lost_and_nothing_waits_for_it_again(
    raw: tuple[Link, socket.socket],
) -> None:
    near, _ = raw
    near.send(b"x" * 2**22)
    assert str(near.lost) == "rank 1 on b took nothing in for 0.05 s"
    near.send(b"x" * 2**22)
    near.pulse()
    near.start()
    with pytest.raises(ProcessLost, match="took nothing in"):
        near.receive()


@pytest.mark.parametrize(
    "bytes_",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack("!IB", link.LARGEST + 1, link.MESSAGE),
        struct.pack("!IB", 0, 99),
        struct.pack("!IB", 3, link.END) + b"not",
    ],
)
def test_what_is_no_message_is_a_loss_and_not_waited_for(raw: tuple[Link, socket.socket], bytes_: bytes) -> None:
    near, theirs = raw
    theirs.sendall(bytes_)
    near.start()
    with pytest.raises(ProcessLost, match=r"^rank 1 on b sent what can't be understood: "):
        near.receive()


def test_a_message_that_is_cut_off_is_a_loss(raw: tuple[Link, socket.socket]) -> None:
    near, theirs = raw
    theirs.sendall(struct.pack("!IB", 10, link.MESSAGE) + b"half")
    theirs.shutdown(socket.SHUT_WR)
    near.start()
    with pytest.raises(ProcessLost, match=r"^rank 1 on b has ended$"):
        near.receive()
