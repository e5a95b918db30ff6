"""A process that holds one case and answers requests over a pipe of its own; `bench.nursery` forks it.

Standard output and error are left to JAX, XLA and Gloo. An error in the user's step is answered with its
line; whoever asked ends the process then. Needs only the standard library, JAX and what the workload
needs.
"""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import environment, foreign, lookup, wire
from bench.cases import Case, is_own
from toynet.config import preset
from toynet.errors import UsageError

if TYPE_CHECKING:
    from bench.holder import Holder
    from bench.measured import Finding


def prepare(
    case: Case,
    cores: list[int],
    shared: str | None,
    within_s: float | None = None,
    joined: dict[str, Any] | None = None,
) -> Holder:
    """The case on those cores: pinned before JAX has a backend, whose threads inherit it.

    In the folder `shared` the workers of a run keep what others can use. Within so many seconds a user's module must
    be imported. `joined` says how it joins the other processes of the case.
    """
    from bench.holder import Holder
    from bench.memo import Memo
    from toynet import mesh

    environment.pin(cores)
    mesh.simulate(case.devices // case.processes)
    _keep_to_own_devices()
    if joined is not None:
        _join(joined)
    workload = lookup.workload(case, _until(within_s))  # a user's module may start JAX as it is imported
    plain = workload if case.path == "plain" else lookup.workload(dataclasses.replace(case, path="plain"))
    if shared is None:
        return Holder(case, workload, plain)
    # The user's is to be measured. Of several processes JAX lets the first alone write into one, and what it finds
    # there while others don't, they would wait for, where they share the work of compiling.
    uncached = "JAX_COMPILATION_CACHE_DIR" in os.environ or joined is not None
    return Holder(case, workload, plain, Memo(Path(shared, "memo")), None if uncached else Path(shared, "compiled"))


def stand_by(devices: int, joined: dict[str, Any]) -> None:
    """Starts JAX with that many devices, for the processes of a case that this is none of: theirs start with it."""
    from toynet import mesh

    mesh.simulate(devices)
    _keep_to_own_devices()
    _join(joined)
    mesh.first_devices(1)


def lint(workload: str, examples: int | None, within_s: float) -> tuple[Finding, ...]:
    """What is found in a workload with batches of so many examples (None: its own size)."""
    from bench import imported, sound  # they load JAX
    from bench.lint.checks import findings

    if is_own(workload):
        until = _until(within_s)
        found = imported.workload(workload, until)
        sound.check(found, workload, until, lasting=False)  # what changes from step to step is a finding
        with foreign.running(f"{workload!r}: looking it over", until):
            return findings(found, examples)
    return findings(
        lookup.workload(Case(workload=workload, mode="single", batch=examples or preset(workload).batch_size))
    )


def serve(pipe: socket.socket) -> None:
    """Answers requests until the pipe is closed; what the user got wrong is answered, too, not raised."""
    holder: Holder | None = None
    while True:
        try:
            message = wire.receive(pipe)
        except EOFError:
            return
        try:
            if holder and message.startswith(wire.BLOCK):
                reply = wire.block_answer(holder.block(*wire.requested_block(message)))
            else:
                holder, answer = _answered(holder, json.loads(message))
                reply = json.dumps({"answer": answer}, allow_nan=False).encode()
        except UsageError as error:
            reply = json.dumps({"unusable": str(error)}).encode()
        except BaseException as error:  # noqa: BLE001, sys.exit in a step, too
            reply = json.dumps({"failed": foreign.raised(error)}).encode()
        wire.send(pipe, reply)


def _join(joined: dict[str, Any]) -> None:
    from toynet import cluster  # a side's toynet may be older, and is never joined

    cluster.join(cluster.Joined(**joined))


def _keep_to_own_devices() -> None:
    if "JAX_LOCAL_DEVICE_IDS" in os.environ:
        from toynet import cluster  # a side's toynet may be older

        cluster.keep_to_own_devices()


def _until(within_s: float | None) -> float | None:
    return None if within_s is None else time.monotonic() + within_s


def _answered(holder: Holder | None, request: dict[str, Any]) -> tuple[Holder | None, Any]:
    """What holds the case from now on, and the answer."""
    match request.pop("ask"):
        case "backend":
            _keep_to_own_devices()
            return holder, dataclasses.asdict(environment.backend())
        case "lookup":
            until = _until(request["within_s"])
            return holder, dataclasses.asdict(lookup.own(request["workload"], until, request["sizes"]))
        case "lint":
            return holder, [dataclasses.asdict(one) for one in lint(**request)]
        case "prepare":
            return prepare(Case(**request.pop("case")), **request), None
        case "stand_by":
            return None, stand_by(**request)
        case "rough" | "traces" | "profile" as name if holder:
            return holder, getattr(holder, name)(**request)
        case "compile" | "check" | "take_apart" as name if holder:
            return holder, dataclasses.asdict(getattr(holder, name)(**request))
        case name:
            raise ValueError(f"{name!r} can't be asked for now.")
