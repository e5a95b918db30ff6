"""What was measured on the largest number of devices, as the model foretells it from fewer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench import cost_model
from bench.cost_model import Model, Row, fitted, rows
from bench.links import Spread
from bench.measured import Kind
from bench.projection import Source
from bench.record import CaseResult
from bench.stats import Estimate
from bench.summary import in_restarts


@dataclass(frozen=True)
class HeldOut:
    """A case that was measured, as the model foretells it from fewer devices."""

    result: CaseResult
    kind: Kind
    measured: Estimate
    predicted: Estimate

    @property
    def error(self) -> float:
        """Of the prediction, relative to what was measured."""
        return self.predicted.value / self.measured.value - 1


def held_out(source: Source) -> list[HeldOut]:
    """The steps on the largest number of devices, foretold without them; the link's own blocks there are kept
    where no smaller number of devices has one."""
    largest = max(result.case.devices for result in source.several)
    fewer = [r for r in source.several if r.case.devices < largest]
    apart = [r for r in source.several if r.case.devices == largest]
    data = rows([*source.one, *fewer], source.spreads)
    known = {term for row in data for term in row.over.links}
    data += [
        row
        for row in rows(apart, source.spreads)
        if row.kind in ("collectives", "rendezvous") and not known >= set(row.over.links)
    ]
    cost = apart[0].cost
    assert cost is not None
    found = fitted(data, cost.collectives, {})
    return [
        _foretold(found, result, source.spreads[result.case], kind)
        for result in apart
        for kind in _stepping(result, source.spreads[result.case], found.rows)
    ]


def _stepping(result: CaseResult, over: Spread, data: Sequence[Row]) -> tuple[Kind, ...]:
    """What can be foretold: `latency` only if the time to dispatch to devices that are spread so is known."""
    known = any(cost_model.dispatch(over) in row.terms for row in data)
    kinds: tuple[Kind, ...] = ("fused", "latency") if known else ("fused",)
    return tuple(kind for kind in kinds if in_restarts(result, kind)) or ("latency",)


def _foretold(found: Model, result: CaseResult, over: Spread, kind: Kind) -> HeldOut:
    case = result.case
    assert result.cost is not None
    measured = in_restarts(result, kind)
    assert measured is not None
    return HeldOut(
        result,
        kind,
        measured,
        found.predicted(cost_model.terms(kind, over, cost_model.share(case), result.cost.collectives)),
    )
