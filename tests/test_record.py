"""The record's file: what is written is read, whole or not at all; so are records of every version."""

import json
import resource
from pathlib import Path

import msgspec
import pytest

from bench.cases import Case
from bench.environment import Backend, Host
from bench.events import Broke, Certified, RoundEnded, Sampled, Schedule, Started, Unreferenced
from bench.measured import REFERENCE, Block, Certificate, Check, Collective, Compiled, Cost, Stages
from bench.nvml import Gpu, Reading
from bench.record import SCHEMA, CaseResult, Record, Sample, Start, absorb, read, write
from bench.report import markdown, table
from bench.summary import by_round
from toynet.errors import UsageError

GOLDEN = Path(__file__).parent / "golden" / "record-1.json"

SINGLE = Case(workload="tutorial", mode="single")
MESH = Case(workload="tutorial", mode="ensemble_data", member_shards=2, data_shards=2, members=8)
COST = Cost(3510.0, 10000.0, 760, 768, 1680, 632, (Collective("all-reduce", 1, 220, 2),))
STAGES = Stages(0.1, 0.2, 0.3, False, 0.4, 0.5)
CERTIFICATE = Certificate((Check("raw gradients", True, "off by 1e-7", "1e-4"),), (0, 7))


def empty() -> Record:
    """A record of two cases before anything happened."""
    return Record(
        created="2026-11-25T08:00:00Z",
        command=("python", "-m", "bench", "run"),
        schedule=Schedule(),
        host=Host("a cpu", 4, (0, 2), 2**34, "Linux", {"XLA_FLAGS": "--xla_x=\u2014"}, None, False),
        backend=Backend("cpu", "cpu", 1, True, {"jax": "0.10.2"}, "3.11.7", {"jax_enable_x64": "False"}),
        load_at_start=0.25,
        load_at_end=1.5,
        seconds=12.5,
        cases=(CaseResult(SINGLE), CaseResult(MESH)),
    )


def happened() -> Record:
    """The same after some events."""
    record = empty()
    for event in (
        Started(MESH, 0, Compiled(STAGES, COST, 0.7), (0, 2)),
        Certified(MESH, CERTIFICATE),
        Sampled(MESH, 0, 0, "latency", Block(10, 0.5, 0.25, 0.04)),
        Sampled(MESH, 0, 0, "fused", Block(25, 0.5)),
        RoundEnded(0, 0),
        Broke(SINGLE, 0, "ended by SIGKILL"),
    ):
        record = absorb(record, event)
    return record


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(happened(), tmp_path / "run.json")
    assert read(tmp_path / "run.json") == happened()
    assert read(tmp_path / "run.json").cases[1].samples[0].block == Block(10, 0.5, 0.25, 0.04)


def test_the_file_is_json_for_people_and_ends_its_last_line(tmp_path: Path) -> None:
    write(happened(), tmp_path / "run.json")
    text = (tmp_path / "run.json").read_text(encoding="utf-8")
    assert text.startswith('{\n "schema": 6,\n "created": "2026-11-25T08:00:00Z",\n')
    assert text.endswith("}\n")
    assert json.loads(text)["cases"][1]["cost"]["collectives"] == [
        {"kind": "all-reduce", "count": 1, "bytes": 220, "group_size": 2, "arrays": 0}
    ]
    assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o644


def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    write(empty(), tmp_path / "a" / "b" / "run.json")
    assert read(tmp_path / "a" / "b" / "run.json") == empty()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write(empty(), tmp_path / "run.json")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # as a full disk would
    try:
        with pytest.raises(OSError, match="File too large"):
            write(happened(), tmp_path / "run.json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read(tmp_path / "run.json") == empty()
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_write_that_cannot_take_the_files_place_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "run.json").mkdir()
    with pytest.raises(IsADirectoryError):
        write(empty(), tmp_path / "run.json")
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_start_adds_its_stages_and_cores_and_brings_the_cost() -> None:
    record = absorb(empty(), Started(MESH, 2, Compiled(STAGES, COST, 0.7), (0, 2)))
    assert record.cases == (CaseResult(SINGLE), CaseResult(MESH, starts=(Start(2, (0, 2), STAGES),), cost=COST))


def test_a_certificate_is_kept_and_leaves_the_case_waiting() -> None:
    record = absorb(empty(), Certified(MESH, CERTIFICATE))
    assert record.cases == (CaseResult(SINGLE), CaseResult(MESH, certificate=CERTIFICATE))


def test_samples_are_kept_in_their_order_and_make_the_case_measured() -> None:
    record = empty()
    blocks = [Block(1, 0.1, 0.01, 0.1), Block(2, 0.2, 0.02, 0.1)]
    for number, block in enumerate(blocks):
        record = absorb(record, Sampled(SINGLE, 1, number, "latency", block))
    expected = tuple(Sample(1, number, "latency", block) for number, block in enumerate(blocks))
    assert record.cases == (CaseResult(SINGLE, "measured", samples=expected), CaseResult(MESH))


def test_a_case_that_breaks_keeps_what_it_was_and_says_why() -> None:
    record = absorb(happened(), Broke(MESH, 1, "no answer within 9 s"))
    assert (record.cases[1].status, record.cases[1].why) == ("broken", "no answer within 9 s")
    assert record.cases[1].samples == happened().cases[1].samples


def test_the_end_of_a_round_changes_nothing_and_an_event_leaves_the_record_as_it_was() -> None:
    record = empty()
    assert absorb(record, RoundEnded(0, 0)) is record
    absorb(record, Broke(MESH, 0, "dead"))
    assert record == empty()


def test_a_record_of_version_1_is_still_read_and_reported() -> None:
    # A real run of 25 November 2026, of single and of an ensemble of 8, kept as it was written then.
    record = read(GOLDEN)
    assert record.schema == 1
    assert record.complete
    assert [result.case.name for result in record.cases] == ["tutorial/single-1/m1/b32", "tutorial/ensemble-1/m8/b32"]
    assert [len(result.samples) for result in record.cases] == [12, 12]  # 2 restarts x 2 rounds x 3 kinds
    text = markdown.render(table.build(record))
    assert "| ensemble | 1 | 8 | 32 | " in text
    assert "All 2 cases compute what single does" in text


def test_a_record_of_version_2_is_still_read_and_reported() -> None:
    # A real run of 25 November 2026, of strong scaling to 2 devices, kept as it was written then.
    record = read(GOLDEN.parent / "record-2.json")
    assert record.schema == 2
    assert [result.case.name for result in record.cases] == [
        "tutorial/single-1/m1/b32",
        "tutorial/data_parallel-2/m1/b32",
    ]
    parts = record.cases[1].parts
    assert parts is not None
    assert parts.kinds == ("compute", "collectives", "rendezvous", "product", "stream")
    assert len(record.cases[1].samples) == 2 * 2 * 8  # restarts x rounds x kinds
    text = markdown.render(table.build(record))
    assert "| strong | data_parallel | 2 | 1 | 32 | " in text
    assert "where the time goes" in text


def test_a_record_of_version_3_is_still_read_and_reported() -> None:
    # A real run of 25 November 2026, of the tutorial's single on both paths, kept as it was written then.
    record = read(GOLDEN.parent / "record-3.json")
    assert record.schema == 3
    assert [result.case.path for result in record.cases] == ["plain", "fast"]
    text = markdown.render(table.build(record))
    assert "tutorial: fast single makes a fused step " in text
    assert "as fast as the plain path" in text


def test_why_a_run_has_no_reference_is_kept_with_the_case_that_was_to_bear_it() -> None:
    before, after = happened(), absorb(happened(), Unreferenced(SINGLE, "139 is right"))
    told = {result.case: result.unreferenced for result in after.cases}
    assert (told[SINGLE], told[MESH]) == ("139 is right", None)
    assert [result.status for result in after.cases] == [result.status for result in before.cases]


def test_a_record_of_version_4_has_the_reference_workload_beside_single_and_links_its_traces() -> None:
    # A real run of 26 November 2026, of the tutorial's single on both paths, with its traces.
    record = read(GOLDEN.parent / "record-4.json")
    assert record.schema == 4
    single, fast = record.cases
    assert (single.case.path, fast.case.path) == ("plain", "fast")
    assert set(by_round(single, REFERENCE)) == set(by_round(single, "latency")) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert by_round(fast, REFERENCE) == {}
    own = tuple(sample for sample in single.samples if sample.kind != REFERENCE)
    without = msgspec.structs.replace(record, cases=(msgspec.structs.replace(single, samples=own), fast))
    assert markdown.render(table.build(record)) == markdown.render(table.build(without))
    assert fast.trace == "traces/tutorial.single-1.m1.b32.fast/plugins/profile/steps/perfetto_trace.json.gz"
    assert "](traces/tutorial.single-1.m1.b32/plugins/" in markdown.render(table.build(record))


def test_a_record_of_version_5_has_what_the_lint_found_and_the_report_says_it() -> None:
    # A real run of 26 November 2026, of a step of somebody's own that prints its loss.
    record = read(GOLDEN.parent / "record-5.json")
    assert record.schema == 5
    kinds = [(one.kind, one.severity) for one in record.findings["printing.py"]]
    assert kinds == [("mode", "note"), ("callback", "warning")]
    text = markdown.render(table.build(record))
    assert (
        "- printing.py: note: it isn't measured in data_parallel and ensemble_data: its step has no parameter" in text
    )
    assert (
        "- printing.py: warning: the step calls the host by jax.debug.print (printing.py, line 19): each step" in text
    )


def test_a_record_of_version_6_has_its_processes_and_what_a_block_took_in_each() -> None:
    # A real run of 26 November 2026, of two processes on one machine.
    record = read(GOLDEN.parent / "record-6.json")
    assert record.schema == 6
    assert [(one.rank, one.name, one.machine) for one in record.processes] == [(0, "vm", 0), (1, "vm", 0)]
    assert [result.case.name for result in record.cases] == [
        "tutorial/single-1/m1/b32",
        "tutorial/data_parallel-2/m1/b32",
        "tutorial/data_parallel-2/m1/b32/p2",
    ]
    over = record.cases[2]
    assert [len(start.others) for start in over.starts] == [1, 1]
    assert {sample.kind for sample in over.samples if sample.kind in ("latency", REFERENCE)} == {"latency", REFERENCE}
    assert {len(sample.block.processes_s) for sample in over.samples} == {2}
    assert {len(sample.block.processes_s) for sample in record.cases[1].samples} == {0}
    assert over.cost is not None
    assert over.cost.collectives == (Collective("all-reduce", 1, 220, 2, 1),)
    assert "| data_parallel | 2 | " in markdown.render(table.build(record))


def test_findings_of_a_workload_that_is_not_in_the_record_are_refused(tmp_path: Path) -> None:
    write(msgspec.structs.replace(empty(), findings={"another": ()}), tmp_path / "run.json")
    with pytest.raises(UsageError, match=r"findings: another is the workload of no case"):
        read(tmp_path / "run.json")


def test_a_workload_in_which_the_lint_found_nothing_is_told_from_one_that_was_not_looked_over() -> None:
    assert "lint" not in markdown.render(table.build(happened()))
    clean = msgspec.structs.replace(happened(), findings={"tutorial": ()})
    assert "- tutorial: the lint found nothing." in markdown.render(table.build(clean))


def test_the_version_in_use_has_a_golden_record() -> None:
    assert (GOLDEN.parent / f"record-{SCHEMA}.json").exists()


def test_a_record_from_before_accelerators_were_told_is_of_workers_in_turn_and_has_no_readings() -> None:
    old = read(GOLDEN)
    assert (old.alternation, old.gpu_readings) == ("rounds", ())
    assert (old.backend.runtime, old.backend.driver, old.backend.gpus) == ("", None, ())
    assert not old.backend.exclusive


def test_what_a_card_told_is_read_as_it_was_written(tmp_path: Path) -> None:
    told = (Reading(1, 2, 0, 300.503, 1.98e9, 53.0, ("power cap",)), Reading(1, 2, 1, None, None, None, None))
    gpus = (Gpu("GPU-0", "a card", "MIG-7", 700.0, True), Gpu("GPU-1", "a card"))
    backend = Backend("gpu", "a card", 2, False, {}, "3", {}, "PJRT C API", "575.57.08", gpus)
    record = msgspec.structs.replace(happened(), backend=backend, alternation="restarts", gpu_readings=told)
    write(record, tmp_path / "run.json")
    assert read(tmp_path / "run.json") == record
