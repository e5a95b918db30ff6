"""Which process of how many this is: told by hand, or found in what a launcher has set. Loads JAX to detect only."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toynet.errors import UsageError

# The flags that say it by hand.
BY_HAND = "--coordinator, --processes and --process-id"
LOOPBACK = "127.0.0.1"
LOOPBACKS = (LOOPBACK, "localhost", "::1")
# JAX's own name for it.
LOCAL_DEVICES = "JAX_LOCAL_DEVICE_IDS"
# How many processes a launcher started together, by the variables that it sets.
LAUNCHERS = {"OMPI_COMM_WORLD_SIZE": "mpirun", "SLURM_STEP_NUM_TASKS": "srun"}
# Why JAX finds no cluster where one of these is set.
UNFOUND = {
    "OMPI_COMM_WORLD_SIZE": "mpirun of Open MPI 5 doesn't say where rank 0 is, as that of 4 does",
    "SLURM_JOB_ID": "a job of Slurm, but this wasn't started by srun in it",
}


@dataclass(frozen=True)
class Place:
    """One process among those that run a command together."""

    host: str
    """Of rank 0, as the others reach it."""
    port: int
    """Where rank 0 listens; 0: where the system lets it, for processes that it starts itself."""
    count: int
    rank: int
    local_devices: tuple[int, ...] | None = None
    """Of its host's, those that are its own; None: all that it sees."""

    @property
    def address(self) -> str:
        return at(self.host, self.port)

    @property
    def environment(self) -> dict[str, str]:
        """What tells the processes that it starts which devices are its own."""
        own = self.local_devices
        return {} if own is None else {LOCAL_DEVICES: ",".join(map(str, own))}


@dataclass(frozen=True)
class Joined:
    """How a process of a case joins JAX's own runtime with the others of it."""

    address: str
    """Of the coordination service, which the first of them starts."""
    count: int
    process_id: int
    limit_s: float
    loopback: bool = False
    """Whether the service is to be reached from this machine only."""
    unreachable: str = ""
    """Why a CPU's collectives would find no way between the hosts; empty: they do."""


def at(host: str, port: int) -> str:
    """A port of a host, as addresses are written."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True)
class Meeting:
    """Where processes that join JAX's runtime find each other."""

    host: str
    """Of the first of them, as the others reach it."""
    loopback: bool
    limit_s: float
    unreachable: str = ""
    """As each that joins is told."""

    def joined(self, count: int) -> list[Joined]:
        """For each of so many processes, how it joins: at a port that is free now on the first one's host."""
        with socket.create_server((LOOPBACK if self.loopback else "", 0)) as free:
            address = at(self.host, free.getsockname()[1])
        told = (self.limit_s, self.loopback, self.unreachable)
        return [Joined(address, count, index, *told) for index in range(count)]


def local(count: int) -> Place | None:
    """Rank 0 of so many processes on loopback, that it is to start itself; None if it is the only one."""
    return Place(LOOPBACK, 0, count, 0) if count > 1 else None


def told(coordinator: str | None, processes: int | None, process_id: int | None) -> Place:
    """The place that was given by hand; raises UsageError for one that can't be, and for half of one."""
    given = {"--coordinator": coordinator, "--processes": processes, "--process-id": process_id}
    if missing := [name for name, value in given.items() if value is None]:
        raise UsageError(f"{' and '.join(missing)} must be given as well, or found by --distributed auto.")
    assert coordinator is not None
    assert processes is not None
    assert process_id is not None
    return _checked(coordinator, processes, process_id, _local_devices(os.environ))


def detected(coordinator: str | None, processes: int | None, process_id: int | None, limit_s: float) -> Place:
    """The place as JAX's cluster detection finds it, but for what is given; raises UsageError where it finds none.

    It is the detection that `jax.distributed.initialize()` begins with. That has no name of its own there, and would
    join, too, which is left to the processes that hold devices.
    """
    coordinator = coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    own = _local_devices(os.environ)
    try:
        from jax._src.clusters import ClusterEnv

        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = ClusterEnv.auto_detect_unset_distributed_params(
                coordinator, processes, process_id, own, None, round(limit_s)
            )
    except Exception as error:  # noqa: BLE001, whatever a launcher's variables or its API lead to, or a JAX that has moved it
        raise UsageError(f"--distributed auto failed: {_flat(error)}; give {BY_HAND} by hand.") from None
    address, count, rank, devices = found
    if address is None or count is None or rank is None:
        hints = [_flat(one.message) for one in said] + [why for name, why in UNFOUND.items() if name in os.environ]
        hint = f" ({hints[0]})" if hints else ""
        raise UsageError(
            f"--distributed auto finds no cluster here{hint}: start it by srun, mpirun, in an indexed Job or on a "
            f"Cloud TPU, or give {BY_HAND} by hand."
        )
    return _checked(address, count, rank, devices)


def several(place: Place) -> Place | None:
    """The place, unless there is no other."""
    return place if place.count > 1 else None


def check_alone(environment: Mapping[str, str] = os.environ) -> None:
    """Raises UsageError where a launcher started several processes, each of which would run by itself."""
    for variable, launcher in LAUNCHERS.items():
        if (count := environment.get(variable, "1")) not in ("", "1"):
            raise UsageError(
                f"{launcher} started {count} processes together, and each would run alone and write the same files: "
                "--distributed auto joins them, --distributed off means it."
            )


def _checked(coordinator: str, count: int, rank: int, devices: Sequence[int] | None) -> Place:
    host, colon, port = coordinator.rpartition(":")
    if not (colon and host and port.isascii() and port.isdecimal() and 0 < int(port) < 2**16):
        raise UsageError(f"--coordinator is written as HOST:PORT, such as node1:8476, got {coordinator!r}.")
    if count < 1:
        raise UsageError(f"--processes must be at least 1, got {count}.")
    if not 0 <= rank < count:
        raise UsageError(f"--process-id must be from 0 to {count - 1} for {count} processes, got {rank}.")
    host = host.strip("[]")
    own = None if devices is None else tuple(devices)
    return Place(LOOPBACK if host in LOOPBACKS else host, int(port), count, rank, own)


def _local_devices(environment: Mapping[str, str]) -> list[int] | None:
    """What JAX takes from that variable, too."""
    told = environment.get(LOCAL_DEVICES, "")
    try:
        return [int(one) for one in told.split(",")] if told else None
    except ValueError:
        raise UsageError(f"{LOCAL_DEVICES} must be numbers separated by commas, got {told!r}.") from None


def _flat(error: object) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def keep_to_own_devices() -> None:
    """Keeps JAX, before it has a backend, to the GPUs that are this process's, as joining would."""
    import jax

    if own := _local_devices(os.environ):
        for platform in ("cuda", "rocm"):
            jax.config.update(f"jax_{platform}_visible_devices", ",".join(map(str, own)))


def join(joined: Joined) -> None:
    """Joins JAX's distributed runtime, before JAX has a backend; raises RuntimeError where that fails in its time."""
    import jax

    # Its notifier would swallow SIGTERM, and nothing here asks it.
    jax.config.update("jax_enable_preemption_service", False)
    port = joined.address.rpartition(":")[2]
    limit_s = max(1, round(joined.limit_s))
    jax.distributed.initialize(
        coordinator_address=joined.address,
        num_processes=joined.count,
        process_id=joined.process_id,
        cluster_detection_method="deactivate",
        initialization_timeout=limit_s,
        heartbeat_timeout_seconds=limit_s,
        coordinator_bind_address=f"{LOOPBACK}:{port}" if joined.loopback else None,
    )
