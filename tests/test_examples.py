"""The examples: short, with a workload, and right on one device and on two."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import imported, keydata
from bench.cases import Case
from bench.cli import main
from bench.holder import Holder
from bench.record import read
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
    assert f"    python -m bench run --workload {path} --modes single,data_parallel --devices 1,2" in lines


@pytest.mark.usefixtures("compiled_once", "unoptimised")
def test_an_example_computes_on_two_devices_what_it_does_in_single(example: tuple[Path, Workload]) -> None:
    """Steps of `single` on the same batches are what it is held against, so it runs in both."""
    path, workload = example
    case = Case(workload=str(path), mode="data_parallel", data_shards=2, batch=workload.batch_size)
    holder = Holder(case, keydata.raw(workload))
    holder.compile()
    assert not holder.check(fused=False).failures
    assert holder.block("latency", 2).seconds > 0


@pytest.mark.usefixtures("compiled_before")
def test_an_example_is_run_as_its_docstring_says(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (path,) = (path for path in EXAMPLES if path.stem == "tutorial_net")
    (command,) = (line for line in path.read_text().splitlines() if line.startswith("    python -m bench "))
    quickly = ["--restarts", "1", "--rounds", "1", "--budget", "5", "--out", str(tmp_path / "run.json")]
    assert main([*command.split()[3:], *quickly]) == 0
    assert capsys.readouterr().err == ""
    cases = read(tmp_path / "run.json").cases
    assert [(result.case.mode, result.case.devices) for result in cases] == [
        ("single", 1),
        ("data_parallel", 1),
        ("data_parallel", 2),
    ]
    assert all(result.certificate and not result.certificate.failures for result in cases)
