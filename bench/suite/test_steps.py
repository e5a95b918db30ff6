"""One waited step of every default case, for `pytest --benchmark-autosave` and `pytest-benchmark compare`.

Compilation is left out and every output waited for. All cases run in one process that isn't pinned, one
after another: `python -m bench run` says how they compare, this only keeps a history in a known format.
"""

from __future__ import annotations

import gc

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench import lookup
from bench.cases import Case, Selection, expand
from bench.holder import Holder

# Seconds that the rounds of a case may take together; a slow step still has two rounds.
CASE_S = 0.3
ROUNDS = (2, 200)

CASES = expand(Selection())


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_step(benchmark: BenchmarkFixture, case: Case) -> None:
    holder = Holder(case, lookup.workload(case))
    compiled = holder.compile()
    assert compiled.first_loss is not None, "the loss of the first step isn't a finite number"
    rough_s = holder.block("latency", 1).seconds
    benchmark.group = case.workload
    benchmark.extra_info.update(
        mode=case.mode,
        devices=case.devices,
        mesh=case.mesh,
        members=case.members,
        batch=case.batch,
        dtype=case.dtype,
        compile_s=compiled.stages.compile_s,
        samples=case.batch * case.members,
    )
    rounds = min(max(int(CASE_S / rough_s), ROUNDS[0]), ROUNDS[1])
    block = benchmark.pedantic(holder.block, ("latency", 1), rounds=rounds)
    assert block.steps == 1
    del holder  # a large ensemble's state, before the next one is made
    gc.collect()
