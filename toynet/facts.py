"""What processes say of themselves before they work together, and whether by that they can."""

from __future__ import annotations

import importlib.metadata
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from toynet.errors import UsageError

# Where two processes differ in one of these they may not understand each other, or not compute the same.
ALIKE = ("jax", "jaxlib", "flax", "optax", "numpy", "jax-cuda12-plugin", "jax-cuda13-plugin", "libtpu")

Facts = Mapping[str, Any]
"""A JSON object."""


def named(rank: int, host: str) -> str:
    """How a process is called in what is said of it."""
    return f"rank {rank} on {host}"


def own() -> dict[str, Any]:
    """What others must know of this process."""
    return {
        "host": socket.gethostname(),
        "network": _network(),
        "kernel": _kernel(),
        "address": _address(),
        "packages": versions(ALIKE),
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Of those that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _network() -> str:
    """Tells network namespaces of one machine apart, as containers have them; empty where there is no such thing."""
    own = Path("/proc/self/ns/net")
    return str(own.stat().st_ino) if own.exists() else ""


def _kernel() -> str:
    """Tells machines apart, whatever they are called, and not the containers of one; empty where nothing does."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return boot.read_text().strip() if boot.exists() else ""


def _address() -> str:
    """Of this host's name, as Gloo tells it to the others; empty if it has none."""
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return ""


def check_alike(facts: Sequence[Facts]) -> None:
    """Raises UsageError if the processes, by rank, don't have the same versions installed."""
    first = facts[0]
    for rank, other in enumerate(facts):
        for package in ALIKE:
            ours, theirs = first["packages"].get(package), other["packages"].get(package)
            if ours != theirs:
                raise UsageError(
                    f"rank {rank} on {other['host']} has {package} {theirs or '(none)'}, and rank 0 on "
                    f"{first['host']} {ours or '(none)'}; install the same versions everywhere."
                )


def unreachable(facts: Sequence[Facts]) -> str:
    """Of which host the own name leads nowhere but to itself, for by it the others find a CPU's collectives; empty if
    of none."""
    several = len(set(hosts(facts))) > 1
    for rank, one in enumerate(facts):
        if several and one["address"].startswith("127."):
            return (
                f"rank {rank} on {one['host']} has {one['address']} for the address of {one['host']}, where no other "
                "host can reach it; let the name resolve to the one by which they do (Debian has it in /etc/hosts)."
            )
    return ""


def hosts(facts: Sequence[Facts]) -> list[int]:
    """Of each rank the number of its host, from 0 in the order in which they come."""
    return _numbered((one["kernel"], one["host"], one["network"]) for one in facts)


def kernels(facts: Sequence[Facts]) -> list[int]:
    """The same of the machine whose cores it runs on: hosts that are its containers share them."""
    return _numbered((one["kernel"],) if one["kernel"] else (one["host"], one["network"]) for one in facts)


def _numbered(keys: Iterable[tuple[str, ...]]) -> list[int]:
    seen: dict[tuple[str, ...], int] = {}
    return [seen.setdefault(key, len(seen)) for key in keys]
