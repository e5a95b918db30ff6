"""Messages between a worker and whoever asks it: framed bytes, in one system call each where they are short.

A block's request and answer are plain words and numbers, for they are awaited between measurements, when
every cache is cold: Python's pipes and JSON would take 0.2 ms of their own. All else is JSON. Needs the
standard library only.
"""

from __future__ import annotations

import socket
import struct
from typing import get_args

from bench.measured import Block, Kind

_LENGTH = struct.Struct("!I")
_ENOUGH = 65536
# How often the rest of a message is waited for, on a machine that is busy with other things.
_PATIENCE = 20
BLOCK = b"block "
_KINDS: dict[bytes, Kind] = {kind.encode(): kind for kind in get_args(Kind)}


def send(to: socket.socket, message: bytes) -> None:
    """Writes a message; raises OSError if nobody reads."""
    to.sendall(_LENGTH.pack(len(message)) + message)


def receive(of: socket.socket) -> bytes:
    """Waits for a message, the only one under way; raises EOFError if nobody is left to write one.

    Where the socket has a time limit: BlockingIOError if none has begun by then, and TimeoutError if it doesn't go on.
    """
    data = _read(of)
    (length,) = _LENGTH.unpack_from(data)
    waits = 0
    while len(data) < _LENGTH.size + length:
        try:
            data += _read(of)
        except BlockingIOError:
            if (waits := waits + 1) == _PATIENCE:
                raise TimeoutError from None
    return data[_LENGTH.size :]


def _read(of: socket.socket) -> bytes:
    data = of.recv(_ENOUGH)
    if not data:
        raise EOFError
    return data


def block_request(kind: Kind, steps: int) -> bytes:
    """What asks for a block."""
    return b"%b%b %d" % (BLOCK, kind.encode(), steps)


def requested_block(message: bytes) -> tuple[Kind, int]:
    """The kind and the steps of the block that is asked for."""
    _, name, steps = message.split()
    return _KINDS[name], int(steps)


def block_answer(block: Block) -> bytes:
    """A block, told."""
    told = (block.steps, block.seconds, block.dispatch_s, block.fastest_s)
    return BLOCK + b" ".join([repr(number).encode() for number in told])


def answered_block(message: bytes) -> Block:
    """The block that was told."""
    steps, seconds, dispatch_s, fastest_s = message[len(BLOCK) :].split()
    return Block(int(steps), float(seconds), _number(dispatch_s), _number(fastest_s))


def _number(text: bytes) -> float | None:
    return None if text == b"None" else float(text)
