"""How the processes of a command find each other: rank 0 listens, and the others come and say who they are.

Nothing is encrypted, and nobody proves who they are, as with JAX's own coordination service: it's for networks whose
machines trust each other.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Mapping
from typing import Any

from toynet import facts
from toynet.cluster import LOOPBACK, Place
from toynet.door import GREETING, Door, unlike
from toynet.errors import ProcessInterrupted, ProcessLost, UsageError
from toynet.facts import Facts, named
from toynet.link import HELLO, LOST, MESSAGE, PULSE, UNUSABLE, Link, pulse_s, received, tell

# Between two tries to reach rank 0, which may come later; where nothing answers at all, as before its network is up, a
# try ends after so long, for the system would wait ever longer before it asks again.
AGAIN_S, TRY_S = 0.2, 5.0


def listening(place: Place) -> socket.socket:
    """Where rank 0 waits for the others; raises ProcessLost, for the others wait in vain, if the port is taken."""
    loopback = place.host == LOOPBACK
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
            f"{named(0, socket.gethostname())} can't wait for the others at port {place.port}: {_said(error)}; "
            "name another by --coordinator, or by JAX_COORDINATOR_PORT for --distributed auto"
        ) from None


def gathered(
    place: Place,
    what: str,
    limit_s: float,
    server: socket.socket | None = None,
    flags: Mapping[str, str] | None = None,
) -> tuple[list[Facts], dict[int, Link]]:
    """Of all processes of the command `what`, within so many seconds: what they say, by rank, and the links to them.

    Rank 0 may listen already (`server`); the others have a link to it alone. `flags` have to be the same everywhere.
    Raises ProcessLost, which names who didn't come, and UsageError if they don't run the same.
    """
    own = {**facts.own(), "what": what, "flags": dict(flags or {})}
    if place.rank == 0:
        with server or listening(place) as waiting:
            return _welcomed(place, own, waiting, limit_s)
    return _arrived(place, own, limit_s)


def _welcomed(place: Place, own: Facts, server: socket.socket, limit_s: float) -> tuple[list[Facts], dict[int, Link]]:
    """Rank 0: waits for all others, and tells each who there is."""
    came: dict[int, tuple[Link, Facts]] = {}
    twice: list[str] = []
    until = time.monotonic() + limit_s
    try:
        with contextlib.closing(Door(server)) as door:
            while len(came) < place.count - 1:
                if time.monotonic() > until:
                    raise ProcessLost(_missing(place, own["host"], came, limit_s) + "".join(twice))
                arrivals = door.arrivals(min(pulse_s(limit_s / 2), max(0.0, until - time.monotonic())))
                for rank, (link, _) in list(came.items()):
                    if link.gone():  # a launcher may have started it once more
                        came.pop(rank)[0].close()
                    else:
                        link.pulse()
                for connection, hello in arrivals:
                    link = Link(connection, named(hello["rank"], hello["host"]), limit_s / 2)
                    if not _let_in(place, own, came, link, hello):
                        twice.append(f"; {link.who} came twice")
        _check_own_name(place, own["host"])
    except BaseException as error:
        for link, _ in came.values():
            link.fail(over(error, named(0, own["host"])))
            link.close()
        raise
    everyone = [own, *(came[rank][1] for rank in range(1, place.count))]
    links = {rank: link for rank, (link, _) in sorted(came.items())}
    for link in links.values():
        link.send(json.dumps(everyone).encode())
    return everyone, links


def over(error: BaseException, who: str) -> Exception:
    """What other processes are to raise where that one fails so."""
    if isinstance(error, ProcessLost):
        return error
    if isinstance(error, KeyboardInterrupt):
        return ProcessInterrupted(f"{who} was interrupted")
    kind = UsageError if isinstance(error, UsageError) else ProcessLost
    return kind(f"{who} gave up: {str(error) or type(error).__name__}")


def _let_in(place: Place, own: Facts, came: dict[int, tuple[Link, Facts]], link: Link, hello: Facts) -> bool:
    """Counts a process in, or sends it away, if that rank is there; raises UsageError if it doesn't run the same."""
    there = hello["rank"] in came
    refused = f"{link.who} came twice; give each process a --process-id of its own."
    if there or (refused := unlike(place, own, link.who, hello)):
        link.fail(UsageError(refused))
        link.close()
        if not there:
            raise UsageError(refused)
    else:
        came[hello["rank"]] = link, hello
    return not there


def _missing(place: Place, host: str, came: Mapping[int, Any], limit_s: float) -> str:
    absent = [str(rank) for rank in range(1, place.count) if rank not in came]
    here = ", ".join([named(0, host), *(named(rank, came[rank][1]["host"]) for rank in sorted(came))])
    elsewhere = "" if _is_here(place.host) else f", which is no address of {host}"
    return (
        f"rank {' and '.join(absent)} of {place.count} never came to {place.address}{elsewhere} within {limit_s:g} s; "
        f"there were: {here}"
    )


def _said(error: OSError) -> str:
    """What the system says, without what Python adds."""
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error) or type(error).__name__
    return os.strerror(error.errno)


def _is_here(host: str) -> bool:
    """Whether a name leads to this machine, as far as that can be told."""
    try:
        for family, kind, _, _, address in socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM):
            with contextlib.suppress(OSError), socket.socket(family, kind) as tried:
                tried.bind(address)
                return True
    except OSError:
        return True
    return False


def _check_own_name(place: Place, host: str) -> None:
    """Raises UsageError where rank 0 doesn't find itself by the name by which its own workers are to find it."""
    try:
        socket.getaddrinfo(place.host, place.port)
    except OSError as error:
        raise UsageError(
            f"{named(0, host)} can't find its own name, {place.host} ({_said(error)}); give its address by "
            "--coordinator."
        ) from None


def _arrived(place: Place, own: Facts, limit_s: float) -> tuple[list[Facts], dict[int, Link]]:
    """Another rank: says hello to rank 0, as soon as it is there, and learns who there is."""
    hello = json.dumps({**own, "greeting": GREETING, "rank": place.rank, "count": place.count}).encode()
    until, why = time.monotonic() + limit_s, ""
    while time.monotonic() < until:
        try:
            connection = _connected(place, until - time.monotonic())
        except OSError as error:
            why = f" ({_said(error)})"
            time.sleep(AGAIN_S)
            continue
        connection.settimeout(limit_s / 2)
        try:
            with contextlib.ExitStack() as undone:
                undone.callback(connection.close)
                tell(connection, HELLO, hello)
                everyone = _answered(connection, place)
                undone.pop_all()
            return everyone, {0: Link(connection, named(0, everyone[0]["host"]), limit_s / 2)}
        except (OSError, EOFError):  # what listens for rank 0 before it is there may let nobody through
            why = " (what listens there says nothing)"
            time.sleep(AGAIN_S)
    raise ProcessLost(f"rank 0 never answered at {place.address} within {limit_s:g} s{why}")


def _answered(connection: socket.socket, place: Place) -> list[Facts]:
    """What rank 0 says of all processes, once they are there; raises ProcessLost, and UsageError, as it says."""
    heard = False
    try:
        while True:
            kind, answer = received(connection)
            if kind == MESSAGE:
                return json.loads(answer)
            if kind == UNUSABLE:
                raise UsageError(answer.decode(errors="replace"))
            if kind != PULSE:
                raise (ProcessLost if kind == LOST else ProcessInterrupted)(answer.decode(errors="replace"))
            heard = True
    except ValueError as error:
        if isinstance(error, UsageError):
            raise
        raise ProcessLost(
            f"{place.address} is another program's, and not rank 0's; name another port by --coordinator, or by "
            "JAX_COORDINATOR_PORT for --distributed auto"
        ) from None
    except (EOFError, OSError) as error:
        if not heard:
            raise
        how = "gave no sign of life" if isinstance(error, TimeoutError) else "has ended"
        raise ProcessLost(f"rank 0 at {place.address} {how} before all processes had come") from None


def _connected(place: Place, left_s: float) -> socket.socket:
    connection = socket.create_connection((place.host, place.port), timeout=min(TRY_S, max(AGAIN_S, left_s)))
    if connection.getsockname() == connection.getpeername():  # on one machine, a port that nobody listens at yet
        connection.close()
        raise ConnectionRefusedError(0, "only itself is there")
    return connection
