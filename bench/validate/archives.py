"""How long `bench history` takes for many records, and how much memory: as whole processes, on records made for it."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench import environment, record
from bench.measured import KINDS, REFERENCE, Block, Kind
from bench.record import CaseResult, Record, Sample
from bench.report.words import host_line
from bench.run import ROOT
from toynet.errors import UsageError

# On two cores.
MEDIAN_S_AT_MOST = 2.0
PEAK_BYTES_AT_MOST = 500e6
RESTARTS = ROUNDS = 3
STEP_S = 1e-4
STEPS = 200
SCATTER = 0.01
# From the middle of the records on, the first case is slower by this, which is to be found.
CHANGE = 0.05


class Timed(msgspec.Struct, frozen=True, kw_only=True):
    """Processes of `bench history` on the same records, one after another."""

    machine: str
    load_before: float
    load_after: float
    """Load average over a minute."""
    records: int
    cases: int
    bytes: int
    """Of all records."""
    seconds: tuple[float, ...]
    processor_s: tuple[float, ...]
    """On all cores."""
    peak_bytes: tuple[int, ...]
    """Of the largest of its processes."""
    processes: int
    """How many it is, at most."""


def timed(template: Path, count: int, cases: int, times: int) -> Timed:
    """Makes records, and reads them so many times and once before; raises UsageError if that fails."""
    host = environment.host(ROOT)
    before = environment.load_average()
    with tempfile.TemporaryDirectory() as folder:
        for number, made in enumerate(records(record.read(template), count, cases)):
            record.write(made, Path(folder, f"{number:05}.json"))
        taken = [_process(folder) for _ in range(times + 1)][1:]
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
    seconds, processor_s, peak_bytes = zip(*taken, strict=True)
    return Timed(
        machine=host_line(host),
        load_before=before,
        load_after=environment.load_average(),
        records=count,
        cases=cases,
        bytes=size,
        seconds=seconds,
        processor_s=processor_s,
        peak_bytes=peak_bytes,
        processes=1 + len(host.usable_cores),
    )


def records(template: Record, count: int, cases: int) -> Iterator[Record]:
    """As `run` writes them: with the cost, certificates and starts of the template's cases."""
    rng = random.Random(0)
    measured = [result for result in template.cases if result.status == "measured"]
    own = list(itertools.islice(itertools.cycle(measured), cases))
    workloads = [result.case.workload for result in own]
    bearers = {workloads.index(workload) for workload in workloads}
    for number in range(count):
        machine = rng.lognormvariate(0, 5 * SCATTER)
        results = [
            _result(rng, result, i, machine * (1 + CHANGE * (i == 0 and number >= count // 2)), machine, i in bearers)
            for i, result in enumerate(own)
        ]
        host = dataclasses.replace(template.host, commit=hashlib.sha1(str(number).encode()).hexdigest())
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1.7e9 + 3600 * number))
        yield msgspec.structs.replace(template, schema=record.SCHEMA, created=created, host=host, cases=tuple(results))


def _result(rng: random.Random, of: CaseResult, number: int, step: float, machine: float, bears: bool) -> CaseResult:
    """A case told apart by its batch; the first of its workload bears the reference workload."""
    kinds: tuple[Kind, ...] = (*KINDS, *((REFERENCE,) if bears else ()))
    samples = [
        Sample(restart, round_, kind, _block(rng, kind, machine if kind == REFERENCE else step))
        for restart in range(RESTARTS)
        for round_ in range(ROUNDS)
        for kind in kinds
    ]
    case = dataclasses.replace(of.case, batch=of.case.batch + number)
    starts = tuple(msgspec.structs.replace(of.starts[0], restart=restart) for restart in range(RESTARTS))
    return msgspec.structs.replace(of, case=case, starts=starts, samples=tuple(samples))


def _block(rng: random.Random, kind: Kind, slowness: float) -> Block:
    seconds = STEPS * STEP_S * slowness * rng.lognormvariate(0, SCATTER)
    return Block(STEPS, seconds, seconds / 2, seconds / STEPS / 1.1) if kind == "latency" else Block(STEPS, seconds)


# Run by an interpreter of its own: the system counts what a process's parent had at its start as the process's, too.
_TIMED = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
status = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode
took, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([status, took, used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""


def _process(folder: str) -> tuple[float, float, int]:
    """Seconds from start to end, processor seconds, and the peak of the largest process, of one `bench history`."""
    command = [sys.executable, "-m", "bench", "history", folder, "--format", "markdown"]
    told = subprocess.run([sys.executable, "-c", _TIMED, *command], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    status, took, processor_s, peak = json.loads(told.stdout)
    if status:
        raise UsageError(f"`python -m bench history` ended with status {status} and isn't timed.")
    return took, processor_s, peak * (1 if sys.platform == "darwin" else 1024)
