"""How a case is called in sentences and in pictures, where its workload is known already."""

from __future__ import annotations

from collections.abc import Sequence

from bench.cases import Case
from bench.measured import Kind

KINDS: dict[Kind, str] = {"latency": "each step waited for", "fused": "many steps in one program"}
"""Ways of running steps, as charts say them."""


def in_prose(case: Case, *, batch: bool = False) -> str:
    """Such as `fast ensemble with 8 members on 2x1 devices at batch 64`; an unusual batch, or any if asked."""
    members = f" with {case.members} members" if case.members > 1 else ""
    devices = f" on {case.mesh} devices" if case.devices > 1 else ""
    devices += f" of {case.processes} processes" if case.processes > 1 else ""
    at = f" at batch {case.batch}" if batch or not case.usual_batch else ""
    network = f" ({', '.join(own)})" if (own := _network(case)) else ""
    return f"{_mode(case)}{network}{members}{devices}{at}"


def label(case: Case, *, batch: bool = False) -> str:
    """The same between commas, such as `fast ensemble, 2x1 devices, 8 members`."""
    parts = [_mode(case), *_network(case)]
    parts += [f"{case.mesh} devices"] * (case.devices > 1) + [f"{case.processes} processes"] * (case.processes > 1)
    parts += [f"{case.members} members"] * (case.members > 1)
    parts += [f"batch {case.batch}"] * (batch or not case.usual_batch)
    return ", ".join(parts + ["deterministic"] * case.deterministic)


def labels(cases: Sequence[Case]) -> list[str]:
    """Of cases of one workload that are shown together: each its own, with their batches if these differ."""
    batches = {case.batch for case in cases}
    return [label(case, batch=len(batches) > 1) for case in cases]


def _network(case: Case) -> list[str]:
    """What tells its network from the workload's own."""
    return [said for said in case.variant if said != "fast"]


def _mode(case: Case) -> str:
    return f"fast {case.mode}" if case.path == "fast" else case.mode
