"""The examples: short, with a workload, and right in one device and on two."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import imported
from bench.cases import Case
from bench.holder import Holder
from bench.memo import Memo
from toynet.workload import Workload

EXAMPLES = sorted(Path("examples").glob("*.py"))
LINES_AT_MOST = 79


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda path: path.stem)
def example(request: pytest.FixtureRequest) -> tuple[Path, Workload]:
    return request.param, imported.workload(str(request.param))


@pytest.fixture(scope="module")
def memo(tmp_path_factory: pytest.TempPathFactory) -> Memo:
    return Memo(tmp_path_factory.mktemp("memo"))


def test_an_example_is_short_and_says_first_what_it_shows_and_how_to_run_it(example: tuple[Path, Workload]) -> None:
    path, _ = example
    lines = path.read_text().splitlines()
    assert len(lines) <= LINES_AT_MOST
    assert lines[0].startswith('"""')
    assert f"    python -m bench run --workload {path} --modes single,data_parallel --devices 1,2" in lines


@pytest.mark.parametrize("devices", [1, 2])
def test_an_example_computes_the_same_on_one_device_and_on_two(
    example: tuple[Path, Workload], devices: int, memo: Memo, compiled_once: None
) -> None:
    path, workload = example
    mode = "single" if devices == 1 else "data_parallel"
    case = Case(workload=str(path), mode=mode, data_shards=devices, batch=workload.batch_size)
    holder = Holder(case, workload, memo=memo)
    holder.compile()
    assert not holder.check(fused=False).failures
    assert holder.block("latency", 2).seconds > 0
