"""`map` over several processes, for work that takes long enough."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from bench.environment import usable_cores

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]

CHUNK = 10
AT_MOST = 8


@contextlib.contextmanager
def mapping(*, pays: bool) -> Iterator[Map]:
    """The `map` of this process, or, if that pays, one over a process for each core."""
    processes = min(len(usable_cores()), AT_MOST)
    if not pays or processes == 1:
        yield map
        return
    # A copy of this process, which has no threads, is there at once; elsewhere than on Linux it may not be safe.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, context, _leave_interrupts) as pool:
        yield functools.partial(pool.map, chunksize=CHUNK)


def _leave_interrupts() -> None:
    """To the process that waits for this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
