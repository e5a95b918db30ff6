"""Where the devices of a case are: on which hosts, in which processes, and whether they have cores of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from bench.cases import Case

if TYPE_CHECKING:
    from bench.record import Record

Level = Literal["hosts", "processes"]


def level(record: Record) -> Level:
    """What cases are divided over: the hosts of a run, or where it has but one, its processes."""
    return "hosts" if len({one.machine for one in record.processes}) > 1 else "processes"


def groups(record: Record, case: Case) -> int:
    """Over how many of those a case's devices are divided."""
    return hosts(record, case) if level(record) == "hosts" else case.processes


def in_each(record: Record, case: Case) -> int | None:
    """How many of its devices are in one of those; None where they have different numbers of them."""
    if level(record) == "processes":
        return case.devices // case.processes
    counts = set(_processes_on(record, case).values())
    return case.devices // case.processes * counts.pop() if len(counts) == 1 else None


def hosts(record: Record, case: Case) -> int:
    """Over how many a case's devices are divided."""
    return len(_processes_on(record, case))


def cores(record: Record, case: Case) -> int:
    """That its processes may use, on all their hosts together."""
    return sum(len(found) for found in _cores_of(record, case).values())


def oversubscribed(record: Record, case: Case) -> bool:
    """Whether some of its devices share a core; never, where they aren't simulated.

    Processes of one host share the cores of that. Where workers can't be kept on cores (macOS), one device uses all of
    its host: then no two there are fair.
    """
    if not record.backend.simulated:
        return False
    each, found = case.devices // case.processes, _cores_of(record, case)
    if any(each > len(own) for own in _usable(record, case)):
        return True
    return any(
        each * count > (len(found[machine]) if record.pinned else 1)
        for machine, count in _processes_on(record, case).items()
    )


def _processes_on(record: Record, case: Case) -> Mapping[int, int]:
    """How many of a case's processes are on each machine."""
    return Counter(one.machine for one in record.processes[: case.processes]) or {0: 1}


def _cores_of(record: Record, case: Case) -> dict[int, set[int]]:
    """By machine, the cores that a case's processes may use there."""
    found: dict[int, set[int]] = {}
    for process in record.processes[: case.processes]:
        found.setdefault(process.machine, set()).update(process.host.usable_cores)
    return found or {0: set(record.host.usable_cores)}


def _usable(record: Record, case: Case) -> list[tuple[int, ...]]:
    """Of each process of a case."""
    return [one.host.usable_cores for one in record.processes[: case.processes]] or [record.host.usable_cores]
