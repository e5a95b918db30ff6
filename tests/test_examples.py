"""The examples: short, with a workload, and right on one device and on two."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import understood

from bench import imported, keydata
from bench.cases import Case
from bench.holder import Holder
from toynet.workload import Workload

EXAMPLES = sorted(Path("examples").glob("*.py"))
LINES_AT_MOST = 79


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda path: path.stem)
def example(request: pytest.FixtureRequest) -> tuple[Path, Workload]:
    return request.param, imported.workload(str(request.param))


def test_an_example_is_short_and_says_first_what_it_shows_and_how_to_run_it(example: tuple[Path, Workload]) -> None:
    path, _ = example
    lines = path.read_text().splitlines()
    assert len(lines) <= LINES_AT_MOST
    assert lines[0].startswith('"""')
    command = f"python -m bench run --workload {path} --modes single,data_parallel --devices 1,2"
    assert f"    {command}" in lines
    understood(command)  # tests/test_docs.py runs its like


@pytest.mark.usefixtures("compiled_once", "unoptimised")
def test_an_example_computes_on_two_devices_what_it_does_in_single(example: tuple[Path, Workload]) -> None:
    """Steps of `single` on the same batches are what it is held against, so it runs in both."""
    path, workload = example
    case = Case(workload=str(path), mode="data_parallel", data_shards=2, batch=workload.batch_size)
    holder = Holder(case, keydata.raw(workload))
    holder.compile()
    assert not holder.check(fused=False).failures
    assert holder.block("latency", 2).seconds > 0
