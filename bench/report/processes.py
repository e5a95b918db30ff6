"""The processes of a run, as lines about its surroundings: where each is, what it has, and what differs."""

from __future__ import annotations

from collections.abc import Sequence

from bench.environment import Host
from bench.record import Process, Record
from bench.report import quantity


def lines(record: Record) -> list[str]:
    """How many there are, a line for each host, and one for each thing that differs between them; none for one process.

    The machine and the software of rank 0 stand in lines of their own.
    """
    if not record.processes:
        return []
    machines: dict[int, list[Process]] = {}
    for process in record.processes:
        machines.setdefault(process.machine, []).append(process)
    many = len(machines) > 1
    on = f"{len(machines)} hosts" if many else "one host: nothing goes over a network"
    said = [f"{len(record.processes)} processes on {on}"]
    said += [_host(of_one) for of_one in machines.values()]
    facts = [_facts(process) for process in record.processes]
    keys = dict.fromkeys(key for of_one in facts for key in of_one)
    said += [found for key in keys if (found := _differs(key, [of_one.get(key, "") for of_one in facts]))]
    return said


def _host(processes: Sequence[Process]) -> str:
    """A host, its processes and what they share."""
    first = processes[0]
    ranks = f"rank{'s' * (len(processes) > 1)} {_ranks([process.rank for process in processes])}"
    cores = len({core for process in processes for core in process.host.usable_cores})
    backend = first.backend
    own = f"{backend.device_kind} x{backend.device_count}" + " each" * (len(processes) > 1)
    devices = "devices simulated" if backend.simulated else own
    shared = f"{cores} of {first.host.cores} cores" + " shared" * _share(processes)
    return f"{first.name}: {ranks}; {devices}; {shared}, {quantity.size(first.host.memory_bytes)}"


def _share(processes: Sequence[Process]) -> bool:
    """Whether several of them may use one core."""
    each = [core for process in processes for core in process.host.usable_cores]
    return len(set(each)) < len(each)


def _facts(process: Process) -> dict[str, str]:
    """What may differ, by what it is called; cores and memory stand with the host."""
    host, backend = process.host, process.backend
    return {
        "CPU": host.cpu_model,
        "system": host.os,
        "Python": backend.python,
        **backend.packages,
        "runtime": backend.runtime,
        "driver": backend.driver or "",
        "usable cores": _cores(host),
        "commit": host.commit[:12] + " (dirty)" * host.dirty if host.commit else "",
        **host.environment,
    }


def _cores(host: Host) -> str:
    return str(len(host.usable_cores))


def _differs(key: str, values: Sequence[str]) -> str:
    """Which ranks have which value; empty if all have the same."""
    if len(set(values)) == 1:
        return ""
    ranks = {value: [rank for rank, own in enumerate(values) if own == value] for value in dict.fromkeys(values)}
    told = [f"{value or 'none'} on rank{'s' * (len(own) > 1)} {_ranks(own)}" for value, own in ranks.items()]
    return f"{key} differs: {', '.join(told)}"


def _ranks(ranks: Sequence[int]) -> str:
    """Such as `0, 2 to 5`."""
    runs: list[list[int]] = []
    for rank in ranks:
        if runs and runs[-1][-1] == rank - 1:
            runs[-1].append(rank)
        else:
            runs.append([rank])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)
