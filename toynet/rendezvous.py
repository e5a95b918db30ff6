"""The processes of one command, found and kept in touch: each has a connection to rank 0, and a pulse on it.

Nothing here knows JAX. A process that ends, or gives no pulse for half of the time limit, is lost, and with it the
command: all others are told so, and by whom. Nothing is encrypted, and nobody proves who they are, as with JAX's own
coordination service: it's for networks whose machines trust each other.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import queue
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from toynet.cluster import LOOPBACK, Place, check_alike, facts
from toynet.errors import ProcessLost

PULSE_S = 1.0
# Between two tries to reach rank 0, which may come later.
AGAIN_S = 0.2
# What connects says who it is at once; others that find the port are sent away.
HELLO_S = 5.0
GREETING = "toynet 1"
# A process that was told that all is over ends within that time.
ENDING_S = 10.0
_LENGTH = struct.Struct("!IB")
_PULSE, _MESSAGE, _END, _LOST = range(4)
# No message is larger: what comes from elsewhere isn't waited for.
LARGEST = 2**28


class Ended(Exception):
    """Rank 0 is done; the only argument is its exit status."""


class Link:
    """A connection to another process: messages in order, and the pulse of both."""

    def __init__(self, connection: socket.socket, who: str, silence_s: float) -> None:
        """`who` names the other process in what is said of it."""
        self.who = who
        self.lost: Exception | None = None
        """Why nothing comes any more."""
        self.listener: Callable[[bytes], None] | None = None
        """What takes messages, in a thread of its own; None: they are kept for `receive`."""
        self._connection = connection
        self._connection.settimeout(silence_s)
        self._silence_s = silence_s
        self._sending = threading.Lock()
        self._inbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)

    def start(self) -> None:
        """Begins to read; whoever listens has to be named before."""
        self._reader.start()

    def send(self, message: bytes) -> None:
        """Sends it, unless the other is lost, which shows when an answer is awaited."""
        self._send(_MESSAGE, message)

    def pulse(self) -> None:
        """Says that this process is alive."""
        self._send(_PULSE)

    def end(self, status: int) -> None:
        """Tells the other that all is done, and with which exit status."""
        self._send(_END, str(status).encode())

    def fail(self, why: str) -> None:
        """Tells the other that all is over, and why: a sentence that names who is lost."""
        self._send(_LOST, why.encode())

    def _send(self, kind: int, message: bytes = b"") -> None:
        with self._sending, contextlib.suppress(OSError):
            self._connection.sendall(_LENGTH.pack(len(message), kind) + message)

    def receive(self) -> bytes:
        """The next message; raises ProcessLost if there will be none, and Ended where rank 0 is done."""
        message = self._inbox.get()
        if message is None:
            self._inbox.put(None)  # for whoever asks again
            assert self.lost is not None
            raise self.lost
        return message

    def close(self) -> None:
        """Ends the connection, and waits until nothing reads from it."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        if self._reader.is_alive() and self._reader is not threading.current_thread():
            self._reader.join(HELLO_S)
        self._connection.close()

    def _read(self) -> None:
        try:
            while True:
                kind, message = _received(self._connection)
                if kind == _MESSAGE:
                    (self.listener or self._inbox.put)(message)
                elif kind == _END:
                    raise Ended(int(message))
                elif kind == _LOST:
                    raise ProcessLost(message.decode(errors="replace"))
        except TimeoutError:
            self.lost = ProcessLost(f"{self.who} gave no sign of life for {self._silence_s:g} s")
        except (EOFError, OSError):
            self.lost = ProcessLost(f"{self.who} has ended")
        except (ProcessLost, Ended) as over:
            self.lost = over
        self._inbox.put(None)


class Circle:
    """All processes of a command, as one of them sees them: rank 0 has a link to each, the others one to rank 0."""

    def __init__(self, place: Place, everyone: Sequence[Mapping[str, Any]], links: Mapping[int, Link]) -> None:
        """`everyone`: the facts of each process, by rank. The links begin to read when they are started."""
        self.place = place
        self.everyone = tuple(everyone)
        self.links = dict(links)
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
        """Raises ProcessLost if one of the others is lost; all that are left are told so before."""
        for link in self.links.values():
            if isinstance(link.lost, ProcessLost):
                self.fail(str(link.lost))
                raise link.lost

    def fail(self, why: str) -> None:
        """Tells everyone that all is over."""
        for link in self.links.values():
            link.fail(why)

    def end(self, status: int) -> None:
        """Tells everyone that all is done."""
        for link in self.links.values():
            link.end(status)

    def close(self) -> None:
        """Lets go of everyone."""
        self._over.set()
        self._heart.join(HELLO_S)
        for link in self.links.values():
            link.close()

    def _beat(self) -> None:
        while not self._over.wait(PULSE_S):
            for link in self.links.values():
                link.pulse()


@contextlib.contextmanager
def together(place: Place, what: str, limit_s: float, command: Sequence[str]) -> Iterator[Circle]:
    """All processes that run `what`, until the block ends; what ends it early ends the others, too.

    For `--local-processes`, rank 0 starts them by itself: by this interpreter, the module and arguments `command`.

    Raises ProcessLost, which names who didn't come, and UsageError if they don't run the same versions.
    """
    with contextlib.ExitStack() as stack:
        server = None
        if place.port == 0:
            server = stack.enter_context(listening(place))
            place = dataclasses.replace(place, port=server.getsockname()[1])
            stack.enter_context(_others(place, command))
        circle = stack.enter_context(contextlib.closing(gathered(place, what, limit_s, server)))
        check_alike(circle.everyone)
        try:
            yield circle
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                circle.check()  # a launcher that lost a process stops the others: the loss is what is to be said
            why = str(error) or type(error).__name__
            circle.fail(why if isinstance(error, ProcessLost) else f"{circle.who(circle.rank)} gave up: {why}")
            raise


@contextlib.contextmanager
def _others(place: Place, command: Sequence[str]) -> Iterator[None]:
    """The other processes on this machine, which have ended when the block does."""
    arguments, rest = [], list(command)
    while rest:
        flag = rest.pop(0)
        if flag.replace("_", "-") == "--local-processes":
            rest.pop(0)
        elif not flag.replace("_", "-").startswith("--local-processes="):
            arguments.append(flag)
    joined = ["--coordinator", place.address, "--processes", str(place.count)]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", *arguments, *joined, "--process-id", str(rank)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        for rank in range(1, place.count)
    ]
    try:
        yield
    finally:
        for process in started:
            try:
                process.wait(ENDING_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def named(rank: int, host: str) -> str:
    """How a process is called in what is said of it."""
    return f"rank {rank} on {host}"


def listening(place: Place) -> socket.socket:
    """Where rank 0 waits for the others; raises ProcessLost, for the others wait in vain, if the port is taken."""
    loopback = place.host in (LOOPBACK, "localhost", "::1")
    family = socket.AF_INET if loopback or not socket.has_dualstack_ipv6() else socket.AF_INET6
    try:
        return socket.create_server(
            (LOOPBACK if loopback else "", place.port),
            family=family,
            backlog=place.count,
            dualstack_ipv6=family == socket.AF_INET6,
        )
    except OSError as error:
        raise ProcessLost(
            f"{named(0, socket.gethostname())} can't wait for the others at port {place.port}: {error.strerror}; "
            "name another by --coordinator, or by JAX_COORDINATOR_PORT for --distributed auto"
        ) from None


def gathered(place: Place, what: str, limit_s: float, server: socket.socket | None = None) -> Circle:
    """All processes of the command `what`, within so many seconds; rank 0 may listen already (`server`).

    Raises ProcessLost, which names who didn't come, and UsageError if they don't run the same.
    """
    own = {**facts(), "what": what}
    until = time.monotonic() + limit_s
    if place.rank == 0:
        with server or listening(place) as waiting:
            return _welcomed(place, own, waiting, limit_s, until)
    return _arrived(place, own, limit_s, until)


def _welcomed(place: Place, own: dict[str, Any], server: socket.socket, limit_s: float, until: float) -> Circle:
    """Rank 0: waits for all others, and tells each who there is."""
    came: dict[int, tuple[socket.socket, dict[str, Any]]] = {}
    arrivals: queue.SimpleQueue[tuple[socket.socket, dict[str, Any]]] = queue.SimpleQueue()
    threading.Thread(target=_greet_all, args=(server, arrivals), daemon=True).start()
    while len(came) < place.count - 1:
        try:
            connection, hello = arrivals.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            why = _missing(place, own["host"], came, limit_s)
            for waiting, _ in came.values():
                _tell(waiting, _LOST, why)
            raise ProcessLost(why) from None
        if refused := _refused(place, own, came, hello):
            _tell(connection, _LOST, refused)
        else:
            came[hello["rank"]] = connection, hello
    everyone = [own, *(came[rank][1] for rank in range(1, place.count))]
    for connection, _ in came.values():
        _tell(connection, _MESSAGE, json.dumps(everyone))
    links = {rank: Link(c, named(rank, hello["host"]), limit_s / 2) for rank, (c, hello) in came.items()}
    return Circle(place, everyone, links)


def _greet_all(server: socket.socket, arrivals: queue.SimpleQueue[tuple[socket.socket, dict[str, Any]]]) -> None:
    """Until the server is closed, takes whoever says hello as the processes of a command do."""

    def greet(connection: socket.socket) -> None:
        connection.settimeout(HELLO_S)
        try:
            hello = json.loads(_received(connection)[1])
            if hello.pop("greeting") == GREETING and isinstance(hello["rank"], int):
                arrivals.put((connection, hello))
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError):
            connection.close()

    server.settimeout(AGAIN_S)  # nothing else wakes it when the server is closed
    while server.fileno() >= 0:
        with contextlib.suppress(OSError):
            threading.Thread(target=greet, args=(server.accept()[0],), daemon=True).start()


def _missing(place: Place, host: str, came: Mapping[int, Any], limit_s: float) -> str:
    absent = [str(rank) for rank in range(1, place.count) if rank not in came]
    here = ", ".join([named(0, host), *(named(rank, came[rank][1]["host"]) for rank in sorted(came))])
    return (
        f"rank {' and '.join(absent)} of {place.count} never came to {place.address} within {limit_s:g} s; "
        f"there were: {here}"
    )


def _refused(place: Place, own: Mapping[str, Any], came: Mapping[int, Any], hello: Mapping[str, Any]) -> str:
    """Why a process that says hello isn't one of these; empty if it is."""
    who = named(hello["rank"], hello.get("host", "?"))
    if hello.get("count") != place.count:
        return f"{who} counts {hello.get('count')} processes, and rank 0 {place.count}; tell all the same --processes"
    if hello["rank"] in came or not 0 < hello["rank"] < place.count:
        return f"{who} came twice; give each process a --process-id of its own"
    if hello.get("what") != own["what"]:
        return f"{who} runs {hello.get('what')}, and rank 0 {own['what']}; start the same command everywhere"
    return ""


def _arrived(place: Place, own: dict[str, Any], limit_s: float, until: float) -> Circle:
    """Another rank: says hello to rank 0, as soon as it is there, and learns who there is."""
    nobody = ProcessLost(f"rank 0 never answered at {place.address} within {limit_s:g} s")
    connection = _connected(place, until)
    if connection is None:
        raise nobody
    try:
        _tell(connection, _MESSAGE, json.dumps({**own, "greeting": GREETING, "rank": place.rank, "count": place.count}))
        connection.settimeout(max(0.1, until - time.monotonic()))
        kind, answer = _received(connection)
        if kind == _LOST:
            raise ProcessLost(answer.decode(errors="replace"))
        everyone = json.loads(answer)
        host = everyone[0]["host"]
    except (OSError, EOFError, ValueError, LookupError, TypeError):
        connection.close()
        raise nobody from None
    return Circle(place, everyone, {0: Link(connection, named(0, host), limit_s / 2)})


def _connected(place: Place, until: float) -> socket.socket | None:
    while (left := until - time.monotonic()) > 0:
        try:
            return socket.create_connection((place.host, place.port), timeout=left)
        except OSError:
            time.sleep(min(AGAIN_S, left))
    return None


def _tell(connection: socket.socket, kind: int, message: str) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(_LENGTH.pack(len(message.encode()), kind) + message.encode())


def _received(connection: socket.socket) -> tuple[int, bytes]:
    """One message; raises EOFError at the end of them, TimeoutError if none comes, ValueError for what is none."""
    length, kind = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    if length > LARGEST:
        raise EOFError
    return kind, _exactly(connection, length)


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        if not (more := connection.recv(min(size - len(data), 2**16))):
            raise EOFError
        data += more
    return bytes(data)
