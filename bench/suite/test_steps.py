"""One waited step of every default case, for `pytest --benchmark-autosave` and `pytest-benchmark compare`.

Compilation is left out and every output waited for. All cases run in one process that isn't pinned, one
after another: `python -m bench run` says how they compare, this only keeps a history in a known format.
"""

from __future__ import annotations

import gc

import numpy as np
import pytest

from bench import lookup
from bench.cases import Case, Selection, expand
from bench.holder import SEED, epoch_of
from bench.pytest_plugin import StepBenchmark
from bench.reference import unstacked
from toynet import modes
from toynet.program import bind
from toynet.workload import loss

CASES = expand(Selection())


# Seconds that the rounds of a case may take together; a slow step still has two rounds.
@pytest.mark.benchmark(max_time=0.3, min_rounds=2)
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_step(step_benchmark: StepBenchmark, case: Case) -> None:
    workload = lookup.workload(case)
    program = bind(workload, modes.by_name(case.mode), case.layout)
    state = program.init(program.keys(SEED))
    batch = program.place(unstacked(epoch_of(workload, case.batch))[0])
    step_benchmark.benchmark.group = case.workload
    step_benchmark.benchmark.extra_info.update(mode=case.mode, mesh=case.mesh, members=case.members, batch=case.batch)
    _, metrics = step_benchmark(program.step, state, batch, samples=case.batch * case.members)
    assert np.isfinite(loss(metrics)).all(), "the loss of the first step isn't a finite number"
    del state  # a large ensemble's, before the next one is made
    gc.collect()
