"""What a link between two hosts really does: latency and bandwidth of a TCP connection over it, at their best.

python probe.py serve PORT              answers one who measures, then ends
python probe.py measure ADDRESS PORT    prints: one-way latency in seconds, payload in bits per second
"""

from __future__ import annotations

import socket
import sys
import time

PINGS = 50
TRANSFERS = 3
# A fifth of a second of 100 Mbit/s.
BYTES = 2_500_000


def serve(port: str) -> None:
    with socket.create_server(("", int(port))) as listening:
        print("ready", flush=True)
        connection, _ = listening.accept()
    with connection:
        for size in (1,) * PINGS + (BYTES,) * TRANSFERS:
            received(connection, size)
            connection.sendall(b"!")


def measure(address: str, port: str) -> None:
    with socket.create_connection((address, int(port)), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        there_and_back_s = min(asked(connection, b"?") for _ in range(PINGS))
        whole_s = min(asked(connection, bytes(BYTES)) for _ in range(TRANSFERS))
    print(there_and_back_s / 2, BYTES * 8 / (whole_s - there_and_back_s))


def asked(connection: socket.socket, question: bytes) -> float:
    """Seconds until one byte comes back."""
    begin = time.perf_counter()
    connection.sendall(question)
    received(connection, 1)
    return time.perf_counter() - begin


def received(connection: socket.socket, size: int) -> None:
    while size:
        got = len(connection.recv(min(size, 2**20)))
        if not got:
            raise ConnectionError(f"the other end left with {size} bytes to go")
        size -= got


if __name__ == "__main__":
    {"serve": serve, "measure": measure}[sys.argv[1]](*sys.argv[2:])
