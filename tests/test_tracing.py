"""A trace of a few steps: what is in its file, and what is said where there can be none."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import jax
import planted
import pytest

from bench.cases import Case
from bench.holder import Holder
from bench.tracing import STEPS
from toynet.errors import UsageError

TWO = Case(workload="planted:right", mode="data_parallel", data_shards=2, batch=8)


@pytest.fixture(scope="module")
def holder() -> Holder:
    made = Holder(TWO, planted.right)
    made.compile()
    return made


def events(file: Path) -> list[dict[str, Any]]:
    return json.loads(gzip.decompress(file.read_bytes()))["traceEvents"]


def test_a_trace_has_each_step_by_its_number_and_the_steps_operations(holder: Holder, tmp_path: Path) -> None:
    file = Path(holder.profile(str(tmp_path / "case")))
    assert file.is_relative_to(tmp_path / "case")
    found = events(file)
    assert [event["args"]["step_num"] for event in found if event.get("name") == "step"] == list(map(str, range(STEPS)))
    calls = [event for event in found if event.get("name", "").startswith("PjitFunction")]
    assert len({event["ts"] for event in calls}) >= STEPS
    assert any("fusion" in event.get("name", "") for event in found)
    assert not any(event.get("name", "").startswith("$") for event in found)  # calls of Python, which are many
    assert list(file.parent.glob("*.xplane.pb"))  # what XProf reads


def test_an_earlier_trace_in_the_folder_is_replaced_and_other_files_stay(holder: Holder, tmp_path: Path) -> None:
    first = Path(holder.profile(str(tmp_path)))
    (first.parent / "elsewhere.trace.json.gz").touch()  # from a machine of another name
    (tmp_path / "notes.txt").touch()
    assert Path(holder.profile(str(tmp_path))) == first
    assert not (first.parent / "elsewhere.trace.json.gz").exists()
    assert (tmp_path / "notes.txt").exists()


def test_where_there_can_be_no_trace_it_is_said_in_a_sentence_and_steps_go_on(holder: Holder, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"file can't be written: Not a directory$"):
        holder.profile(str(tmp_path / "file"))
    jax.profiler.start_trace(tmp_path / "own")
    try:
        with pytest.raises(UsageError, match=r"^the profiler failed: Profile has already been started"):
            holder.profile(str(tmp_path / "case"))
    finally:
        jax.profiler.stop_trace()
    assert holder.block("latency", 3).steps == 3
