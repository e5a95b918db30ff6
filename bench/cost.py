"""What a compiled program needs: FLOPs, bytes, memory, collectives. Exact counts, not times."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

from bench.measured import Collective, Cost

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute", "collective-broadcast")

_BITS = {"pred": 8, "bf16": 16, "f16": 16, "f32": 32, "f64": 64, "c64": 64, "c128": 128}
_INSTRUCTION = re.compile(rf" = (?P<shape>.*?) (?P<kind>{'|'.join(KINDS)})(?P<start>-start)?\(")
_ARRAY = re.compile(r"\b(?P<dtype>[a-z]+\d*)\w*\[(?P<dims>[\d,]*)\]")
_LISTED_GROUPS = re.compile(r"replica_groups=\{\{(?P<first>[\d,]*)\}")
# Since jax 0.12: the axes of a mesh with their sizes, and those of them that a group extends over.
_MESH_GROUPS = re.compile(r"replica_groups=mesh\[(?P<axes>[^\]]*)\]\s*\{(?P<over>[^}]*)\}")
_IOTA_GROUPS = re.compile(r"replica_groups=\[(?P<count>\d+),(?P<size>\d+)\]<=")


def of(compiled: Any) -> Cost:
    """The cost of a `jax.stages.Compiled`; a count that the backend doesn't give is 0."""
    analysis = compiled.cost_analysis() or {}
    memory = compiled.memory_analysis()
    return Cost(
        flops=float(analysis.get("flops", 0.0)),
        accessed_bytes=float(analysis.get("bytes accessed", 0.0)),
        argument_bytes=getattr(memory, "argument_size_in_bytes", 0),
        output_bytes=getattr(memory, "output_size_in_bytes", 0),
        temporary_bytes=getattr(memory, "temp_size_in_bytes", 0),
        aliased_bytes=getattr(memory, "alias_size_in_bytes", 0),
        collectives=collectives(compiled.as_text() or ""),
    )


def collectives(hlo: str) -> tuple[Collective, ...]:
    """The collectives in the text of a compiled program (XLA's HLO), by kind and group size."""
    counts: Counter[tuple[str, int]] = Counter()
    sizes: Counter[tuple[str, int]] = Counter()
    for line in hlo.splitlines():
        if found := _INSTRUCTION.search(line):
            key = (found["kind"], _group_size(line))
            counts[key] += 1
            sizes[key] += _result_bytes(found["shape"], asynchronous=bool(found["start"]), kind=found["kind"])
    return tuple(Collective(kind, n, sizes[kind, group], group) for (kind, group), n in sorted(counts.items()))


def _result_bytes(shape: str, *, asynchronous: bool, kind: str) -> int:
    arrays = [_array_bytes(found) for found in _ARRAY.finditer(shape)]
    if asynchronous and kind != "all-reduce":
        arrays = arrays[len(arrays) // 2 :]  # a start gives its operands, then its results
    return sum(arrays)


def _array_bytes(found: re.Match[str]) -> int:
    dims = [int(d) for d in found["dims"].split(",") if d]
    digits = re.search(r"\d+", found["dtype"])
    bits = _BITS.get(found["dtype"]) or (int(digits.group()) if digits else 0)
    return math.prod(dims) * bits // 8


def _group_size(line: str) -> int:
    if found := _MESH_GROUPS.search(line):
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", found["axes"]))
        return math.prod(int(sizes[axis]) for axis in re.findall(r"'(\w+)'", found["over"]))
    if found := _IOTA_GROUPS.search(line):
        return int(found["size"])
    if found := _LISTED_GROUPS.search(line):
        return len([i for i in found["first"].split(",") if i])
    return 0
