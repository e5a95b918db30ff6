"""What a worker measured, as frozen values that cross the pipe and stand in the record. Imports no JAX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "latency", "throughput", "fused", "compute", "collectives", "rendezvous", "product", "stream", "reference"
]
"""What a block runs; its first three kinds run steps.

latency: every step is waited for; throughput: a chain, bounded in flight; fused: many steps in one program.
compute: steps without their collectives; collectives: those of a step, alone; rendezvous: the same of a
few elements each. product: a large matrix product on every device; stream: a large array, read and written in
place on every device. All but compute in one program; compute too, unless steps are long.
reference: none of the case's own, but a small program that is the same in every run (`bench.yardstick`).
"""

KINDS: tuple[Kind, ...] = ("latency", "throughput", "fused")
PART_KINDS: tuple[Kind, ...] = ("compute", "collectives", "rendezvous", "product", "stream")
REFERENCE: Kind = "reference"


@dataclass(frozen=True)
class Collective:
    """Collectives of one kind over groups of one size, in one step on one device."""

    kind: str
    count: int
    bytes: int
    """Of the results, summed over the count."""
    group_size: int
    arrays: int = 0
    """That they reduce or gather, each by itself where a library knows no several; 0: not counted, in older records."""


@dataclass(frozen=True)
class Cost:
    """What one step needs on one device, as the compiler counts it: exact, not timed."""

    flops: float
    """XLA's count, and what the loops add to it, whose bodies it counts once."""
    accessed_bytes: float
    """XLA's count: the bodies of loops once."""
    argument_bytes: int
    output_bytes: int
    temporary_bytes: int
    aliased_bytes: int
    collectives: tuple[Collective, ...]
    product_flops: float = 0.0
    """Of matrix products and convolutions alone, loops counted: what MFU takes (Chowdhery et al. 2022, PaLM).
    Products that `jax.checkpoint` makes again are among them. 0: not counted, in records of before."""
    unknown_loops: int = 0
    """Loops whose number of iterations isn't known before they run: their bodies are counted once, in all counts."""
    instructions: int = 0
    """What the compiled step runs one after another: fusions, products, copies. 0: not counted, in older records."""

    @property
    def peak_bytes(self) -> int:
        """Arguments, outputs and temporaries, donated buffers counted once."""
        return self.argument_bytes + self.output_bytes + self.temporary_bytes - self.aliased_bytes


@dataclass(frozen=True)
class Stages:
    """From Python to the first result, in seconds."""

    trace_s: float
    lower_s: float
    compile_s: float
    compile_cached: bool
    """Whether a persistent compilation cache answered; compile_s is then the time to load from it."""
    first_step_s: float
    transfer_s: float
    """One batch from the host to its devices."""


@dataclass(frozen=True)
class Block:
    """Steps run back to back, ended by waiting for every output."""

    steps: int
    seconds: float
    dispatch_s: float | None = None
    """latency only: until the calls returned, summed over the steps."""
    fastest_s: float | None = None
    """latency only: the fastest of the steps."""
    processes_s: tuple[float, ...] = ()
    """Over several processes: the seconds that it took in each, by its own clock; `seconds` is the largest of them."""


@dataclass(frozen=True)
class Parts:
    """What a case was taken apart into, to be timed beside its step."""

    kinds: tuple[Kind, ...]
    """Of PART_KINDS, those that it has."""
    product_flops: float
    """Of one product, on one device."""
    stream_bytes: float
    """Read and written by one pass of a stream, on one device."""
    product_dtype: str = ""
    """Of the product: that of most of the step's own."""
    why_not: str = ""
    """Why its compute or its collectives can't be timed alone; empty if they can or there are none."""


@dataclass(frozen=True)
class Check:
    """One thing compared: what was found, what is allowed, whether that will do."""

    name: str
    passed: bool
    found: str
    allowed: str


@dataclass(frozen=True)
class Certificate:
    """That a case computes what `single` does, or how it doesn't."""

    checks: tuple[Check, ...]
    members_checked: tuple[int, ...]
    losses: tuple[float, ...] = ()
    """Of the first member, in each step of an epoch."""
    products: str = ""
    """What the factors of the layers' products may be rounded to (`bench.rounding`); empty in older records."""
    refused: tuple[tuple[str, str], ...] = ()
    """The modes that its workload can't be run in, each with the reason: the end of a sentence."""

    @property
    def failures(self) -> str:
        """The checks that failed, in words; empty if none did."""
        failed = [f"{check.name}: {check.found}, allowed: {check.allowed}" for check in self.checks if not check.passed]
        return "; ".join(failed)


@dataclass(frozen=True)
class Compiled:
    """A case whose step was compiled and run once."""

    stages: Stages
    cost: Cost
    first_loss: float | None
    """Loss of the first step (of the first member), the same after every restart; None: not finite."""


Severity = Literal["error", "warning", "note"]
"""error: it can't be measured rightly; warning: it may be slower than it need be, or compute what isn't meant."""


@dataclass(frozen=True)
class Finding:
    """One thing that the lint found in a workload."""

    kind: str
    message: str
    """What was found, with the leaf's path and both values: a sentence without its full stop."""
    fix: str
    """What to do about it, likewise; empty where nothing need be done."""
    severity: Severity = "warning"

    @property
    def said(self) -> str:
        """Both, without a full stop."""
        return "; ".join(filter(None, [self.message, self.fix]))
