"""A process that holds one contender and trains when asked, over a socket of its own.

Standard output and error are left to the libraries, which print. An error ends the process with its
traceback, whose last line stands in the record.
"""

from __future__ import annotations

import socket
import statistics
import sys
import time
from collections.abc import Callable, Mapping

import msgspec

from bench import wire
from bench.peers.contender import Contender, Learned, Took

SEED = 42
# That it is judged by, at least: a seed in eight ends at 0.76 instead of 0.99, so few of them are luck, too.
SEEDS = 32
# A block has at least so many seconds; what is shorter is trained again and again.
BLOCK_S = 0.02
# The first training compiles, and the next may still be slow; not where that takes long.
WARM_S = 2.0

PREPARE, JUDGE, BLOCK = b"prepare", b"judge", b"block"


def warmed(contender: Contender) -> Contender:
    """After a training, or two."""
    began = time.perf_counter()
    contender.train(SEED)
    if time.perf_counter() - began < WARM_S:
        contender.train(SEED)
    return contender


def judged(contender: Contender) -> Learned:
    """What it learns, over seeds; not timed."""
    calls = -(-SEEDS // contender.trainings)
    firsts = range(SEED, SEED + calls * contender.trainings, contender.trainings)
    accuracy = statistics.fmean(contender.accuracy(contender.train(seed)) for seed in firsts)
    return Learned(accuracy, calls * contender.trainings)


def block(contender: Contender, least_s: float = BLOCK_S) -> Took:
    """Trains, again while the time isn't reached."""
    began, calls, seconds = time.perf_counter(), 0, 0.0
    while seconds < least_s:
        contender.train(SEED)
        calls, seconds = calls + 1, time.perf_counter() - began
    return Took(calls * contender.trainings, seconds)


def serve(pipe: socket.socket, make: Callable[[], Contender]) -> None:
    """Answers requests until the pipe is closed."""
    contender: Contender | None = None
    while True:
        try:
            request = wire.receive(pipe)
        except EOFError:
            return
        answer: Learned | Took | None = None
        if request == PREPARE:
            contender = warmed(make())
        elif request == JUDGE and contender:
            answer = judged(contender)
        elif request == BLOCK and contender:
            answer = block(contender)
        else:
            raise ValueError(f"{request!r} can't be asked for now.")
        wire.send(pipe, msgspec.json.encode(answer))


def main(contenders: Mapping[str, Callable[[], Contender]]) -> None:
    """Serves the socket whose descriptor is the first argument with the contender that the second names."""
    descriptor, name = sys.argv[1:]
    with socket.socket(fileno=int(descriptor)) as pipe:
        serve(pipe, contenders[name])


if __name__ == "__main__":
    from bench.peers.contenders import CONTENDERS

    main(CONTENDERS)
