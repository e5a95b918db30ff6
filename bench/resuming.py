"""What a run that was ended lacks, and whether it can be gone on with here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.cases import Case
from bench.environment import Backend, Host
from bench.events import Before
from bench.likeness import Unlike
from bench.record import CaseResult, Record, Resumed
from toynet.errors import UsageError

# Of JAX's variables, those that say where processes are, and not what they compute.
PLACES = ("JAX_COORDINATOR_ADDRESS", "JAX_COORDINATOR_PORT", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


def resumed(out: Path, before: Record, now: Record) -> Record:
    """The record to go on with where a run would begin as `now`; raises UsageError where it isn't of the same."""
    if found := unlike(before, now):
        raise UsageError(
            f"{out} can't be gone on with here: its {found.key} is {found.base}, and here it is {found.other}; go on "
            "where it began, or begin anew without --resume."
        )
    workloads = dict.fromkeys(result.case.workload for result in before.cases)
    again = tuple(name for name in workloads if _broken_off(before, name) and not _passed(before, name))
    part = Resumed(now.created, now.command, before.seconds, now.load_at_start, again)
    return msgspec.structs.replace(before, resumed=(*before.resumed, part))


def before(record: Record) -> Before:
    """What isn't done again."""
    results = record.cases
    return Before(
        known=frozenset(
            result.case for result in results if result.certificate and (result.parts or not record.schedule.parts)
        ),
        traced=frozenset(result.case for result in results if result.trace or result.untraced),
        refers=all(result.unreferenced is None for result in results),
        parts=len(record.resumed),
    )


def left(record: Record, groups: Sequence[Sequence[Case]]) -> tuple[list[list[Case]], list[range]]:
    """Of the groups that lack restarts, the cases that aren't broken, and those restarts, numbered on."""
    results = {result.case: result for result in record.cases}
    found = []
    for group in groups:
        own = [results[case] for case in group]
        cases = [result.case for result in own if result.status != "broken"]
        begun = _begun(own)
        if not cases or (begun and _passed(record, group[0].workload)):
            continue
        made_up_for = sum(group[0].workload in part.again for part in record.resumed)
        first = max(begun, default=-1) + 1
        numbers = range(first, first + record.schedule.restarts - len(begun) + made_up_for)
        if numbers:
            found.append((cases, numbers))
    return [cases for cases, _ in found], [numbers for _, numbers in found]


def _begun(results: Sequence[CaseResult]) -> set[int]:
    return {start.restart for result in results for start in result.starts}


def _passed(record: Record, workload: str) -> bool:
    """Whether cases of a later workload have begun: this one has had its share of the time."""
    names = list(dict.fromkeys(result.case.workload for result in record.cases))
    later = names[names.index(workload) + 1 :]
    return any(result.starts for result in record.cases if result.case.workload in later)


def _broken_off(record: Record, workload: str) -> bool:
    """Whether the last restart of a workload's cases had fewer rounds than were asked for.

    It doesn't count then, though its rounds stay.
    """
    own = [result for result in record.cases if result.case.workload == workload]
    last = max(_begun(own), default=None)
    return last is not None and any(
        len({sample.round for sample in result.samples if sample.restart == last}) < record.schedule.rounds
        for result in own
        if result.status != "broken"
    )


def unlike(before: Record, now: Record) -> Unlike | None:
    """The first thing that differs between them and must not."""
    if len(before.processes) != len(now.processes):
        counts = (str(max(1, len(record.processes))) for record in (before, now))
        return Unlike("number of processes", *counts)
    for was, is_now in zip(_told(before), _told(now), strict=True):
        for key in {**was, **is_now}:
            if was.get(key) != is_now.get(key):
                return Unlike(key, *(one.get(key) or "none" for one in (was, is_now)))
    return None


def _told(record: Record) -> list[dict[str, str | None]]:
    """Of each process what has to stay."""
    if not record.processes:
        return [_of_process(record.host, record.backend) | _workers(record)]
    return [
        {f"rank {one.rank}'s {key}": value for key, value in _of_process(one.host, one.backend).items()}
        | {f"rank {one.rank}'s host": f"the {one.machine + 1}."}
        | _workers(record)
        for one in record.processes
    ]


def _workers(record: Record) -> dict[str, str | None]:
    return {"alternation": record.alternation, "workers kept on cores": "yes" if record.pinned else "no"}


def _of_process(host: Host, backend: Backend) -> dict[str, str | None]:
    return {
        "CPU": host.cpu_model,
        "usable cores": str(len(host.usable_cores)),
        "system": host.os,
        "platform": backend.platform,
        "device": backend.device_kind,
        "devices": str(backend.device_count),
        "runtime": backend.runtime,
        "driver": backend.driver,
        "Python": backend.python,
        **backend.packages,
        **backend.settings,
        "commit": f"{host.commit}{' with changes' * host.dirty}" if host.commit else None,
        **{name: value for name, value in host.environment.items() if name not in PLACES},
    }
