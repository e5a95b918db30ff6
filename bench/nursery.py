"""A process that has imported what workers need and forks one whenever it is asked to.

A worker starts in a tenth of the time that its imports take. JAX has no backend and no thread yet when
it forks. Workers of one nursery share the layout of what was loaded before, so every restart has a
nursery of its own. Needs the standard library and JAX only.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import socket
import sys
import warnings
from collections.abc import Sequence

from bench import worker


def nurse(control: socket.socket) -> socket.socket | None:
    """Answers requests; comes back in every forked worker with its pipe, and with None when there are no more.

    `spawn`, with a pipe and a file to print to, is answered by the process number; `status PID` by
    the exit code, null while the worker lives.
    """
    workers: list[int] = []
    while True:
        request, descriptors, *_ = socket.recv_fds(control, 4096, 2)
        match request.decode().split():
            case []:  # whoever asked is gone, perhaps without having ended its workers
                for pid in workers:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(pid, signal.SIGKILL)
                return None
            case ["spawn"]:
                pid = _fork()
                if pid == 0:
                    return _as_worker(control, descriptors)
                for descriptor in descriptors:
                    os.close(descriptor)
                workers.append(pid)
                answer = pid
            case ["status", number]:
                ended, status = os.waitpid(int(number), os.WNOHANG)
                answer = os.waitstatus_to_exitcode(status) if ended else None
                if ended:
                    workers.remove(ended)  # its number may be another process's from now on
            case other:
                raise ValueError(f"an unknown request: {other}")
        control.sendall(json.dumps(answer).encode())


def _fork() -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        # NumPy's BLAS has threads, which it ends before a fork and starts again when they are needed.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        pid = os.fork()
    os.setpgid(pid, pid)  # in both processes, so that it is done in whichever comes first
    return pid


def _as_worker(control: socket.socket, descriptors: Sequence[int]) -> socket.socket:
    control.close()
    pipe, printed = descriptors
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    os.close(printed)
    return socket.socket(fileno=pipe)


def run(control: int, preload: Sequence[str]) -> None:
    """Imports those modules, then nurses; `control` is the descriptor of a socket."""
    for module in preload:
        importlib.import_module(module)
    pipe = nurse(socket.socket(fileno=control))
    if pipe is None:
        os._exit(0)  # an interpreter takes tenths of a second to take JAX apart
    worker.serve(pipe)
