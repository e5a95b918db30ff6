"""What needs each case has, as a table: apart from records, so that cases are listed soon."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.cases import Case
from bench.report import quantity
from bench.report.document import Column, Table
from toynet import modes

COLUMNS = (
    Column("case", numeric=False),
    Column("devices"),
    Column("cores"),
    Column("state", expendable=1),
    Column("remarks", numeric=False),
)

# For each parameter adam keeps two moments.
MOMENTS = 2

Shapes = Sequence[Sequence[int]]


def build(cases: Sequence[tuple[Case, Shapes | None]], cores: int) -> Table:
    """What each case needs; with the shapes of one member's parameters (None: not known) and the cores there are."""
    return Table("cases", COLUMNS, tuple(_needs(case, shapes, cores) for case, shapes in cases))


def _needs(case: Case, shapes: Shapes | None, cores: int) -> tuple[str, ...]:
    itemsize = {"float32": 4, "float64": 8}[case.dtype]
    numbers = None if shapes is None else sum(math.prod(shape) * _copies(case, shape) for shape in shapes)
    state = None if numbers is None else itemsize * numbers * case.layout.padded_members
    remarks = "oversubscribed on this CPU" if case.devices > cores else ""
    return case.name, case.mesh, str(min(case.devices, cores)), quantity.size(state), remarks


def _copies(case: Case, shape: Sequence[int]) -> int:
    """How often a member's parameter and its moments lie on all devices together: once for each data shard, or once
    divided over them."""
    mode, shards = modes.by_name(case.mode), case.data_shards
    divides = modes.divided_axis(shape, shards) is not None
    once_params, once_moments = mode.shards_params and divides, mode.shards_state and divides
    return (1 if once_params else shards) + MOMENTS * (1 if once_moments else shards)
