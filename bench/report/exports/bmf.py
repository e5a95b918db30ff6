"""Bencher Metric Format: `{benchmark: {measure: {value, lower_value, upper_value}}}`, in Bencher's own units."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bench.comparison import Comparison
from bench.record import Record
from bench.report.exports.source import Source, judged, nanoseconds, one, pair_name, timed
from bench.stats import Estimate

Metric = dict[str, float]
Benchmarks = dict[str, dict[str, Metric]]


def render(sources: Sequence[Source]) -> str:
    """Of one record: `latency` (ns a step), `throughput` (samples/s), `peak-memory` (B); of a comparison: `ratio`."""
    content = one(sources)
    found = _compared(content) if isinstance(content, Comparison) else _measured(content)
    return json.dumps(found, indent=1) + "\n"


def _measured(record: Record) -> Benchmarks:
    found: Benchmarks = {}
    for of in timed(record):
        found[of.name] = {"latency": _step(of.step_s), "throughput": _metric(of.samples_per_s)}
        if (cost := of.summary.result.cost) is not None:
            found[of.case.name] = {"peak-memory": {"value": float(cost.peak_bytes)}}
    return found


def _compared(comparison: Comparison) -> Benchmarks:
    found: Benchmarks = {}
    for pair in judged(comparison):
        ratio, step_s = pair.trial.ratio, pair.step_s("B")
        assert ratio is not None
        latency = {} if step_s is None else {"latency": _step(step_s)}
        found[pair_name(comparison, pair)] = {"ratio": _metric(ratio), **latency}
    return found


def _step(step_s: Estimate) -> Metric:
    return {end: nanoseconds(value) for end, value in _metric(step_s).items()}


def _metric(of: Estimate) -> Metric:
    """Without an interval, the value alone."""
    if of.low is None or of.high is None:
        return {"value": of.value}
    return {"value": of.value, "lower_value": of.low, "upper_value": of.high}
