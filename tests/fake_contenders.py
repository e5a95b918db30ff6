"""Contenders for tests of the worker process: `python -m fake_contenders DESCRIPTOR NAME`."""

from __future__ import annotations

import os
import time

from bench.peers.contender import Contender
from bench.peers.worker import main


def steady() -> Contender:
    """Learns better from odd seeds, three at a time, and prints."""
    print("made")

    def train(seed: int) -> int:
        print(f"training from {seed}")
        time.sleep(0.001)
        return seed

    return Contender(train, lambda seed: 0.9 if seed % 2 else 0.8, trainings=3)


def dying() -> Contender:
    """Dies when it trains."""

    def train(seed: int) -> None:
        print("no more memory for seed", seed, flush=True)
        os._exit(7)

    return Contender(train, lambda _: 1.0)


def hanging() -> Contender:
    """Never ends."""
    return Contender(lambda _: time.sleep(600), lambda _: 1.0)


if __name__ == "__main__":
    main({"steady": steady, "dying": dying, "hanging": hanging})
