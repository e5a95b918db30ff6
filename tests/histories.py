"""Runs made by hand for tests of histories: of a case or more, beside the reference workload, one after another."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from records import case, measured, record

from bench.cases import Case
from bench.measured import Block
from bench.record import CaseResult, Record, Sample, write

SINGLE, ENSEMBLE = case("single"), case("ensemble", members=8)
REFERENCE_S = 1e-4
SCATTER = 0.002


def commit_of(number: int) -> str:
    """Of the run with that number."""
    return hashlib.sha1(str(number).encode()).hexdigest()


def a_run(
    number: int,
    steps: Mapping[Case, float],
    *,
    machine: float = 1.0,
    reference: bool = True,
    jaxlib: str = "0.10.1",
    cpu: str = "a cpu",
    scatter: float = SCATTER,
) -> Record:
    """Steps of so many seconds on a machine so many times as slow; the first case bears the reference workload."""
    rng = random.Random(number)
    results = [measured(of, _times(rng, step_s * machine, scatter)) for of, step_s in steps.items()]
    if reference:
        results[0] = bearing(results[0], _times(rng, REFERENCE_S * machine, scatter))
    made = record(*results)
    return msgspec.structs.replace(
        made,
        created=f"2026-{1 + number // 28:02}-{1 + number % 28:02}T08:00:00Z",
        host=dataclasses.replace(made.host, cpu_model=cpu, commit=commit_of(number), dirty=False),
        backend=dataclasses.replace(made.backend, packages={"jax": "0.10.2", "jaxlib": jaxlib}),
    )


def bearing(result: CaseResult, reference: list[list[float]]) -> CaseResult:
    """The case with blocks of the reference workload, which took these seconds a step, by restart and round."""
    samples = tuple(
        Sample(restart, number, "reference", Block(100, 100 * step_s))
        for restart, rounds in enumerate(reference)
        for number, step_s in enumerate(rounds)
    )
    return msgspec.structs.replace(result, samples=(*result.samples, *samples))


def kept(folder: Path, runs: int, make: Callable[[int], Record]) -> Path:
    """The folder, with so many runs."""
    for number in range(runs):
        write(make(number), folder / f"run-{number:03}.json")
    return folder


def _times(rng: random.Random, step_s: float, scatter: float) -> list[list[float]]:
    return [[step_s * rng.lognormvariate(0, scatter) for _ in range(3)] for _ in range(3)]
