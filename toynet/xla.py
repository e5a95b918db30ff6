"""What XLA takes before it starts: its flags, a CPU's cores, and how many devices it can show. Imports no JAX."""

import math
import os
from collections.abc import Mapping
from pathlib import Path

from toynet.errors import UsageError

# XLA gives every simulated device threads of its own; beyond this a process only queues for them.
MAX_SIMULATED = 256


def usable_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> tuple[int, ...]:
    """The cores that this process may run on, no more of them than a container's quota pays for (cgroup version 2)."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    if not quota.exists():
        return tuple(cores)
    allowed, _, period = quota.read_text().partition(" ")
    return tuple(cores) if allowed == "max" else tuple(cores)[: max(1, math.ceil(int(allowed) / int(period)))]


def check_xla_flags(environment: Mapping[str, str] = os.environ) -> None:
    """Raises UsageError for an XLA_FLAGS on which XLA would abort the process instead of raising."""
    flags = environment.get("XLA_FLAGS", "")
    for token in flags.split():
        odd = next((c for c in token if not c.isascii()), None)
        if odd is not None:
            raise UsageError(f"XLA_FLAGS has {odd!r} (U+{ord(odd):04X}) in {token!r}; flags begin with two ASCII '--'.")
        if not token.startswith("--") and len(flags.split()) > 1:
            raise UsageError(f"XLA_FLAGS has {token!r}, which doesn't begin with '--'; XLA would abort on it.")
        if not token.startswith("--") and not os.path.isfile(token):
            raise UsageError(f"XLA_FLAGS is {token!r}: neither flags that begin with '--' nor a file of them.")
