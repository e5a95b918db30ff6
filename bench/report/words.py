"""What a record means, in plain sentences."""

from __future__ import annotations

from collections.abc import Sequence

from bench.environment import Host
from bench.measured import Kind
from bench.record import Record
from bench.report import quantity
from bench.stats import Estimate
from bench.summary import Summary, ratio


def environment_lines(record: Record) -> tuple[str, ...]:
    """The machine and the software, a line each."""
    host, backend = record.host, record.backend
    packages = " ".join(f"{name} {version}" for name, version in backend.packages.items())
    simulated = ", several simulated on it" if backend.simulated else f" x{backend.device_count}"
    commit = "not a git checkout" if host.commit is None else host.commit[:12] + (" (dirty)" if host.dirty else "")
    restarts = max((s.restart for r in record.cases for s in r.starts), default=-1) + 1
    lines = [
        host_line(host),
        f"{backend.platform}: {backend.device_kind}{simulated}; Python {backend.python} {packages}; commit {commit}",
        f"{record.created}; {record.seconds:.0f} s, {restarts} restarts; "
        f"load {record.load_at_start:g} before, {record.load_at_end:g} after",
    ]
    lines += [f"{name}={value}" for name, value in host.environment.items()]
    return tuple(lines)


def host_line(host: Host) -> str:
    """The machine in a line."""
    cores = f"{len(host.usable_cores)} of {host.cores} cores"
    return f"{host.cpu_model}, {cores}, {quantity.size(host.memory_bytes)}, {host.os}"


def sentences(record: Record, cases: Sequence[Summary]) -> tuple[str, ...]:
    """What is fastest, what scales, what is oversubscribed, what broke."""
    said: list[str] = []
    for workload in dict.fromkeys(summary.case.workload for summary in cases):
        measured = [s for s in cases if s.case.workload == workload and s.result.status == "measured"]
        said += _fastest(workload, measured)
        said += _data_parallel(workload, measured)
        said += _ensembles(workload, measured)
        said += _deterministic(workload, measured)
    said += _oversubscribed(record, cases)
    said += _checked(cases)
    said += [f"{s.case.name} is broken: {s.result.why}." for s in cases if s.result.status == "broken"]
    said += _unfinished(record, cases)
    return tuple(said)


def _fastest(workload: str, measured: Sequence[Summary]) -> list[str]:
    rated = [(s, rate) for s in measured if (rate := s.samples_per_s) is not None]
    if len(rated) < 2:
        return []
    best, rate = max(rated, key=lambda pair: pair[1].value)
    how = {"fused": "many steps in one program", "latency": "waiting for each step", "throughput": "in a chain"}
    said = f"{workload}: fastest here is {_case(best)}, {how[best.best or 'latency']}: {quantity.rate(rate)} samples"
    return [said + "."]


def _data_parallel(workload: str, measured: Sequence[Summary]) -> list[str]:
    said = []
    for summary in measured:
        case = summary.case
        if case.mode != "data_parallel" or case.devices == 1 or summary.oversubscribed or case.deterministic:
            continue
        found = _best_speedup(summary)
        if found is None:
            continue
        kind, speedup = found
        which = f"{workload}: the batch over {case.devices} devices makes {_a_step(kind)}"
        if speedup.low is None:
            said.append(f"{which} {quantity.between(speedup)} as fast as single.")
        elif speedup.low > 1:
            efficiency = speedup.times(100 / case.devices)
            percent = quantity.rounded(efficiency.value, 2)
            said.append(f"{which} {quantity.between(speedup)} as fast as single: {percent}% parallel efficiency.")
        elif speedup.high is not None and speedup.high < 1:
            slower = quantity.between(speedup.inverse())
            said.append(f"{which} {slower} as long as single's: it costs more to reduce than it saves.")
        else:
            said.append(f"{which} {quantity.between(speedup)} as fast as single: no clear difference.")
    return said


def _ensembles(workload: str, measured: Sequence[Summary]) -> list[str]:
    found = [
        (speedup[1], s)
        for s in measured
        if s.case.members > 1 and (speedup := _best_speedup(s)) and not s.oversubscribed
    ]
    if not found:
        return []
    speedup, summary = max(found, key=lambda pair: pair[0].value)
    return [
        f"{workload}: of the ensembles, {_case(summary)} trains its members {quantity.between(speedup)} as fast as "
        "single would one after another."
    ]


def _deterministic(workload: str, measured: Sequence[Summary]) -> list[str]:
    said = []
    for summary in measured:
        plain = [
            s for s in measured if summary.case.deterministic and s.case.name + "/deterministic" == summary.case.name
        ]
        cost = ratio(summary.result, plain[0].result, "latency") if plain else None
        if cost is not None:
            on, times = _devices(summary), quantity.between(cost)
            said.append(f"{workload}: bit-equal sums on {on} take {times} the time of plain ones.")
    return said


def _oversubscribed(record: Record, cases: Sequence[Summary]) -> list[str]:
    counts = sorted({summary.case.devices for summary in cases if summary.oversubscribed})
    if not counts:
        return []
    cores = len(record.host.usable_cores)
    return [
        f"Oversubscribed: {' and '.join(map(str, counts))} simulated devices share {cores} "
        f"core{'s' * (cores > 1)}; those lines show correctness and what collectives cost, not how hardware scales."
    ]


def _checked(cases: Sequence[Summary]) -> list[str]:
    passed = [s for s in cases if s.result.certificate and not s.result.certificate.failures]
    if not passed:
        return []
    checked = f"{len(passed)} of {len(cases)} cases" if len(passed) < len(cases) else f"All {len(cases)} cases"
    return [
        f"{checked} compute what single does (initial state, raw gradients, a step from the same state, the loss over "
        "an epoch, collectives, placement, one trace): checked before they were timed."
    ]


def _unfinished(record: Record, cases: Sequence[Summary]) -> list[str]:
    if not record.complete:
        return ["The run was ended before its last round: what stands here is what there was by then."]
    few = [s for s in cases if s.step_s and s.step_s["latency"].restarts < record.schedule.restarts]
    if not few:
        return []
    least = min(s.step_s["latency"].restarts for s in few)
    return [
        f"The budget of {record.schedule.budget_s:g} s allowed {least} of {record.schedule.restarts} restarts for "
        f"{len(few)} cases; --budget gives more time and narrower intervals."
    ]


def _best_speedup(summary: Summary) -> tuple[Kind, Estimate] | None:
    """The speed-up of fused steps, or of waited ones where there are no fused, with which it is."""
    if not summary.speedup:
        return None
    kind: Kind = "fused" if "fused" in summary.speedup else "latency"
    return kind, summary.speedup[kind]


def _devices(summary: Summary) -> str:
    n = summary.case.devices
    return f"{n} device{'s' * (n > 1)}" + (" (oversubscribed)" if summary.oversubscribed else "")


def _a_step(kind: Kind) -> str:
    return {"fused": "a fused step", "latency": "a waited step", "throughput": "a chained step"}[kind]


def _case(summary: Summary) -> str:
    case = summary.case
    members = f" with {case.members} members" if case.members > 1 else ""
    devices = f" on {case.mesh} devices" if case.devices > 1 else ""
    return f"{case.mode}{members}{devices}" + (" (oversubscribed)" if summary.oversubscribed else "")
