"""A step taken apart, to be timed beside it: its compute, its collectives, and what its devices can do at most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench import cost, loops, timing
from bench.cost import Operation
from bench.loops import Loop
from bench.measured import Block, Kind, Parts
from bench.timing import Clock
from toynet.mesh import make_mesh
from toynet.program import Program, bind


@dataclass(frozen=True)
class Apart:
    """The parts of one case, compiled: loops by kind of block, and the step without its collectives."""

    told: Parts
    loops: Mapping[Kind, Loop]
    compute: Program | None

    def block(self, kind: Kind, buffers: Any, steps: int, clock: Clock) -> tuple[Any, Block]:
        """So many times round one of the loops, and the buffers afterwards."""
        buffers, seconds = timing.timed(lambda: self.loops[kind].run(buffers, steps), clock)
        return buffers, Block(steps, seconds)


def taken_apart(program: Program, found: Sequence[Operation], dtype: str, *, peaks: bool) -> Apart:
    """The parts of a program whose compiled step has those collectives.

    Without collectives a step is all compute, and has no parts but, with `peaks`, those of its devices.
    """
    mesh = make_mesh(program.layout.member_shards, program.layout.data_shards)
    why_not = _why_not(program, found)
    made: dict[Kind, Loop] = {}
    if found and not why_not:
        made["collectives"] = loops.collectives(found, mesh)
        made["rendezvous"] = loops.collectives(loops.small(found), mesh)
        why_not = _unlike(made["collectives"], found)
    product_flops = stream_bytes = 0.0
    if peaks:
        made["product"], product_flops = loops.product(mesh, dtype)
        made["stream"], stream_bytes = loops.stream(mesh, dtype)
    compute = (
        bind(program.workload, program.mode, program.layout, communicates=False) if "collectives" in made else None
    )
    kinds: tuple[Kind, ...] = (*(("compute",) if compute else ()), *made)
    return Apart(Parts(kinds, product_flops, stream_bytes, why_not), made, compute)


def _why_not(program: Program, found: Sequence[Operation]) -> str:
    """Why collectives can't be parted from the rest, in words; empty if they can."""
    if found and program.workload.virtual_shards:
        return "sums in a fixed order over all devices have no compute of their own"
    groups = program.layout.data_shards
    strange = [one for one in found if one.kind not in loops.COLLECTIVES or one.group_size != groups]
    return f"{strange[0].kind} over {strange[0].group_size or 'pairs'} can't be made alone" if strange else ""


def _unlike(loop: Loop, found: Sequence[Operation]) -> str:
    """How a loop's collectives aren't those found, in words; empty if they are."""
    there, wanted = (
        {f"{one.count} {one.kind} of {one.bytes} bytes over {one.group_size}" for one in cost.summed(operations)}
        for operations in (cost.operations(loop.compiled.as_text()), found)
    )
    return f"its collectives alone were compiled to {', '.join(sorted(there)) or 'nothing'}" if there != wanted else ""
