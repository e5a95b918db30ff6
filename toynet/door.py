"""Who comes to rank 0: heard out while nobody else is kept waiting, and held against what runs there."""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import time

from toynet.cluster import Place
from toynet.facts import Facts, named
from toynet.link import HELLO, whole

# What connects says who it is at once; others that find the port are sent away.
HELLO_S = 5.0
HELLO_BYTES = 2**16
GREETING = "toynet 1"


class Door:
    """Takes whoever says hello as the processes of a command do, and lets nobody else keep it waiting."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self._server.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(server, selectors.EVENT_READ)
        self._waiting: dict[socket.socket, tuple[float, bytearray]] = {}

    def arrivals(self, wait_s: float) -> list[tuple[socket.socket, Facts]]:
        """Who said hello within so many seconds: the connection, and what it says of itself."""
        found = []
        for key, _ in self._selector.select(wait_s):
            connection: socket.socket | None = key.data
            if connection is None:
                self._open()
            elif (hello := self._heard(connection)) is not None:
                self._selector.unregister(connection)
                del self._waiting[connection]
                found.append((connection, hello))
        for connection, (until, _) in list(self._waiting.items()):
            if time.monotonic() > until:
                self._dismiss(connection)
        return found

    def _open(self) -> None:
        with contextlib.suppress(OSError):  # who has left again
            connection, _ = self._server.accept()
            connection.setblocking(False)
            self._selector.register(connection, selectors.EVENT_READ, connection)
            self._waiting[connection] = time.monotonic() + HELLO_S, bytearray()

    def _heard(self, connection: socket.socket) -> Facts | None:
        """Its hello, if that is whole now."""
        data = self._waiting[connection][1]
        try:
            if not (more := connection.recv(HELLO_BYTES)):
                raise EOFError
            data += more
            if (message := whole(bytes(data), HELLO_BYTES)) is None:
                return None
            hello = json.loads(message[1])
            if message[0] == HELLO and str(hello["greeting"]).startswith("toynet ") and hello["rank"] > 0:
                return {"host": "?", "what": "?", "count": "?", "flags": {}} | hello
        except (OSError, EOFError, ValueError, LookupError, TypeError):
            pass
        self._dismiss(connection)
        return None

    def _dismiss(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        del self._waiting[connection]
        connection.close()

    def close(self) -> None:
        """Sends away all that have said nothing."""
        for connection in list(self._waiting):
            self._dismiss(connection)
        self._selector.close()


def unlike(place: Place, own: Facts, who: str, hello: Facts) -> str:
    """How a process that says hello isn't one of these; empty if it is."""
    first = named(0, own["host"])
    if hello["greeting"] != GREETING:
        return f"{who} has another version of toynet than {first}; install the same versions everywhere."
    if hello["count"] != place.count:
        return f"{who} counts {hello['count']} processes, and {first} {place.count}; tell all the same --processes."
    if hello["what"] != own["what"]:
        return f"{who} runs {hello['what']}, and {first} {own['what']}; start the same command everywhere."
    for name in sorted({**own["flags"], **hello["flags"]}):
        theirs, ours = (one["flags"].get(name) for one in (hello, own))
        if theirs != ours:
            return (
                f"{who} has {theirs or 'the default'} for --{name}, and {first} {ours or 'the default'}; give all the "
                "same command line."
            )
    return ""
