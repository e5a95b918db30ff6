"""A step taken apart, to be timed beside it: its compute, its collectives, and what its devices can do at most."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from bench import cost, loops, timing
from bench.cost import Operation
from bench.loops import Loop
from bench.measured import Block, Collective, Kind, Parts
from toynet.mesh import make_mesh
from toynet.program import Program, bind


@dataclass(frozen=True)
class Apart:
    """The parts of one case, compiled: loops by kind, and the step without its collectives."""

    told: Parts
    loops: Mapping[Kind, Loop]
    compute: Program | None


def taken_apart(program: Program, found: Sequence[Operation], dtype: str, *, peaks: bool) -> Apart:
    """The parts of a program whose compiled step has those collectives.

    Without collectives a step is all compute and has no parts but, with `peaks`, those of its devices.
    """
    mesh = make_mesh(program.layout.member_shards, program.layout.data_shards)
    made: dict[Kind, Loop] = {}
    product_flops = stream_bytes = 0.0
    compute, why_not = None, ""
    if found:
        why_not = _why_not(program)
        if not why_not:
            compute = bind(program.workload, program.mode, program.layout, communicates=False)
        made |= {
            "collectives": loops.collectives(found, mesh),
            "rendezvous": loops.collectives(loops.small(found), mesh),
        }
        why_not = why_not or _unlike(made["collectives"], found)
    if peaks:
        made["product"], product_flops = loops.product(mesh, dtype)
        made["stream"], stream_bytes = loops.stream(mesh, dtype)
    kinds: tuple[Kind, ...] = (*(("compute",) if compute else ()), *made)
    return Apart(Parts(kinds, product_flops, stream_bytes, why_not), made, compute)


def _why_not(program: Program) -> str:
    return "its sums are made in a fixed order over all devices" if program.workload.virtual_shards else ""


def _unlike(loop: Loop, found: Sequence[Operation]) -> str:
    """How a loop's collectives aren't those found, in words; empty if they are."""
    there, wanted = cost.operations(loop.compiled.as_text()), found
    told = {str(c) for c in cost.summed(there)} ^ {str(c) for c in cost.summed(wanted)}
    return f"alone, its collectives are compiled to others: {', '.join(sorted(told))}" if told else ""
