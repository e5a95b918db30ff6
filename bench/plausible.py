"""What a record's numbers and cases can be. No I/O; what contradicts what is for each kind of record to say."""

from __future__ import annotations

import builtins
import dataclasses
import datetime
import functools
import operator
import types
import typing
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from bench.cases import PATHS, Case
from bench.measured import Block, Certificate, Cost
from bench.stats import Estimate
from toynet import modes
from toynet.errors import UsageError

# Far beyond all that can be measured, and near enough that whatever is reckoned with them stays a number.
SECONDS_AT_MOST = 1e9
STEP_S_AT_LEAST = 1e-12
LOG_AT_MOST = 30.0
NUMBER_AT_MOST = 1e30
SIZE_BELOW = 2**31

COUNT_AT_MOST = 2**53  # as many as JSON's readers elsewhere keep exactly

_COUNT = msgspec.Meta(ge=0, le=COUNT_AT_MOST)
_SIGNED = msgspec.Meta(ge=-NUMBER_AT_MOST, le=NUMBER_AT_MOST)
_BY_NAME = {
    "seconds": msgspec.Meta(ge=0.0, le=SECONDS_AT_MOST),
    "logs": msgspec.Meta(ge=-LOG_AT_MOST, le=LOG_AT_MOST),
    "losses": msgspec.Meta(),  # any that is finite: they are compared, and nothing is reckoned with them
    "temperature_c": _SIGNED,
    "flops": _SIGNED,  # XLA counts what it doesn't know as -1
    "accessed_bytes": _SIGNED,
}
_OTHER = msgspec.Meta(ge=0.0, le=NUMBER_AT_MOST)


@functools.cache
def narrowed(kind: type) -> type:
    """A struct with the fields of a struct or dataclass, to decode for the sake of errors: no others, all the way down,
    and each number within what its name allows."""
    hints = typing.get_type_hints(kind)
    told = msgspec.inspect.type_info(kind)
    assert isinstance(told, msgspec.inspect.StructType | msgspec.inspect.DataclassType)
    fields: list[Any] = [
        (name, _narrowed(hints[name], name), *(() if field.required else (None,)))
        for field in told.fields
        for name in [field.name]
    ]
    tag = told.tag if isinstance(told, msgspec.inspect.StructType) else None
    return msgspec.defstruct(kind.__name__, fields, forbid_unknown_fields=True, kw_only=True, tag=tag)


def _narrowed(hint: Any, name: str) -> Any:
    """A field's type, its numbers bounded."""
    if hint is int:
        return Annotated[int, _COUNT]
    if hint is float:
        return Annotated[float, _BY_NAME.get("seconds" if name.endswith("_s") else name, _OTHER)]
    if isinstance(hint, type) and (issubclass(hint, msgspec.Struct) or dataclasses.is_dataclass(hint)):
        return narrowed(hint)
    inner = tuple(_narrowed(one, name) for one in typing.get_args(hint))
    match typing.get_origin(hint):
        case builtins.tuple:
            return tuple[inner]
        case builtins.dict:
            return dict[inner[0], inner[1]]
        case typing.Union | types.UnionType:
            return functools.reduce(operator.or_, inner)
    return hint


def fault_of_case(case: Case) -> str:
    """Why there can't be such a case; empty if there can."""
    try:
        modes.check(modes.by_name(case.mode), case.layout)
    except UsageError as error:
        return str(error).rstrip(".")
    if not case.workload:
        return "its workload has no name"
    if case.path not in PATHS:
        return f"its path is {case.path!r}, and is to be one of {', '.join(PATHS)}"
    if (case.hidden_layers is None) != (case.hidden_dim is None):
        return "it has one of hidden_layers and hidden_dim, and is to have both or none"
    sizes = ("members", "batch", "member_shards", "data_shards", "processes")
    too_large = [name for name in sizes if getattr(case, name) >= SIZE_BELOW]
    return f"its {too_large[0]} must be below 2**31, got {getattr(case, too_large[0])}" if too_large else ""


def fault_of_refused(certificate: Certificate, case: Case) -> str:
    """Why a case's workload can't have been refused those modes; empty if it can."""
    try:
        refused = [modes.by_name(mode).name for mode, _ in certificate.refused]
    except UsageError as error:
        return str(error).rstrip(".")
    return "its own mode is among them" if case.mode in refused else ""


def fault_of_ranks(ranks: Sequence[int], machines: Sequence[int]) -> str:
    """Why processes can't have those ranks, in that order, on those machines; empty if they can."""
    if list(ranks) != list(range(len(ranks))):
        return f"their ranks are {', '.join(map(str, ranks))}, and are to be from 0 on, in order"
    if list(dict.fromkeys(machines)) != list(range(len(set(machines)))):
        return f"their machines are {', '.join(map(str, machines))}, and are to be numbered from 0 on"
    return ""


def fault_of_spread(block: Block, processes: int) -> str:
    """Why a block can't have taken so long in each of a case's processes; empty if it can."""
    each = block.processes_s
    if each and (processes == 1 or len(each) != processes):
        return f"its processes_s are of {len(each)} processes, and its case is over {processes}"
    if each and max(each) != block.seconds:
        return f"its seconds of {block.seconds:g} aren't the largest of its processes_s, {max(each):g}"
    return ""


def fault_of_date(text: str) -> str:
    """Why that is no time in UTC as records have it; empty if it is one."""
    try:
        told = datetime.datetime.fromisoformat(text)
    except ValueError:
        told = None
    return "" if told and told.tzinfo else f"a time such as 2026-11-25T08:00:00Z was expected, got {text}"


def fault_of_time(seconds: float, times: int) -> str:
    """Why so many steps, or trainings, can't have taken so long; empty if they can."""
    if times < 1:
        return "it has no step"
    return "" if seconds / times >= STEP_S_AT_LEAST else f"its time of {seconds:g} s for {times} can't be"


def fault_of_cost(cost: Cost) -> str:
    """Why nothing can be counted so; empty if it can: there is none, or one at least."""
    counts = {"flops": cost.flops, "accessed_bytes": cost.accessed_bytes, "product_flops": cost.product_flops}
    small = [f"{name} of {count:g}" for name, count in counts.items() if 0 < count < 1]
    return f"its {small[0]} are less than one" if small else ""


def fault_of_interval(estimate: Estimate) -> str:
    """Why a positive quantity can't have such an interval; empty if it can."""
    value, low, high = estimate.value, estimate.low, estimate.high
    if (low is None) != (high is None):
        return "its interval has one end"
    if not 0 < (value if low is None else low) <= value <= (value if high is None else high):
        return f"{value:g} isn't within its interval of {low} to {high}"
    return ""
