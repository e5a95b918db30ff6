"""What can be counted exactly of two versions, and isn't the same in both, however small the change."""

from __future__ import annotations

from bench.contrast import Contrast, Held, Match
from bench.measured import Cost
from bench.report import quantity
from bench.report.document import Column, Table
from bench.report.verdicts import collectives

# In older records; a step without a product has none to compare.
UNCOUNTED = "not counted"


def table(base: Held, contrast: Contrast) -> Table:
    """A row for each count of a case that changed; none of other hardware, whose compilers count differently."""
    columns = (
        Column("case", numeric=False),
        Column("count", numeric=False),
        *(Column(held.name) for held in (base, contrast.other)),
    )
    rows = [
        (name, what, a, b)
        for name, match in contrast.matches.items()
        if (costs := _costs(contrast, match))
        for (what, a), (_, b) in zip(counted(costs[0]), counted(costs[1]), strict=True)
        if a != b and UNCOUNTED not in (a, b)
    ]
    return Table(f"Counts that changed from {base.name} to {contrast.other.name}", columns, tuple(rows))


def sentences(base: Held, contrast: Contrast) -> list[str]:
    """That nothing changed, where that is so."""
    if not any(_costs(contrast, match) for match in contrast.matches.values()) or table(base, contrast).rows:
        return []
    both = f"{base.name} and {contrast.other.name}"
    return [f"Exact counts (FLOPs, bytes, peak memory, collectives) are the same in {both}."]


def _costs(contrast: Contrast, match: Match) -> tuple[Cost, Cost] | None:
    a, b = match.base.result.cost, match.other.result.cost
    return (a, b) if a and b and contrast.relation == "versions" and not match.unlike else None


def counted(cost: Cost) -> list[tuple[str, str]]:
    """What each count is of, and the count."""
    return [
        ("FLOPs of a step", _grouped(cost.flops)),
        ("FLOPs of its products", _grouped(cost.product_flops) if cost.product_flops else UNCOUNTED),
        ("bytes accessed", _grouped(cost.accessed_bytes)),
        ("peak memory, bytes", _grouped(cost.peak_bytes)),
        ("collectives", collectives(cost.collectives)),
    ]


def _grouped(count: float) -> str:
    return quantity.Number(f"{count:,.0f}", count)
