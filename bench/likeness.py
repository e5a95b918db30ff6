"""Whether records of runs, and the cases in them, are of the same thing, so that they can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bench import rounding
from bench.cases import Case
from bench.duet import COARSE_TOLERANCES, CURVE_TOLERANCE
from bench.hosts import hosts
from bench.measured import Cost
from bench.record import CaseResult, Record

Relation = Literal["hardware", "versions", "not comparable"]

PRECISION = "jax_default_matmul_precision"


@dataclass(frozen=True)
class Unlike:
    """What stands in the way of a comparison, and what it is in the base and in the other record."""

    key: str
    base: str
    other: str


def machine_kind(record: Record) -> dict[str, str]:
    """What machines of one kind have in common.

    A case says itself how many devices it is on, so how many of an accelerator there are makes no other kind.
    """
    backend, host = record.backend, record.host
    if backend.platform == "cpu":
        return {"platform": "cpu", "CPU": host.cpu_model, "usable cores": str(len(host.usable_cores))}
    return {"platform": backend.platform, "device": backend.device_kind}


def relation(base: Record, other: Record) -> tuple[Relation, tuple[Unlike, ...]]:
    """What two records compare as, and if they don't, why.

    One that was ended early compares: its samples are as good as any, and its intervals know how few they are.
    """
    kinds = machine_kind(base), machine_kind(other)
    same = kinds[0] == kinds[1]
    found = (*_settings(base, other), *(_ways(base, other) if same else _cores(*kinds)))
    if found:
        return "not comparable", found
    return ("versions" if same else "hardware"), ()


def same_software(base: Record, other: Record) -> bool:
    """Whether nothing that could make a version of it differs, as far as records know."""
    return _software(base) == _software(other) and None not in _software(base)


def _software(record: Record) -> tuple[object, ...]:
    host, backend = record.host, record.backend
    commit = None if host.dirty else host.commit
    versions = backend.packages, backend.python, backend.runtime, backend.driver or ""
    return commit, *versions, backend.settings, host.environment, host.os


def _settings(base: Record, other: Record) -> Iterator[Unlike]:
    """JAX's settings that both know, and that change what is computed: on a CPU, the precision of products doesn't."""
    on_a_cpu = "cpu" in (base.backend.platform, other.backend.platform)
    for key, value in base.backend.settings.items():
        another = other.backend.settings.get(key, value)
        if another != value and not (key == PRECISION and on_a_cpu):
            yield Unlike(key, value, another)


def _ways(base: Record, other: Record) -> Iterator[Unlike]:
    """How workers were run, where no other machine made it so."""
    if base.pinned != other.pinned:
        a, b = ("yes" if record.pinned else "no" for record in (base, other))
        yield Unlike("workers kept on cores", a, b)
    if base.alternation != other.alternation:
        yield Unlike("alternation", base.alternation, other.alternation)


def _cores(base: dict[str, str], other: dict[str, str]) -> Iterator[Unlike]:
    """Of the same CPU, more cores or fewer make neither the same machine nor another."""
    if "CPU" in base and base["CPU"] == other.get("CPU"):
        yield Unlike("usable cores", base["usable cores"], other["usable cores"])


def has_losses(base: CaseResult, other: CaseResult) -> bool:
    """Whether the certificates of both have losses, of the same steps: of an epoch in one program, or step by step."""
    has = all(result.certificate and result.certificate.losses for result in (base, other))
    return has and _in_one_program(base) == _in_one_program(other)


def _in_one_program(result: CaseResult) -> bool:
    """Whether the certificate's epoch was run as one program: where steps are long, it isn't, nor are blocks."""
    return any(sample.kind == "fused" for sample in result.samples)


def products(record: Record, case: Case) -> str:
    """What the factors of the layers' products may be rounded to, as `bench.rounding` says."""
    return rounding.of(case.products, record.backend.platform, record.backend.settings.get(PRECISION))


def unlike_losses(base: CaseResult, other: CaseResult, products: Sequence[str]) -> Iterator[Unlike]:
    """How the losses of an epoch show that both don't compute the same, beyond what they round their products to."""
    assert base.certificate
    assert other.certificate
    a, b = base.certificate.losses, other.certificate.losses
    if len(a) != len(b):
        yield Unlike("steps of an epoch", str(len(a)), str(len(b)))
        return
    allowed = max(
        (COARSE_TOLERANCES[name][1] for name in products if name in COARSE_TOLERANCES), default=CURVE_TOLERANCE
    )
    largest = max(map(abs, (*a, *b)))
    for step, (one, another) in enumerate(zip(a, b, strict=True), 1):
        if not abs(one - another) <= allowed * largest:
            yield Unlike(f"loss of step {step}", f"{one:.6g}", f"{another:.6g}")
            return


def processes(record: Record) -> str:
    """How many it was in, and on how many hosts."""
    count, machines = len(record.processes), len({one.machine for one in record.processes})
    return f"{count} on {machines} host{'s' * (machines > 1)}" if count else "1"


def unlike_spread(base: Record, other: Record, case: Case) -> Iterator[Unlike]:
    """How the processes of a case are on other hosts, which its name doesn't tell."""
    a, b = hosts(base, case), hosts(other, case)
    if a != b:
        yield Unlike(f"hosts of {case.processes} processes", str(a), str(b))


def unlike_work(base: Cost | None, other: Cost | None) -> Iterator[Unlike]:
    """What no compiler changes, for it is counted before one sees it, or asked of each alike by the certificate."""
    if base is None or other is None:
        return
    if base.product_flops and other.product_flops and base.product_flops != other.product_flops:
        yield Unlike("FLOPs of products", f"{base.product_flops:,.0f}", f"{other.product_flops:,.0f}")
    if (a := _collectives(base)) != (b := _collectives(other)):
        yield Unlike("collectives", a, b)


def _collectives(cost: Cost) -> str:
    """Kinds and group sizes; into how many a compiler combines them is its own affair."""
    return ", ".join(sorted({f"{each.kind} over {each.group_size}" for each in cost.collectives})) or "none"
