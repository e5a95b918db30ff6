"""Records made by hand for tests: cases whose steps take the seconds that are given."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bench.cases import Case
from bench.environment import Backend, Host
from bench.events import Schedule
from bench.measured import PART_KINDS, Block, Certificate, Check, Collective, Cost, Kind, Parts, Stages
from bench.record import CaseResult, Process, Record, Sample, Start

Times = Sequence[Sequence[float]]
"""Seconds a step, by restart and round."""

STEPS = 10
GOOD = Certificate((Check("raw gradients", True, "off by 1e-7", "1e-4"),), (0,))
COST = Cost(1000.0, 2000.0, 3000, 3000, 22_000, 2000, ())  # 26 kB at its peak


def case(mode: str, shards: int | tuple[int, int] = 1, *, workload: str = "tutorial", members: int = 1) -> Case:
    """A case of 32 examples on so many devices, or member shards x data shards."""
    member_shards, data_shards = shards if isinstance(shards, tuple) else (1, shards)
    return Case(workload=workload, mode=mode, member_shards=member_shards, data_shards=data_shards, members=members)


def measured(
    of: Case,
    latency: Times,
    *,
    throughput: Times | None = None,
    fused: Times | None = None,
    compile_s: Sequence[tuple[float, bool]] | None = None,
) -> CaseResult:
    """A case whose steps took these seconds; a call returned after half of them, and a tenth was fastest.

    `compile_s`: of each start, with whether a cache answered; None: half a second, without.
    """
    kinds: dict[Kind, Times | None] = {"latency": latency, "throughput": throughput, "fused": fused}
    samples = tuple(
        Sample(restart, number, kind, _block(kind, step_s))
        for kind, times in kinds.items()
        for restart, of_restart in enumerate(times or ())
        for number, step_s in enumerate(of_restart)
    )
    compiled = [(0.5, False)] * len(latency) if compile_s is None else compile_s
    starts = tuple(Start(i, (0,), Stages(0.1, 0.1, s, cached, 0.1, 0.001)) for i, (s, cached) in enumerate(compiled))
    return CaseResult(of, "measured", cost=COST, certificate=GOOD, starts=starts, samples=samples)


def taken_apart(
    of: Case, times: Mapping[Kind, float], cost: Cost, *, restarts: int = 4, noise: float = 0.0
) -> CaseResult:
    """A case whose blocks of each kind took these seconds a step, and some noise a restart; 3 rounds in each."""
    samples = tuple(
        Sample(restart, number, kind, _block(kind, step_s * (1 + noise * (-1) ** restart)))
        for restart in range(restarts)
        for number in range(3)
        for kind, step_s in times.items()
    )
    parts = Parts(tuple(kind for kind in times if kind in PART_KINDS), 2.0 * 1024**3, 2.0 * 4 * 2**25)
    starts = tuple(Start(i, (0,), Stages(0.1, 0.1, 0.5, False, 0.1, 0.001)) for i in range(restarts))
    return CaseResult(of, "measured", cost=cost, certificate=GOOD, parts=parts, starts=starts, samples=samples)


def reducing(devices: int, size: int) -> Cost:
    """Of a step with one all-reduce of so many bytes."""
    collectives = (Collective("all-reduce", 1, size, devices),) if devices > 1 else ()
    return dataclasses.replace(COST, collectives=collectives)


def _block(kind: Kind, step_s: float) -> Block:
    if kind == "latency":
        return Block(STEPS, STEPS * step_s, STEPS * step_s / 2, step_s / 10)
    return Block(STEPS, STEPS * step_s)


def record(
    *results: CaseResult,
    cores: int = 2,
    platform: str = "cpu",
    restarts: int = 3,
    parts: bool = False,
    complete: bool = True,
    environment: dict[str, str] | None = None,
) -> Record:
    """A record of these cases on a machine with so many cores."""
    cpu = platform == "cpu"
    return Record(
        created="2026-11-25T08:00:00Z",
        command=("python", "-m", "bench", "run"),
        schedule=Schedule(restarts=restarts, parts=parts),
        host=Host(
            "a cpu", 8, tuple(range(cores)), 25_276_514_304, "Linux", environment or {}, "0123456789abcdef", True
        ),
        backend=Backend(platform, "a device", 1 if cpu else 8, cpu, {"jax": "0.10.2"}, "3.11.7", {}),
        load_at_start=0.25,
        load_at_end=1.5,
        seconds=12.5,
        complete=complete,
        cases=results,
    )


def elsewhere(
    of: Record, *, host: Mapping[str, Any] | None = None, backend: Mapping[str, Any] | None = None, **more: Any
) -> Record:
    """The same record as of a machine, software or run that differs in these."""
    return msgspec.structs.replace(
        of,
        host=dataclasses.replace(of.host, **host or {}),
        backend=dataclasses.replace(of.backend, **backend or {}),
        **more,
    )


def on_gpu(of: Record, device_kind: str = "a gpu") -> Record:
    """The same record as of one device of a GPU's kind."""
    gpu = {"platform": "gpu", "device_kind": device_kind, "device_count": 1, "simulated": False}
    return elsewhere(of, host={"cpu_model": "another cpu"}, backend=gpu)


def computing(of: CaseResult, *losses: float, cost: Cost = COST) -> CaseResult:
    """The case with these losses in its certificate, and what a step of it costs."""
    return msgspec.structs.replace(of, certificate=dataclasses.replace(GOOD, losses=losses), cost=cost)


def over(of: Record, *machines: int, cores: Sequence[int] | None = None) -> Record:
    """The same record as of processes on those machines, each with those cores, or with those that the record has."""
    host = of.host if cores is None else dataclasses.replace(of.host, usable_cores=tuple(cores))
    processes = [Process(rank, f"node{machine}", machine, host, of.backend) for rank, machine in enumerate(machines)]
    return msgspec.structs.replace(of, processes=tuple(processes), cases=tuple(map(_started_in_all, of.cases)))


def _started_in_all(result: CaseResult) -> CaseResult:
    """With cores for the other processes of its case."""
    others = ((0,),) * (result.case.processes - 1)
    starts = tuple(msgspec.structs.replace(start, others=others) for start in result.starts)
    return msgspec.structs.replace(result, starts=starts)


def in_each(of: CaseResult, kind: Kind, *times: Times) -> CaseResult:
    """The case with blocks of a kind that took these seconds a step in each of its processes, beside those it has."""
    added = tuple(
        Sample(restart, number, kind, Block(STEPS, STEPS * max(steps), processes_s=tuple(STEPS * s for s in steps)))
        for restart, of_restart in enumerate(zip(*times, strict=True))
        for number, steps in enumerate(zip(*of_restart, strict=True))
    )
    return msgspec.structs.replace(of, samples=(*of.samples, *added))
