"""The JSON that github-action-benchmark reads as its tool `customSmallerIsBetter`: a list of entries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bench.comparison import Comparison, PairResult
from bench.record import Record
from bench.report.exports.source import Source, Timed, judged, nanoseconds, one, pair_name, timed
from bench.stats import Estimate


def render(sources: Sequence[Source]) -> str:
    """Of one record: nanoseconds a step, and peak memory; of a comparison: the ratio B / A, and B's step."""
    content = one(sources)
    entries = _compared(content) if isinstance(content, Comparison) else _measured(content)
    return json.dumps(entries, indent=1) + "\n"


def _measured(record: Record) -> list[dict[str, Any]]:
    steps = timed(record)
    entries = [_step(of.name, of.step_s, _noted(of)) for of in steps]
    peaks = {of.case.name: of.summary.result.cost for of in steps}
    return entries + [
        {"name": f"{name}/peak memory", "unit": "B", "value": cost.peak_bytes, "extra": "exact, as the compiler counts"}
        for name, cost in peaks.items()
        if cost is not None
    ]


def _noted(of: Timed) -> list[str]:
    said = f"{len(of.blocks)} blocks, {of.samples_per_s.value:.4g} samples/s"
    return [said, *["oversubscribed: simulated devices share cores"] * of.summary.oversubscribed]


def _compared(comparison: Comparison) -> list[dict[str, Any]]:
    return [entry for pair in judged(comparison) for entry in _pair(comparison, pair)]


def _pair(comparison: Comparison, pair: PairResult) -> list[dict[str, Any]]:
    name, ratio, step_s = pair_name(comparison, pair), pair.trial.ratio, pair.step_s("B")
    assert ratio is not None
    noted = [f"{pair.verdict}, by a threshold of {comparison.rule.threshold:.3g}"]
    entries = [_entry(f"{name} B / A", "B / A", ratio, noted)]
    return entries if step_s is None else [*entries, _step(name, step_s, noted)]


def _step(name: str, step_s: Estimate, noted: Sequence[str]) -> dict[str, Any]:
    low, high = (None if end is None else nanoseconds(end) for end in (step_s.low, step_s.high))
    return _entry(name, "ns/iter", Estimate(nanoseconds(step_s.value), low, high, step_s.restarts), noted)


def _entry(name: str, unit: str, of: Estimate, noted: Sequence[str]) -> dict[str, Any]:
    """`range` is half of the interval, and missing without one; `extra` has its ends."""
    entry: dict[str, Any] = {"name": name, "unit": unit, "value": of.value}
    interval = f"no interval, from {of.restarts} restart"
    if of.low is not None and of.high is not None:
        entry["range"] = f"± {(of.high - of.low) / 2:.4g}"
        interval = f"95% interval {of.low:.6g} to {of.high:.6g}, from {of.restarts} restarts"
    return entry | {"extra": "\n".join([interval, *noted])}
