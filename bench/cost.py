"""What a compiled program needs: FLOPs, bytes, memory, collectives. Exact counts, not times."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.flops import counted
from bench.measured import Collective, Cost
from toynet.errors import UsageError

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute", "collective-broadcast")

_NUMPY = {"pred": "bool", "bf": "bfloat", "f": "float", "s": "int", "u": "uint", "c": "complex"}
_INSTRUCTION = re.compile(rf" = (?P<shape>.*?) (?P<kind>{'|'.join(KINDS)})(?P<start>-start)?\(")
_OPCODE = re.compile(r" = .*? (?P<opcode>[a-z][a-z0-9-]*)\(")
# They name what is there already, or wait for what was started.
_FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all"}
_ARRAY = re.compile(r"\b(?P<kind>pred|bf|f|s|u|c)(?P<bits>\d*)(?P<variant>\w*)\[(?P<dims>[\d,]*)\]")
_LAYOUT_OR_COMMENT = re.compile(r"\{[^{}]*\}|/\*.*?\*/")
_TUPLE_OR_ARRAY = re.compile(r"\([^()]*\)|\w+\[[\d,]*\]")
_DIMENSION = re.compile(r"\bdimensions=\{(\d+)\}")
_LISTED_GROUPS = re.compile(r"replica_groups=\{\{(?P<first>[\d,]*)\}")
# Since jax 0.12: the axes of a mesh with their sizes, and those of them that a group extends over.
_MESH_GROUPS = re.compile(r"replica_groups=mesh\[(?P<axes>[^\]]*)\]\s*\{(?P<over>[^}]*)\}")
_IOTA_GROUPS = re.compile(r"replica_groups=\[(?P<count>\d+),(?P<size>\d+)\]<=")


@dataclass(frozen=True)
class Shape:
    """An array on one device."""

    dtype: str
    """By NumPy's name, or ml_dtypes'."""
    dims: tuple[int, ...]

    @property
    def bytes(self) -> int:
        bits = re.search(r"\d+", self.dtype)
        return math.prod(self.dims) * (int(bits.group()) if bits else 8) // 8


@dataclass(frozen=True)
class Operation:
    """One collective instruction, as one device sees it."""

    kind: str
    group_size: int
    """0: not named, as where pairs are."""
    results: tuple[Shape, ...]
    dimension: int | None = None
    """The one that is gathered, scattered or split, where there is one."""

    @property
    def operands(self) -> tuple[Shape, ...]:
        """One for each result; raises UsageError where that depends on groups that aren't named."""
        if self.kind not in ("all-gather", "reduce-scatter"):
            return self.results
        return tuple(self._operand(result) for result in self.results)

    def _operand(self, result: Shape) -> Shape:
        if self.dimension is None or not self.group_size:
            raise UsageError(
                f"XLA's text names no dimension or no groups of an {self.kind}, on which its operands depend."
            )
        dims, k, n = list(result.dims), self.dimension, self.group_size
        dims[k] = dims[k] // n if self.kind == "all-gather" else dims[k] * n
        return dataclasses.replace(result, dims=tuple(dims))


def of(compiled: Any, jaxpr: Any = None) -> Cost:
    """The cost of a `jax.stages.Compiled`; a count that the backend doesn't give is 0.

    With the jaxpr that it was traced to, its FLOPs count the bodies of loops as often as they run.
    """
    analysis = compiled.cost_analysis() or {}
    memory = compiled.memory_analysis()
    hlo = compiled.as_text() or ""
    cost = Cost(
        flops=float(analysis.get("flops", 0.0)),
        accessed_bytes=float(analysis.get("bytes accessed", 0.0)),
        argument_bytes=getattr(memory, "argument_size_in_bytes", 0),
        output_bytes=getattr(memory, "output_size_in_bytes", 0),
        temporary_bytes=getattr(memory, "temp_size_in_bytes", 0),
        aliased_bytes=getattr(memory, "alias_size_in_bytes", 0),
        collectives=collectives(hlo),
        instructions=instructions(hlo),
    )
    return cost if jaxpr is None else _with_loops(cost, jaxpr)


def _with_loops(cost: Cost, jaxpr: Any) -> Cost:
    """The cost with what XLA, which sees the body of a loop once, has left out."""
    once, looped = counted(jaxpr, loops=False), counted(jaxpr, loops=True)
    return dataclasses.replace(
        cost,
        flops=cost.flops + looped.total - once.total if cost.flops else 0.0,
        product_flops=float(looped.products),
        unknown_loops=looped.unknown_loops,
    )


def operations(hlo: str) -> tuple[Operation, ...]:
    """The collective instructions in the text of a compiled program (XLA's HLO), in its order.

    Enough to build a program of nothing but them. Those in the body of a loop stand there once.
    """
    found = ((_INSTRUCTION.search(line), line) for line in hlo.splitlines())
    return tuple(_operation(instruction, line) for instruction, line in found if instruction)


def _operation(found: re.Match[str], line: str) -> Operation:
    results = _results(found["shape"], asynchronous=bool(found["start"]), kind=found["kind"])
    dimension = _DIMENSION.search(line)
    return Operation(found["kind"], _group_size(line), results, int(dimension[1]) if dimension else None)


def collectives(hlo: str) -> tuple[Collective, ...]:
    """The collectives in the text of a compiled program (XLA's HLO), by kind and group size."""
    return summed(operations(hlo))


def instructions(hlo: str) -> int:
    """What the text of a compiled program runs one after another; the body of a loop, or of a fusion, as one."""
    entry = hlo.partition("\nENTRY ")[2].partition("\n}")[0]
    opcodes = [found["opcode"] for line in entry.splitlines() if (found := _OPCODE.search(line))]
    return sum(opcode not in _FREE and not opcode.endswith("-done") for opcode in opcodes)


def summed(found: Sequence[Operation]) -> tuple[Collective, ...]:
    """Collective instructions by kind and group size."""
    groups: dict[tuple[str, int], list[Operation]] = {}
    for operation in found:
        groups.setdefault((operation.kind, operation.group_size), []).append(operation)
    return tuple(_together(kind, size, some) for (kind, size), some in sorted(groups.items()))


def _together(kind: str, group_size: int, found: Sequence[Operation]) -> Collective:
    results = [result for operation in found for result in operation.results]
    return Collective(kind, len(found), sum(result.bytes for result in results), group_size, len(results))


def _results(text: str, *, asynchronous: bool, kind: str) -> tuple[Shape, ...]:
    text = _LAYOUT_OR_COMMENT.sub("", text).strip()
    if asynchronous and kind != "all-reduce" and text.startswith("("):
        # A start gives its operand or a tuple of them, then its result or a tuple, then what a device may need.
        text = _TUPLE_OR_ARRAY.findall(text[1:-1])[1]
    return tuple(_shape(array) for array in _ARRAY.finditer(text))


def _shape(found: re.Match[str]) -> Shape:
    variant = f"_{found['variant']}" if found["variant"] else ""
    dims = tuple(int(d) for d in found["dims"].split(",") if d)
    return Shape(f"{_NUMPY[found['kind']]}{found['bits']}{variant}", dims)


def _group_size(line: str) -> int:
    if found := _MESH_GROUPS.search(line):
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", found["axes"]))
        return math.prod(int(sizes[axis]) for axis in re.findall(r"'(\w+)'", found["over"]))
    if found := _IOTA_GROUPS.search(line):
        return int(found["size"])
    if found := _LISTED_GROUPS.search(line):
        return len([i for i in found["first"].split(",") if i])
    return 0
