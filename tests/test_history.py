"""Histories of many records: read in brief as the full reader reads them, and told as series."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from histories import ENSEMBLE, REFERENCE_S, SINGLE, a_run, bearing, commit_of, kept
from records import case, measured, record
from test_verdicts_report import comparison, pair

from bench import digest
from bench.archive import read as read_all
from bench.history import Series, history, moved
from bench.measured import Kind
from bench.record import Record, read, write
from bench.report.trends import build
from bench.stats import over_restarts
from bench.summary import by_round, in_restarts, medians, paired
from toynet.errors import UsageError

GOLDEN = Path(__file__).parent / "golden"
SLOWER = 1.06
WIDE = case("single", workload="wide")


def series_of(folder: Path, name: str = SINGLE.name, kind: Kind = "latency", least: float = 0.01) -> Series:
    (found,) = (series for series in history([folder], kind, least).series if series.case == name)
    return found


def in_halves(number: int, slower: float) -> Record:
    """A run of two workloads, whose second came when the machine was so many times as slow."""
    first = a_run(number, {SINGLE: 8e-5, ENSEMBLE: 9e-5})
    second = a_run(number, {WIDE: 7e-4}, machine=slower)
    return msgspec.structs.replace(first, cases=(*first.cases, *second.cases))


def check_as_in_full(path: Path, kind: Kind) -> None:
    """That the brief reader has what the full one and `summary` have, where one case bears the reference at most."""
    brief, full = digest.read(path, kind), read(path)
    assert brief is not None
    measured = [result for result in full.cases if result.status == "measured"]
    reference = {at: value for result in measured for at, value in by_round(result, "reference").items()}
    assert {workload: over_restarts(values) for (workload, _), values in brief.reference_s.items()} == (
        {measured[0].case.workload: over_restarts(medians(reference))} if reference else {}
    )
    told = 0
    for result in measured:
        rounds, name = by_round(result, kind), result.case.name
        ratio = paired(rounds, reference)
        assert [over_restarts(values) for values in brief.ratios.get(name, {}).values()] == [ratio] * (
            ratio is not None
        )
        step_s = in_restarts(result, kind) if ratio is None else None
        assert (over_restarts(brief.step_s[name]) if name in brief.step_s else None) == step_s
        told += ratio is not None or step_s is not None
    assert told == len(brief.ratios) + len(brief.step_s)
    assert (brief.created, brief.commit, brief.dirty) == (full.created, full.host.commit, full.host.dirty)


# digest


@pytest.mark.parametrize("kind", ["latency", "throughput", "fused"])
@pytest.mark.parametrize("path", sorted(GOLDEN.glob("record-*.json")), ids=lambda path: path.stem)
def test_records_of_every_version_are_read_in_brief_as_in_full(path: Path, kind: Kind) -> None:
    check_as_in_full(path, kind)


def test_records_that_lack_rounds_or_a_reference_are_read_in_brief_as_in_full(tmp_path: Path) -> None:
    of = a_run(3, {SINGLE: 8e-5, ENSEMBLE: 9e-5, case("data_parallel"): 1e-4})
    single, ensemble, parallel = of.cases
    few = msgspec.structs.replace(ensemble, samples=ensemble.samples[1:5])
    broken = msgspec.structs.replace(parallel, status="broken", why="it crashed")
    odd = msgspec.structs.replace(of, cases=(few, broken, single))
    for number, made in enumerate((of, odd, a_run(3, {SINGLE: 8e-5}, reference=False))):
        write(made, tmp_path / f"{number}.json")
        check_as_in_full(tmp_path / f"{number}.json", "latency")


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as full:
        read(path)
    with pytest.raises(UsageError) as brief:
        digest.read(path)
    assert str(brief.value) == str(full.value)
    return str(brief.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 99}, "its schema is 99"),
        ({"schema": 0}, "schema"),
        ({"created": 3}, "created"),
        ({"host": None}, "host"),
        ({"cases": {}}, "cases"),
        ({"cases": []}, "there is no case"),
        ({"created": "yesterday"}, "created"),
    ],
)
def test_a_broken_record_is_refused_in_the_words_of_the_full_reader(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    path = tmp_path / "broken.json"
    write(a_run(0, {SINGLE: 8e-5}), path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert said in refusal(path)


def test_files_that_cannot_be_read_or_have_no_json_are_refused_in_the_words_of_the_full_reader(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "none.json")
    for content in (b"", b"\xff\xfe\x00", b"[" * 100_000, (GOLDEN / "record-4.json").read_bytes()[:-100]):
        (tmp_path / "broken.json").write_bytes(content)
        assert "not a record" in refusal(tmp_path / "broken.json")


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_a_block_without_time_is_refused(tmp_path: Path, seconds: float) -> None:
    made = a_run(0, {SINGLE: 8e-5})
    (result,) = made.cases
    first, *others = result.samples
    bad = dataclasses.replace(first.block, seconds=seconds)
    samples = (msgspec.structs.replace(first, block=bad), *others)
    write(msgspec.structs.replace(made, cases=(msgspec.structs.replace(result, samples=samples),)), tmp_path / "r.json")
    assert "block" in refusal(tmp_path / "r.json")


def test_a_record_that_has_a_case_twice_is_refused(tmp_path: Path) -> None:
    made = a_run(0, {SINGLE: 8e-5})
    write(msgspec.structs.replace(made, cases=made.cases * 2), tmp_path / "r.json")
    assert "twice" in refusal(tmp_path / "r.json")


def test_a_record_with_two_cases_of_one_name_is_refused(tmp_path: Path) -> None:
    double = [dataclasses.replace(SINGLE, dtype="float64"), dataclasses.replace(SINGLE, compute_dtype="float64")]
    assert double[0].name == double[1].name
    write(a_run(0, dict.fromkeys(double, 8e-5)), tmp_path / "r.json")
    assert "tutorial/single-1/m1/b32/float64 is there twice, first as cases[0]" in refusal(tmp_path / "r.json")


@pytest.mark.parametrize("case", [3, {"workload": 3, "mode": "single"}, {"workload": "tutorial", "mode": "pipelined"}])
def test_a_record_of_a_case_that_cannot_be_is_refused_in_the_words_of_the_full_reader(
    tmp_path: Path, case: object
) -> None:
    write(a_run(0, {SINGLE: 8e-5}), tmp_path / "r.json")
    content = json.loads((tmp_path / "r.json").read_text())
    content["cases"][0]["case"] = case
    (tmp_path / "r.json").write_text(json.dumps(content))
    assert "cases[0].case" in refusal(tmp_path / "r.json")


def test_each_workloads_cases_are_held_against_the_reference_of_their_own_rounds(tmp_path: Path) -> None:
    write(in_halves(0, slower=1.3), tmp_path / "r.json")
    brief = digest.read(tmp_path / "r.json")
    assert brief is not None
    assert over_restarts(brief.ratios[SINGLE.name]["tutorial", 1]).value == pytest.approx(0.8, rel=0.02)
    assert over_restarts(brief.ratios[ENSEMBLE.name]["tutorial", 1]).value == pytest.approx(0.9, rel=0.02)
    assert over_restarts(brief.ratios[WIDE.name]["wide", 1]).value == pytest.approx(7, rel=0.02)
    assert over_restarts(brief.reference_s["wide", 1]).value == pytest.approx(1.3 * REFERENCE_S, rel=0.02)


def test_where_workers_come_one_after_another_each_case_is_held_against_its_own_blocks(tmp_path: Path) -> None:
    two, fast = case("data_parallel", 2), dataclasses.replace(SINGLE, path="fast")
    times = [[1e-4] * 2] * 3
    cases = [bearing(measured(two, times), [[2e-4] * 2] * 3), bearing(measured(SINGLE, times), [[1e-4] * 2] * 3)]
    for order in (cases, cases[::-1]):
        write(record(measured(fast, times), *order), tmp_path / "r.json")
        brief = digest.read(tmp_path / "r.json")
        assert brief is not None
        assert {name: dict(ratios) for name, ratios in brief.ratios.items()} == {
            two.name: {("tutorial", 2): pytest.approx([0.5] * 3)},
            SINGLE.name: {("tutorial", 1): pytest.approx([1.0] * 3)},
            fast.name: {("tutorial", 1): pytest.approx([1.0] * 3)},  # has none of its own
        }


# archive


def test_folders_are_searched_however_deep_and_runs_come_in_the_order_in_which_they_were_made(tmp_path: Path) -> None:
    for number, name in enumerate(["z.json", "deep/er/a.json", "deep/b.json", "m.json"]):
        write(a_run(number, {SINGLE: 8e-5}), tmp_path / name)
    (tmp_path / "folder.json").mkdir()
    found = read_all([tmp_path / "deep", tmp_path], "latency")
    assert [run.commit for run in found.runs] == [commit_of(number) for number in range(4)]
    assert (found.copies, found.others, found.refusals) == (0, 0, ())


def test_copies_count_once_and_other_files_are_passed_over(tmp_path: Path) -> None:
    made = a_run(0, {SINGLE: 8e-5})
    for name in ("a.json", "latest.json"):
        write(made, tmp_path / name)
    write(comparison(pair()), tmp_path / "ab.json")
    for name, content in {"list": "[1, 2]", "other": '{"schema": 1, "reports": []}', "number": "3"}.items():
        (tmp_path / f"{name}.json").write_text(content)
    (tmp_path / "notes.txt").write_text("no JSON")
    found = read_all([tmp_path], "latency")
    assert (len(found.runs), found.copies, found.others, found.refusals) == (1, 1, 4, ())


def test_a_file_that_was_named_is_not_passed_over_unless_it_is_of_another_command(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[1, 2]")
    write(comparison(pair()), tmp_path / "ab.json")
    found = read_all([tmp_path / "list.json", tmp_path / "ab.json", tmp_path / "none.json"], "latency")
    assert (found.runs, found.others) == ((), 1)
    assert [str(said).partition(": ")[0] for said in found.refusals] == [
        str(tmp_path / "list.json"),
        str(tmp_path / "none.json"),
    ]


def test_several_processes_read_what_one_does(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    kept(tmp_path, 8, lambda number: a_run(number, {SINGLE: 8e-5}))
    (tmp_path / "broken.json").write_text("{")
    script = f"""
import pathlib, sys
from bench import archive, processes
from bench.history import history
processes.usable_cores = lambda: (0, 1)
told = []
for many in (1, 1000):
    archive.MANY = many
    found = history([pathlib.Path({str(tmp_path)!r})], "latency", 0.01)
    told.append((found.series, found.archive.runs, [str(refusal) for refusal in found.archive.refusals]))
assert told[0] == told[1]
print(len(told[0][1]), len(told[0][2]))
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=pytestconfig.rootpath,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("8 1\n", "")


# history


def test_a_slower_commit_is_found_with_the_commits_that_it_lies_among(tmp_path: Path) -> None:
    steps = {SINGLE: 8e-5, ENSEMBLE: 9e-5}
    kept(tmp_path, 24, lambda n: a_run(n, {**steps, SINGLE: 8e-5 * (SLOWER if n >= 15 else 1)}))
    (shift,) = series_of(tmp_path).shifts()
    before, after = shift.within
    assert (before.commit, after.commit) == (commit_of(14), commit_of(15))
    assert shift.first == after
    assert shift.moved == ()
    ratio = shift.ratio
    assert ratio.low is not None
    assert ratio.high is not None
    assert ratio.low < SLOWER < ratio.high
    assert shift.reference == pytest.approx(1, abs=0.01)
    assert series_of(tmp_path, ENSEMBLE.name).shifts() == []


def test_a_slower_machine_is_no_change_of_a_case(tmp_path: Path) -> None:
    kept(tmp_path, 20, lambda n: a_run(n, {SINGLE: 8e-5, ENSEMBLE: 9e-5}, machine=1.4 if n >= 10 else 1.0))
    assert [series.shifts() for series in history([tmp_path], "latency", 0.0).series] == [[], []]


def test_a_machine_that_is_slower_in_the_rounds_of_one_workload_alone_is_no_change_of_a_case(tmp_path: Path) -> None:
    kept(tmp_path, 12, lambda n: in_halves(n, slower=1.3 if n >= 6 else 1.0))
    found = history([tmp_path], "latency", 0.01)
    assert [(series.case, series.shifts()) for series in found.series] == [
        (SINGLE.name, []),
        (ENSEMBLE.name, []),
        (WIDE.name, []),
    ]
    rows = {row[0]: row[1] for row in build(found).tables[0].rows}
    assert rows["(reference workload beside tutorial)"] == rows["(reference workload beside wide)"] == "12"


def test_references_of_workers_with_other_numbers_of_devices_are_series_of_their_own(tmp_path: Path) -> None:
    one, two = case("data_parallel", 1), case("data_parallel", 2)

    def made(number: int) -> Record:
        """From the eleventh run on without the case of one device, so with a quicker reference."""
        if number < 10:
            return a_run(number, {one: 8e-5, two: 9e-5})
        run = a_run(number, {two: 9e-5}, reference=False)
        return msgspec.structs.replace(run, cases=(bearing(run.cases[0], [[0.86 * REFERENCE_S] * 3] * 3),))

    found = history([kept(tmp_path, 20, made)], "latency", 0.01)
    assert [(series.case, len(series.runs), series.older, series.shifts()) for series in found.series] == [
        (one.name, 10, 0, []),
        (f"{two.name} (reference in a worker of 1 device)", 10, 0, []),
        (f"{two.name} (reference in a worker of 2 devices)", 10, 0, []),
    ]
    assert [row[0] for row in build(found).tables[0].rows[:2]] == [
        "(reference workload beside tutorial, in a worker of 1 device)",
        "(reference workload beside tutorial, in a worker of 2 devices)",
    ]


def test_what_else_changed_with_a_case_is_told(tmp_path: Path) -> None:
    kept(
        tmp_path,
        20,
        lambda n: a_run(n, {SINGLE: 8e-5 * (SLOWER if n >= 10 else 1)}, jaxlib="0.10.2" if n >= 10 else "0.10.1"),
    )
    (shift,) = series_of(tmp_path).shifts()
    assert shift.moved == ("jaxlib 0.10.1 -> 0.10.2",)


def test_software_that_comes_and_goes_is_told_from_none() -> None:
    first, other = (digest.read(GOLDEN / f"record-{n}.json") for n in (1, 4))
    assert first is not None
    assert other is not None
    more = dataclasses.replace(other, software={**first.software, "driver": "570.1"})
    assert moved(first, more) == ("driver none -> 570.1",)
    assert moved(more, first) == ("driver 570.1 -> none",)
    assert moved(first, first) == ()


def test_kinds_of_machines_are_series_of_their_own(tmp_path: Path) -> None:
    kept(tmp_path, 12, lambda n: a_run(n, {SINGLE: 8e-5 * (1 + n % 2)}, cpu=f"cpu {n % 2}"))
    found = history([tmp_path], "latency", 0.01)
    assert [(series.machine.cpu, len(series.runs)) for series in found.series] == [("cpu 0", 6), ("cpu 1", 6)]
    assert [series.shifts() for series in found.series] == [[], []]


@pytest.mark.parametrize(
    ("variable", "kinds"),
    [("XLA_FLAGS", 2), ("JAX_COMPILATION_CACHE_DIR", 1), ("CUDA_VISIBLE_DEVICES", 1)],
)
def test_what_changes_the_computation_makes_another_kind_of_machine(tmp_path: Path, variable: str, kinds: int) -> None:
    def made(number: int) -> Record:
        run = a_run(number, {SINGLE: 8e-5})
        return msgspec.structs.replace(run, host=dataclasses.replace(run.host, environment={variable: str(number)}))

    assert len(history([kept(tmp_path, 2, made)], "latency", 0.01).machines) == kinds


def test_runs_of_before_the_reference_are_left_out_where_others_have_it(tmp_path: Path) -> None:
    kept(tmp_path, 20, lambda n: a_run(n, {SINGLE: 8e-5}, reference=n >= 8))
    series = series_of(tmp_path)
    assert series.against_reference
    assert (len(series.runs), series.older) == (12, 8)
    assert series.values == pytest.approx([0.8] * 12, rel=0.02)


def test_times_alone_are_shown_and_no_changes_sought_in_them(tmp_path: Path) -> None:
    kept(tmp_path, 20, lambda n: a_run(n, {SINGLE: 8e-5 * (2 if n >= 10 else 1)}, reference=False))
    series = series_of(tmp_path)
    assert not series.against_reference
    assert series.values[-1] == pytest.approx(1.6e-4, rel=0.02)
    assert series.shifts() == []
    assert series.trend.scatter is None


def test_a_case_that_had_no_such_blocks_in_a_run_is_told_from_the_others(tmp_path: Path) -> None:
    def made(number: int) -> Record:
        fused = [[1e-5] * 3] if number % 2 else None
        return msgspec.structs.replace(
            record(measured(SINGLE, [[8e-5] * 3], fused=fused)), created=f"2026-01-0{1 + number}T08:00:00Z"
        )

    kept(tmp_path, 4, made)
    assert len(series_of(tmp_path, kind="fused").runs) == 2
    assert len(series_of(tmp_path, kind="latency").runs) == 4
