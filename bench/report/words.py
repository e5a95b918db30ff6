"""What a record means, in plain sentences."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from bench import hosts
from bench.breakdown import Breakdown
from bench.cases import Case
from bench.environment import Host
from bench.growth import Growth
from bench.measured import Certificate, Kind
from bench.record import Record
from bench.report import accelerators, links, names, processes, quantity, spread, stragglers
from bench.report.findings import finding_sentences
from bench.report.growth import growth_sentences
from bench.report.paths import path_sentences
from bench.report.scaling import not_apart_sentences, parts_sentences, scaling_sentences
from bench.report.traces import trace_sentences
from bench.report.unchecked import unchecked_sentences
from bench.scaling import Series
from bench.stats import Estimate
from bench.summary import Summary, in_turns, ratio

# Of cases whose intervals overlap.
NAMED = 3
# In this order.
COMPARED: tuple[Kind, ...] = ("fused", "latency")
# By how much a budget may be missed without a word.
OVERRUN = 1.1


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
        f"{record.created}; {record.seconds:.0f} s, {restarts} restart{'s' * (restarts != 1)}; "
        f"load {record.load_at_start:g} before, {record.load_at_end:g} after",
    ]
    lines[2:2] = [*accelerators.lines(record), *processes.lines(record)]
    lines += [f"{name}={value}" for name, value in host.environment.items()]
    return tuple(lines)


def host_line(host: Host) -> str:
    """The machine in a line."""
    cores = f"{len(host.usable_cores)} of {host.cores} cores"
    return f"{host.cpu_model}, {cores}, {quantity.size(host.memory_bytes)}, {host.os}"


def sentences(
    record: Record,
    cases: Sequence[Summary],
    scaled: Sequence[Series] = (),
    apart: Sequence[Breakdown] = (),
    grown: Sequence[Growth] = (),
) -> tuple[str, ...]:
    """What is fastest, what scales, where the time goes, how cost grows, what is oversubscribed, what broke."""
    said: list[str] = []
    for workload in dict.fromkeys(summary.case.workload for summary in cases):
        measured = [s for s in cases if s.case.workload == workload and s.result.status == "measured"]
        for network in dict.fromkeys(_network(s.case) for s in measured):
            said += _fastest(workload, [s for s in measured if _network(s.case) == network])
        said += [] if scaled else _data_parallel(record, workload, measured)
        said += _ensembles(workload, measured)
        said += _deterministic(workload, measured)
    said += path_sentences(record.cases)
    said += scaling_sentences(record, scaled) + parts_sentences(apart) + not_apart_sentences(record.cases)
    said += growth_sentences(record, grown)
    said += _cores(record, [s for s in cases if s.result.status == "measured"])
    said += _turns(record, cases)
    said += accelerators.sentences(record)
    said += spread.sentences(record) + links.sentences(record) + stragglers.sentences(record)
    said += [] if scaled else _without_single(cases)
    said += _oversubscribed(record, cases)
    said += _checked(cases)
    said += unchecked_sentences([(s.case, c) for s in cases if (c := s.result.certificate) and not c.failures])
    said += [
        f"{s.case.name} is broken: {(s.result.why or '').rstrip('.')}." for s in cases if s.result.status == "broken"
    ]
    said += finding_sentences(record)
    said += _unreferenced(cases)
    said += trace_sentences(record.cases)
    said += _unfinished(record, cases)
    return tuple(said)


def _network(case: Case) -> tuple[object, ...]:
    """What cases have in common whose examples a second can be ranked."""
    return case.hidden_layers, case.hidden_dim, case.dtype, case.compute_dtype


def _fastest(workload: str, measured: Sequence[Summary]) -> list[str]:
    """The case with the highest rate, or those whose intervals can't be told from its."""
    rated = [(s, rate) for s in measured if (rate := s.samples_per_s) is not None]
    if len(rated) < 2:
        return []
    best, rate = max(rated, key=lambda pair: pair[1].value)
    if rate.low is None:
        return [
            f"{workload}: fastest here seems {_case(best)}: {quantity.rate(rate)} samples (one restart, so uncertain)."
        ]
    rivals = [s for s, other in rated if s is not best and (other.high or other.value) >= rate.low]
    if not rivals:
        how = {"fused": "many steps in one program", "latency": "waiting for each step", "throughput": "in a chain"}
        way = how[best.best or "latency"]
        return [f"{workload}: fastest here is {_case(best)}, {way}: {quantity.rate(rate)} samples."]
    named = [_case(s) for s in (best, *rivals)[:NAMED]]
    more = f" and {len(rivals) + 1 - NAMED} more" if len(rivals) >= NAMED else ""
    return [
        f"{workload}: fastest here are {'; '.join(named)}{more}: their intervals overlap, so none of them is the "
        f"winner ({quantity.rate(rate)} samples)."
    ]


def _data_parallel(record: Record, workload: str, measured: Sequence[Summary]) -> list[str]:
    said = []
    for summary in measured:
        case = summary.case
        if case.mode != "data_parallel" or case.devices == 1 or summary.oversubscribed or case.deterministic:
            continue
        found = _best_speedup(summary)
        if found is None:
            continue
        kind, speedup = found
        devices = f"{case.devices} devices{spread.over(record, case)}"
        which = f"{workload}: the batch over {devices} makes {_a_step(kind)}"
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
    speedup, summary = max(found, key=lambda pair: pair[0].low or pair[0].value)
    unclear = speedup.low is not None and speedup.high is not None and speedup.low <= 1 <= speedup.high
    return [
        f"{workload}: of the ensembles, {_case(summary)} trains its members {quantity.between(speedup)} as fast as "
        f"single would one after another{': no clear difference' if unclear else ''}."
    ]


def _deterministic(workload: str, measured: Sequence[Summary]) -> list[str]:
    said = []
    for summary in measured:
        wanted = dataclasses.replace(summary.case, deterministic=False)
        plain = [s for s in measured if summary.case.deterministic and s.case == wanted]
        if not plain:
            continue
        times = " and ".join(
            f"{_a_step(kind)} {quantity.between(cost)}"
            for kind in COMPARED
            if (cost := ratio(summary.result, plain[0].result, kind))
        )
        if times:
            said.append(f"{workload}: bit-equal sums on {_devices(summary)} make {times} as long as plain ones do.")
    return said


def _oversubscribed(record: Record, cases: Sequence[Summary]) -> list[str]:
    crowded = [summary.case for summary in cases if summary.oversubscribed]
    if not crowded:
        return []
    if not record.pinned:
        return ["Oversubscribed: this system can't keep a device on a core of its own, so one device uses all of them."]
    by_cores: dict[tuple[int, str], set[int]] = {}
    for case in crowded:
        over = spread.over(record, case) or " in one process" * bool(record.processes)
        by_cores.setdefault((hosts.cores(record, case), over), set()).add(case.devices)
    shared = [
        f"{' and '.join(map(str, sorted(counts)))} simulated devices{over} share {cores} core{'s' * (cores > 1)}"
        + ", of which one host or process has too few" * (min(counts) <= cores)
        for (cores, over), counts in by_cores.items()
    ]
    return [
        f"Oversubscribed: {'; '.join(shared)}; those lines show correctness and what collectives cost, not how "
        "hardware scales."
    ]


def _cores(record: Record, measured: Sequence[Summary]) -> list[str]:
    """Where each case has its own cores, `single` hasn't got all of them."""
    cores = len(record.host.usable_cores)
    if (
        not record.backend.simulated
        or not record.pinned
        or cores == 1
        or not any(s.speedup and s.case.devices > 1 for s in measured)
    ):
        return []
    return [
        f"Each case has as many cores as devices, so single has one of {cores} here. By itself XLA would use them all "
        "for a large step: more devices on a CPU show what scales, not what would be quicker than single on every core."
    ]


def _turns(record: Record, cases: Sequence[Summary]) -> list[str]:
    return [
        f"{name}: not all of its cases could be alive at once, so they took turns, each with what it is compared with, "
        "in an order drawn anew for each restart. Ratios are of workers asked in the same rounds; between times of "
        "different cases lies what changed in the meantime, and their intervals have it."
        for name in dict.fromkeys(summary.case.workload for summary in cases)
        if in_turns(record, name)
    ]


def _without_single(cases: Sequence[Summary]) -> list[str]:
    lacking = dict.fromkeys(s.case.workload for s in cases if s.step_s and not s.speedup)
    return [f"{name}: single wasn't measured with it, so nothing is compared with it." for name in lacking]


def _checked(cases: Sequence[Summary]) -> list[str]:
    passed = [c for s in cases if (c := s.result.certificate) and not c.failures]
    if not passed:
        return []
    checks = [name for name in _in_order(passed) if all(name in {check.name for check in c.checks} for c in passed)]
    n = len(cases)
    checked = f"{len(passed)} of {n} cases compute" if len(passed) < n else f"All {n} cases compute"
    checked = "The case computes" if n == len(passed) == 1 else checked
    return [f"{checked} what single does ({', '.join(checks)}): checked before anything was timed."]


def _in_order(certificates: Sequence[Certificate]) -> list[str]:
    """The names of all checks, as they first come."""
    return list(dict.fromkeys(check.name for certificate in certificates for check in certificate.checks))


def _unreferenced(cases: Sequence[Summary]) -> list[str]:
    """Once for what is the machine's."""
    found = dict.fromkeys(why for s in cases if (why := s.result.unreferenced) is not None)
    return [
        f"The reference workload could not be run, without which `history` can't tell a slower machine from a slower "
        f"commit: {why}."
        for why in found
    ]


def _resumed(record: Record) -> list[str]:
    if not record.resumed:
        return []
    parts = " and ".join(f"{part.created} (after {part.after_s:.0f} s)" for part in record.resumed)
    return [f"The run was ended and gone on with at {parts}: its restarts are of different times."]


def _unfinished(record: Record, cases: Sequence[Summary]) -> list[str]:
    if not record.complete:
        return ["The run was ended before its last round: what stands here is what there was by then."]
    said, budget_s = _resumed(record), record.schedule.budget_s
    few = [s for s in cases if s.step_s and s.step_s["latency"].restarts < record.schedule.restarts]
    if few:
        had = sorted({s.step_s["latency"].restarts for s in few})
        restarts = f"{had[0]} to {had[-1]}" if len(had) > 1 else f"{had[0]}"
        said.append(
            f"The budget of {budget_s:g} s allowed {restarts} of {record.schedule.restarts} restarts for "
            f"{len(few)} case{'s' * (len(few) != 1)}; --budget gives more time and narrower intervals."
        )
    if record.seconds > OVERRUN * budget_s:
        said.append(
            f"It took {record.seconds:.0f} s, and the budget was {budget_s:g} s: each case is compiled, checked and "
            "asked once, whatever that takes."
        )
    return said


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
    return names.in_prose(summary.case) + (" (oversubscribed)" if summary.oversubscribed else "")
