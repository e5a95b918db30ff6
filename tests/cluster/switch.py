"""A switch of two ports that sends each frame on some time after it came, where the kernel has no netem.

    python switch.py SECONDS BITS_PER_SECOND PORT PORT

A frame is due when its last bit would be: as long after it came as the delay, and the frame at that rate, take. The
rate itself is kept by whoever sends. It says "ready" when it is, and runs until it is ended.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import socket
import struct
import sys
import time
from collections import deque

ALL_PROTOCOLS = 3
SO_TIMESTAMPNS = 35
SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33
BUFFER_BYTES = 2**24
LONGEST_FRAME_BYTES = 2**16 + 64
# Before what runs on the hosts.
PRIORITY = 10
# Waking up takes a virtual machine so long after the time that it was set for.
WAKING_S = 5e-5


def port(name: str) -> socket.socket:
    """Every frame that comes in there, with the kernel's time of it and what is still to do to it (checksums)."""
    found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
    found.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    found.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    for size in (SO_RCVBUFFORCE, SO_SNDBUFFORCE):
        found.setsockopt(socket.SOL_SOCKET, size, BUFFER_BYTES)
    found.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    found.bind((name, 0))
    found.setblocking(False)
    return found


def received(at: socket.socket) -> tuple[float, bytes] | None:
    """When the next frame came, and the frame; None if there is none, or the link is down."""
    try:
        frame, ((_, _, came), *_), _, _ = at.recvmsg(LONGEST_FRAME_BYTES, 64)
    except OSError:
        return None
    seconds, nanoseconds = struct.unpack("qq", came)
    return seconds + nanoseconds * 1e-9, frame


def forward(delay_s: float, bits_per_s: float, ports: tuple[socket.socket, socket.socket]) -> None:
    """For ever."""
    other = {ports[0]: ports[1], ports[1]: ports[0]}
    held: deque[tuple[float, socket.socket, bytes]] = deque()
    while True:
        wait_s = max(held[0][0] - time.time(), 0.0) if held else None
        for at in select.select(ports, [], [], wait_s)[0]:
            while got := received(at):
                came, frame = got
                held.append((came + delay_s + len(frame) * 8 / bits_per_s - WAKING_S, other[at], frame))
        while held and held[0][0] <= time.time():
            _, to, frame = held.popleft()
            with contextlib.suppress(OSError):  # a link that is down takes nothing
                to.send(frame)


def main(delay_s: str, bits_per_s: str, first: str, second: str) -> None:
    gc.disable()
    with contextlib.suppress(PermissionError):  # somewhat later, then, where other processes run
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    ports = port(first), port(second)
    print("ready", flush=True)
    forward(float(delay_s), float(bits_per_s), ports)


if __name__ == "__main__":
    main(*sys.argv[1:])
