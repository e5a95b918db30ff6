"""What needs each case has, as a table: apart from records, so that cases are listed soon."""

from __future__ import annotations

from collections.abc import Sequence

from bench.cases import Case
from bench.report import quantity
from bench.report.document import Column, Table
from bench.room import Shapes, state_bytes

COLUMNS = (
    Column("case", numeric=False),
    Column("devices"),
    Column("cores"),
    Column("state", expendable=1),
    Column("remarks", numeric=False),
)


def build(cases: Sequence[tuple[Case, Shapes | None]], cores: int) -> Table:
    """What each case needs; with the shapes of one member's parameters (None: not known) and the cores there are."""
    return Table("cases", COLUMNS, tuple(_needs(case, shapes, cores) for case, shapes in cases))


def _needs(case: Case, shapes: Shapes | None, cores: int) -> tuple[str, ...]:
    state = None if shapes is None else state_bytes(case, shapes)
    remarks = "oversubscribed on this CPU" if case.devices > cores else ""
    return case.name, case.mesh, str(min(case.devices, cores)), quantity.size(state), remarks
