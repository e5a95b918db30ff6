"""What the fast path of each case gains over its plain one, measured beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from bench.measured import Kind
from bench.record import CaseResult
from bench.report import names, quantity
from bench.summary import has_fused, ratio


def path_sentences(results: Sequence[CaseResult]) -> list[str]:
    """A sentence for each fast case whose plain one was measured in the same rounds."""
    measured = {result.case: result for result in results if result.status == "measured"}
    said = []
    for case, fast in measured.items():
        plain = measured.get(dataclasses.replace(case, path="plain"))
        if case.path == "fast" and plain:
            said += _gain(fast, plain)
    return said


def _gain(fast: CaseResult, plain: CaseResult) -> list[str]:
    kind: Kind = "fused" if has_fused(fast) and has_fused(plain) else "latency"
    gain = ratio(plain, fast, kind)
    if gain is None:
        return []
    case = fast.case
    which = f"{case.workload}: {names.in_prose(case)} makes a {'fused' if kind == 'fused' else 'waited'} step"
    unclear = gain.low is not None and gain.high is not None and gain.low <= 1 <= gain.high
    return [f"{which} {quantity.between(gain)} as fast as the plain path{': no clear difference' * unclear}."]
