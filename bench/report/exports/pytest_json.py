"""pytest-benchmark's JSON, for its `compare` and `--histogram`: a benchmark a case and kind, a round a block."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import Any

from bench.record import Record
from bench.report.exports.source import Source, Timed, one, timed

# The oldest version of pytest-benchmark that has this shape, and that this project takes.
VERSION = "5.1.0"


def render(sources: Sequence[Source]) -> str:
    """Of one record of a run."""
    record = one(sources)
    assert isinstance(record, Record)
    found = {
        "machine_info": _machine(record),
        "commit_info": {"id": record.host.commit or "unknown", "dirty": record.host.dirty, "time": record.created},
        "benchmarks": [_benchmark(of) for of in timed(record)],
        "datetime": record.created,
        "version": VERSION,
    }
    return json.dumps(found, indent=1) + "\n"


def _machine(record: Record) -> dict[str, Any]:
    host, backend = record.host, record.backend
    system, release, machine = [*host.os.split(), "", "", ""][:3]
    return {
        "node": "",
        "processor": host.cpu_model,
        "machine": machine,
        "system": system,
        "release": release,
        "python_implementation": "CPython",
        "python_version": backend.python,
        "cpu": {"brand_raw": host.cpu_model, "count": host.cores},
        "platform": backend.platform,
        "device_kind": backend.device_kind,
        "packages": backend.packages,
    }


def _benchmark(of: Timed) -> dict[str, Any]:
    """In a group with what was timed the same way, as only that compares."""
    case, cost = of.case, of.summary.result.cost
    params = {"workload": case.workload, "mode": case.mode, "devices": case.devices, "members": case.members}
    params |= {"processes": case.processes}
    return {
        "group": f"{case.workload} {of.kind}",
        "name": of.name,
        "fullname": of.name,
        "params": {**params, "batch": case.batch, "variant": " ".join(case.variant), "kind": of.kind},
        "param": of.kind,
        "extra_info": {
            "oversubscribed": of.summary.oversubscribed,
            "step_s": [of.step_s.low, of.step_s.value, of.step_s.high],
            "samples_per_s": of.samples_per_s.value,
            "peak_bytes": cost and cost.peak_bytes,
        },
        "options": {},
        "stats": _stats(of),
    }


def _stats(of: Timed) -> dict[str, Any]:
    """Of the seconds a step of each block, as pytest-benchmark has them of its rounds."""
    data = [block.seconds / block.steps for block in of.blocks]
    ordered, mean, total = sorted(data), statistics.mean(data), sum(data)
    spread = statistics.stdev(data) if len(data) > 1 else 0.0
    q1, q3 = _quartile(ordered), _quartile(ordered[::-1])
    reach = 1.5 * (q3 - q1)
    near = [value for value in ordered if q1 - reach <= value <= q3 + reach]
    far = sum(not mean - spread <= value <= mean + spread for value in data)
    return {
        "min": ordered[0],
        "max": ordered[-1],
        "mean": mean,
        "stddev": spread,
        "rounds": len(data),
        "median": statistics.median(data),
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": len(data) - len(near),
        "stddev_outliers": far,
        "outliers": f"{far};{len(data) - len(near)}",
        "ld15iqr": near[0],
        "hd15iqr": near[-1],
        "ops": len(data) / total,
        "total": total,
        "data": data,
        "iterations": statistics.median_low(block.steps for block in of.blocks),
    }


def _quartile(ordered: Sequence[float]) -> float:
    """The first of ascending values, the third of descending ones.

    The median of a half; of an odd number of values the mean of what the halves have with the middle one and without
    (methods 2 and 3 of https://en.wikipedia.org/wiki/Quartile).
    """
    at, rest = divmod(len(ordered), 4)
    if rest in (0, 2):
        return statistics.median(ordered[: len(ordered) // 2])
    beside = at - 1 if rest == 1 else at + 1  # of a single value it is that one, by index -1
    return 0.75 * ordered[at] + 0.25 * ordered[beside]
