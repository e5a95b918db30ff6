"""The process that `toynet.several` starts: it joins JAX's runtime with the others', trains, and says how that went.

What JAX, XLA and Gloo print goes where standard output and error lead, the lines of the training to a descriptor of
their own.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import Any, BinaryIO

from toynet.arguments import parsed
from toynet.cluster import Joined
from toynet.errors import UsageError
from toynet.options import Room, Train

INTERRUPTED = 130


def main(descriptor: int, argv: Sequence[str]) -> None:
    """Trains as that command line says and whoever has the other end of the pipe tells; ends with it."""
    for sent in (signal.SIGINT, signal.SIGTERM):  # whoever started it ends it
        signal.signal(sent, signal.SIG_IGN)
    pipe = socket.socket(fileno=descriptor)
    orders = pipe.makefile("rb")
    told = json.loads(orders.readline() or b"null")
    if told is None:
        return
    threading.Thread(target=_end_with, args=(orders,), daemon=True).start()
    sys.stdout = open(os.devnull if told["out"] is None else told["out"], "w")  # noqa: SIM115, it lives as long
    how, what = _report(argv, Joined(**told["joined"]))
    pipe.sendall(json.dumps({"how": how, "what": what}).encode() + b"\n")
    if how == "done":
        signal.pause()  # the first process's end would take the others' runtime away
    # At exit the runtime would wait for processes that are lost.
    os._exit(1)


def _end_with(orders: BinaryIO) -> None:
    """Ends this process when whoever started it has ended."""
    orders.read()
    os._exit(1)


def _report(argv: Sequence[str], joined: Joined) -> tuple[str, Any]:
    from toynet import training

    room = Room(processes=joined.count, devices=joined.count)
    try:
        training.run(parsed("python -m toynet", argv, {"train": Train}), room, joined)
        sys.stdout.flush()
    except UsageError as error:
        return "unusable", str(error)
    except BrokenPipeError:  # whoever read the lines has left (`| head`)
        return "done", str(INTERRUPTED)
    except Exception as error:  # noqa: BLE001, whatever it is, whoever watches decides
        traceback.print_exc()
        said = " ".join(str(error).split()).rstrip(".")
        return "failed", f"failed: {type(error).__name__}: {said}"
    return "done", "0"


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
