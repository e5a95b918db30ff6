"""A step taken apart, to be timed beside it: its compute, its collectives, and what its devices can do at most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jax.sharding import Mesh

from bench import cost, loops, timing
from bench.cost import Operation
from bench.flops import loops_with_collectives, product_dtype
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


def taken_apart(program: Program, found: Sequence[Operation], jaxpr: Any, *, peaks: bool) -> Apart:
    """The parts of a program whose compiled step, traced to a jaxpr, has those collectives.

    Without collectives a step is all compute, and has no parts but, with `peaks`, those of its devices.
    """
    layout = program.layout
    over = (layout.processes,) if getattr(layout, "processes", 1) > 1 else ()  # a side's toynet may be older
    mesh = make_mesh(layout.member_shards, layout.data_shards, *over)
    made, why_not = _collectives(program, found, jaxpr, mesh) if found else ({}, "")
    compute = bind(program.workload, program.mode, layout, communicates=False) if made else None
    product_flops = stream_bytes = 0.0
    dtype = product_dtype(jaxpr) or "float32"
    if peaks:
        made["product"], product_flops = loops.product(mesh, dtype)
        made["stream"], stream_bytes = loops.stream(mesh)
    kinds: tuple[Kind, ...] = (*(("compute",) if compute else ()), *made)
    return Apart(Parts(kinds, product_flops, stream_bytes, dtype, why_not), made, compute)


def _collectives(program: Program, found: Sequence[Operation], jaxpr: Any, mesh: Mesh) -> tuple[dict[Kind, Loop], str]:
    """Loops of the collectives alone; or none, and why they can't be parted from the rest."""
    if why_not := _why_not(program, found, jaxpr):
        return {}, why_not
    whole, small = loops.collectives(found, mesh), loops.collectives(loops.small(found), mesh)
    there, wanted = cost.operations(whole.compiled.as_text()), found
    if cost.summed(there) != cost.summed(wanted):
        return {}, f"its collectives alone were compiled to {_told(there)}"
    made: dict[Kind, Loop] = {"collectives": whole}
    # Where small ones are combined into fewer, they say nothing of the time that so many take.
    if len(cost.operations(small.compiled.as_text())) == len(found):
        made["rendezvous"] = small
    return made, ""


def _why_not(program: Program, found: Sequence[Operation], jaxpr: Any) -> str:
    if program.workload.virtual_shards:
        return "sums in a fixed order over all devices have no compute of their own"
    if loops_with_collectives(jaxpr):
        return "collectives in the body of a loop run more often than they are named"
    for one in found:
        if one.kind not in loops.COLLECTIVES or one.group_size != program.layout.data_shards:
            return f"{one.kind} over {one.group_size or 'pairs'} can't be made alone"
        if one.dimension is None and one.kind != "all-reduce":
            return f"{one.kind} can't be made alone where the compiler names no dimension"
        if strange := [shape.dtype for shape in one.results if shape.dtype not in loops.DTYPES]:
            return f"{one.kind} of {strange[0]} can't be made alone"
    return ""


def _told(operations: Sequence[Operation]) -> str:
    collectives = cost.summed(operations)
    return ", ".join(f"{one.count} {one.kind} of {one.bytes} bytes" for one in collectives) or "nothing"
