"""A connection to another process of a command: messages in their order, and the pulse of both."""

from __future__ import annotations

import contextlib
import queue
import select
import socket
import struct
import threading
from collections.abc import Callable

from toynet.errors import ProcessInterrupted, ProcessLost, UsageError

# At most; it is a quarter of the silence after which a process is lost, if that is less.
PULSE_S = 1.0
# No message is larger: what comes from elsewhere isn't waited for.
LARGEST = 2**28
PULSE, HELLO, MESSAGE, END, LOST, INTERRUPTED, UNUSABLE = range(7)
# What the other process is told to raise, the most particular first.
_RAISED: dict[int, type[Exception]] = {INTERRUPTED: ProcessInterrupted, LOST: ProcessLost, UNUSABLE: UsageError}
_HEAD = struct.Struct("!IB")
# How long what reads may take to notice that it is to end.
_ENDING_S = 5.0


class Ended(Exception):
    """Rank 0 is done; the only argument is its exit status."""


class Link:
    """A connection to another process."""

    def __init__(self, connection: socket.socket, who: str, silence_s: float) -> None:
        """`who` names the other process in what is said of it; after `silence_s` without a pulse it is lost."""
        self.who = who
        self.lost: Exception | None = None
        """Why nothing comes any more: it is what is to be raised."""
        self.listener: Callable[[bytes], None] | None = None
        """What takes messages, in a thread of its own; None: they are kept for `receive`."""
        self._connection = connection
        self._connection.settimeout(silence_s)
        self.silence_s = silence_s
        self._sending = threading.Lock()
        self._inbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)

    def start(self) -> None:
        """Begins to read; whoever listens has to be named before."""
        self._reader.start()

    def send(self, message: bytes) -> None:
        """Sends it; that the other is lost shows in `lost`."""
        self._send(MESSAGE, message)

    def pulse(self) -> None:
        """Says that this process is alive, unless other things are on their way, which say so, too."""
        if not self._sending.locked() and select.select([], [self._connection], [], 0)[1]:
            self._send(PULSE)

    def end(self, status: int) -> None:
        """Tells the other that all is done, and with which exit status."""
        self._send(END, str(status).encode())

    def fail(self, error: Exception) -> None:
        """Tells the other that all is over, and what it is to raise."""
        self._send(next(kind for kind, raised in _RAISED.items() if isinstance(error, raised)), str(error).encode())

    def gone(self) -> bool:
        """Whether the other has ended, before anything is read from it."""
        if not select.select([self._connection], [], [], 0)[0]:
            return False
        try:
            return not self._connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def receive(self) -> bytes:
        """The next message; raises what ended the other if there will be none, and Ended where rank 0 is done."""
        message = self._inbox.get()
        if message is None:
            self._inbox.put(None)  # for whoever asks again
            assert self.lost is not None
            raise self.lost
        return message

    def close(self) -> None:
        """Ends the connection, and waits until nothing reads from it."""
        self._shut()
        if self._reader.is_alive():
            self._reader.join(_ENDING_S)
        self._connection.close()

    def _send(self, kind: int, message: bytes = b"") -> None:
        with self._sending:
            try:
                tell(self._connection, kind, message)
            except TimeoutError:  # a part of it may be on its way, behind which nothing would be understood
                self._lose(ProcessLost(f"{self.who} took nothing in for {self.silence_s:g} s"))
                self._shut()
            except OSError:
                pass

    def _read(self) -> None:
        try:
            while True:
                kind, message = received(self._connection)
                if kind == MESSAGE:
                    (self.listener or self._inbox.put)(message)
                elif kind == END:
                    raise Ended(int(message))
                elif kind in _RAISED:
                    raise _RAISED[kind](message.decode(errors="replace"))
        except TimeoutError:
            self._lose(ProcessLost(f"{self.who} gave no sign of life for {self.silence_s:g} s"))
        except (EOFError, OSError):
            self._lose(ProcessLost(f"{self.who} has ended"))
        except (Ended, ProcessLost, UsageError) as over:
            self._lose(over)
        except (ValueError, LookupError) as error:
            self._lose(ProcessLost(f"{self.who} sent what can't be understood: {error}"))
        self._inbox.put(None)

    def _lose(self, why: Exception) -> None:
        if self.lost is None:
            self.lost = why

    def _shut(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)


def pulse_s(silence_s: float) -> float:
    """Seconds between two pulses where so long a silence is a loss."""
    return min(PULSE_S, silence_s / 4)


def tell(connection: socket.socket, kind: int, message: bytes = b"") -> None:
    """Sends a message of that kind."""
    connection.sendall(_HEAD.pack(len(message), kind) + message)


def received(connection: socket.socket) -> tuple[int, bytes]:
    """A message and its kind; raises EOFError at the end of them, TimeoutError if none comes, ValueError for no such
    thing."""
    size, kind = _checked(_exactly(connection, _HEAD.size), LARGEST)
    return kind, _exactly(connection, size)


def whole(data: bytes, at_most: int) -> tuple[int, bytes] | None:
    """The message that so many bytes are, and its kind; None if it isn't whole yet. Raises ValueError for no such
    thing."""
    if len(data) < _HEAD.size:
        return None
    size, kind = _checked(data[: _HEAD.size], at_most)
    message = data[_HEAD.size :][:size]
    return (kind, message) if len(message) == size else None


def _checked(head: bytes, at_most: int) -> tuple[int, int]:
    size, kind = _HEAD.unpack(head)
    if size > at_most or kind > UNUSABLE:
        raise ValueError(f"{head!r} is no beginning of a message")
    return size, kind


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        if not (more := connection.recv(min(size - len(data), 2**16))):
            raise EOFError
        data += more
    return bytes(data)
