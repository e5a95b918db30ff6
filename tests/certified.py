"""The certificate of a program as the worker makes it, and what it found wrong."""

from __future__ import annotations

from typing import Any

from bench import certificate
from bench.certificate import TraceCount, certify
from bench.cost import of
from bench.holder import SEED, epoch_of
from bench.measured import Certificate
from bench.memo import Memo
from bench.reference import Reference, unstacked
from toynet import modes
from toynet.program import Program, bind
from toynet.workload import Workload, loss


def certified(
    workload: Workload,
    mode: str,
    layout: modes.Layout,
    doctor: Any = lambda program: program,
    *,
    fused: bool = True,
    products: str | None = None,
) -> Certificate:
    """The certificate of a program as the worker makes it, after `doctor` has changed the program."""
    traces = TraceCount()
    program: Program = doctor(bind(traces.counted(workload), modes.by_name(mode), layout))
    batches = epoch_of(workload, layout.batch)
    state = program.init(program.keys(SEED))
    initial = program.members(state, certificate.checked_members(program))
    placed = program.place(unstacked(batches)[0])
    found = of(program.step.trace(state, placed).lower().compile()).collectives  # type: ignore[attr-defined]
    state, metrics = program.step(state, placed)
    losses = program.members(loss(metrics), certificate.checked_members(program))
    reference = Reference(program, Memo(), "test")
    return certify(
        program,
        reference,
        initial,
        losses,
        state,
        batches,
        fused=fused,
        seed=SEED,
        dtype="float32",
        products=products,
        traces=traces,
        found=found,
    )[0]


def failed(made: Certificate) -> set[str]:
    return {check.name for check in made.checks if not check.passed}
