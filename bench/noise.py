"""The noise of this machine: log-ratios of A/A comparisons, kept in a file, and the floors that they mean."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bench.comparison import Comparison
from bench.environment import Backend, Host
from bench.measured import Kind
from bench.reading import check, read_as
from bench.verdict import LOOKS, floor

SCHEMA = 1


class Noise(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="noise"):
    """What A/A comparisons scattered by, on which machine."""

    schema: int = SCHEMA
    created: str
    """UTC, ISO 8601."""
    machine: dict[str, str]
    logs: dict[str, tuple[float, ...]]
    """Log-ratios of restarts, by case and kind of block."""


def key(name: str, kind: Kind) -> str:
    """What tells one noise from another."""
    return f"{name} {kind}"


def machine(host: Host, backend: Backend) -> dict[str, str]:
    """What must be the same for a floor to hold."""
    return {
        "cpu": host.cpu_model,
        "cores": str(len(host.usable_cores)),
        "platform": backend.platform,
        "device": backend.device_kind,
        "jaxlib": backend.packages.get("jaxlib", ""),
    }


def of(comparison: Comparison) -> Noise:
    """The noise in an A/A."""
    return Noise(
        created=comparison.created,
        machine=machine(comparison.host, comparison.b.backend),
        logs={key(p.name, p.kind): p.trial.logs for p in comparison.pairs if len(p.trial.logs) >= LOOKS[0]},
    )


def known(path: Path) -> Noise | None:
    """What was measured before; None where there is no file. Raises UsageError for a file of another kind."""
    if not path.exists():
        return None
    noise = read_as(path, Noise, SCHEMA)
    check(path, [(f"logs of {name}", "one restart has no noise") for name, logs in noise.logs.items() if len(logs) < 2])
    return noise


def added(before: Noise | None, measured: Noise) -> Noise:
    """What was measured, with what was known of other cases on the same machine."""
    known = before.logs if before and before.machine == measured.machine else {}
    return msgspec.structs.replace(measured, logs={**known, **measured.logs})


def floors(path: Path, host: Host, backend: Backend, restarts: int) -> dict[str, float]:
    """The least threshold for each case and kind; none where the file isn't there or is of another machine."""
    noise = known(path)
    if noise is None or noise.machine != machine(host, backend):
        return {}
    return {name: floor(logs, restarts) for name, logs in noise.logs.items()}
