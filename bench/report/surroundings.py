"""What the records that are compared were made on and with: a line each, and a table of what differs."""

from __future__ import annotations

from collections.abc import Sequence

from bench.contrast import Held
from bench.likeness import processes
from bench.record import Record
from bench.report import quantity
from bench.report.document import Column, Table
from bench.report.words import host_line


def line(held: Held) -> str:
    """The machine, what it was asked for and when."""
    record, backend = held.record, held.record.backend
    device = "" if backend.simulated else f": {backend.device_kind} x{backend.device_count}"
    load = f"load {record.load_at_start:g} before, {record.load_at_end:g} after"
    return f"{held.name}: {backend.platform}{device}; {host_line(record.host)}; {record.created}; {load}"


def table(records: Sequence[Held]) -> Table:
    """A row for everything that isn't the same in all of them."""
    facts = [_facts(held.record) for held in records]
    keys = dict.fromkeys(key for of_one in facts for key in of_one)
    rows = [(key, *(of_one.get(key, "") for of_one in facts)) for key in keys]
    columns = (Column("what", numeric=False), *(Column(held.name, numeric=False) for held in records))
    return Table("What differs between them", columns, tuple(row for row in rows if len(set(row[1:])) > 1))


def _facts(record: Record) -> dict[str, str]:
    """What a record knows of its surroundings, by what it is called; what it doesn't know isn't there."""
    host, backend, schedule = record.host, record.backend, record.schedule
    limits = dict.fromkeys(f"{gpu.power_limit_w:.0f} W" for gpu in backend.gpus if gpu.power_limit_w is not None)
    return {
        "platform": backend.platform,
        "device": backend.device_kind,
        "devices": "simulated" if backend.simulated else str(backend.device_count),
        "CPU": host.cpu_model,
        "usable cores": f"{len(host.usable_cores)} of {host.cores}",
        "processes": processes(record),
        "memory": quantity.size(host.memory_bytes),
        "system": host.os,
        "runtime": backend.runtime,
        "driver": backend.driver or "",
        "power limit": ", ".join(limits),
        "commit": host.commit[:12] + " (dirty)" * host.dirty if host.commit else "",
        "Python": backend.python,
        **backend.packages,
        **backend.settings,
        "workers kept on cores": "yes" if record.pinned else "no",
        "alternation": record.alternation,
        "restarts": str(schedule.restarts),
        "rounds": str(schedule.rounds),
        "budget": f"{schedule.budget_s:g} s",
        "parts timed": "yes" if schedule.parts else "no",
        "ran to its end": "yes" if record.complete else "no",
        **host.environment,
    }
