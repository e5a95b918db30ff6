"""What other tools are given: their shapes and units, and that names and numbers reach them whole.

Shapes that are checked without their tool are restated here from where it publishes them; docs/exports.md has what
was checked with the tools themselves.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from pytest_benchmark.stats import Stats
from records import case, elsewhere, measured, over
from records import record as of_cases
from test_report import around
from test_start import SLOW, loaded
from test_verdicts_report import SINGLE, comparison, pair

from bench.cases import Case
from bench.cli import main
from bench.comparison import Comparison, PairResult
from bench.measured import Block
from bench.record import CaseResult, Record, Sample, write
from bench.report import markdown
from bench.report.exports import Format, job_summary
from bench.report.exports.source import Source

GOLDEN = "tests/golden/record-3.json"
SINGLE_NAME = "tutorial/single-1/m1/b32"
# Each of what ends a field, a cell, a key, a tag or a line in one of the formats, and what isn't ASCII.
HOSTILE = 'a "b", <i>c</i>|d\te=f/g%h\\\u00a0\u2028\u202eé\nBenchmarkX-1 1 1 ns/op'
# They describe one run.
OF_ONE: list[Format] = ["github-action-benchmark", "bmf", "pytest-benchmark"]


def a_record(*more: CaseResult) -> Record:
    """Two cases whose steps take about 80 and 300 us; the second has 4 simulated devices on 2 cores."""
    single = measured(case("single"), around(8e-5), fused=around(2e-6))
    return of_cases(single, measured(case("data_parallel", 4), [[3e-4, 4e-4]]), *more)


def exported(form: Format, what: Record | Comparison, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What `bench report --format` prints of it, and nothing on standard error."""
    write(what, folder / "r.json")
    assert main(["report", str(folder / "r.json"), "--format", form]) == 0
    printed, complaint = capsys.readouterr()
    assert complaint == ""
    return printed


@pytest.fixture
def export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    return lambda form, what: exported(form, what, tmp_path, capsys)


# gobench


@dataclasses.dataclass
class Line:
    name: str
    iterations: int
    values: dict[str, float]


def go_lines(text: str) -> tuple[list[Line], dict[str, str], dict[str, dict[str, str]]]:
    """Results, configuration and units, as the reader of golang.org/x/perf/benchfmt takes them; all else is a comment.

    A result starts with `Benchmark` and has a count and pairs of value and unit; a key starts in lower case and has no
    space in it; metadata of a unit are pairs with a `=`.
    """
    results, configuration, units = list[Line](), dict[str, str](), dict[str, dict[str, str]]()
    for line in text.split("\n"):
        if line.startswith("Benchmark"):
            name, count, *pairs = line.split()
            values = {unit: float(value) for value, unit in zip(pairs[::2], pairs[1::2], strict=True)}
            results.append(Line(name, int(count), values))
        elif line.startswith("Unit "):
            _, unit, *metadata = line.split()
            units[unit] = dict(pair.split("=") for pair in metadata)
        elif setting := re.match(r"([a-z][^\sA-Z:]*):[ \t]+(.*)", line):
            configuration[setting[1]] = setting[2]
        else:
            assert line == "" or line.startswith("# ")
    return results, configuration, units


def test_go_s_format_has_a_line_a_block_in_nanoseconds(export: Any) -> None:
    results, configuration, units = go_lines(export("gobench", a_record()))
    of = "BenchmarkStep/workload=tutorial/mode={}/mesh={}/members=1/batch=32/kind={}"
    single, fused = of.format("single", 1, "latency") + "-1", of.format("single", 1, "fused") + "-1"
    parallel = of.format("data_parallel", 4, "latency") + "/oversubscribed-4"
    assert [r.name for r in results] == [*[single] * 6, *[fused] * 6, *[parallel] * 2]
    # 32 examples in 80 us; 26 kB by hand in records.py.
    assert results[0] == Line(single, 10, {"ns/op": 80_000, "samples/s": 400_000, "peak-B": 26_000})
    assert [r.values["ns/op"] for r in results[-2:]] == [300_000, 400_000]
    assert configuration == {"cpu": "a cpu", "cores": "2", "platform": "cpu", "device": "a device"}
    assert units == {"samples/s": {"better": "higher"}, "peak-B": {"better": "lower", "assume": "exact"}}


def test_go_s_format_has_a_machine_s_names_on_one_line_and_harmless(export: Any) -> None:
    named = elsewhere(
        a_record(), host={"cpu_model": "a\x1b[31m\nBenchmarkX-1 1 1 ns/op"}, backend={"device_kind": HOSTILE}
    )
    results, configuration, _ = go_lines(export("gobench", named))
    assert len(results) == len(go_lines(export("gobench", a_record()))[0])
    assert configuration["cpu"] == "a\\x1b[31m BenchmarkX-1 1 1 ns/op"
    assert "\u202e" not in configuration["device"]


def test_go_s_format_tells_variants_apart(export: Any) -> None:
    variants = [
        Case(
            workload="tutorial", mode="single", path=path, hidden_layers=2, hidden_dim=dim, deterministic=deterministic
        )
        for path, dim, deterministic in itertools.product(("plain", "fast"), (8, 16), (False, True))
    ]
    results, _, _ = go_lines(export("gobench", of_cases(*(measured(of, [[1e-4]]) for of in variants))))
    assert len({r.name for r in results}) == len(variants)
    assert "/variant=h2x16+fast+deterministic/" in results[-1].name


def test_cases_over_several_processes_are_told_apart_by_every_format(export: Any) -> None:
    alone = case("data_parallel", 2)
    shared = dataclasses.replace(alone, processes=2)
    found = over(of_cases(measured(alone, [[1e-4]]), measured(shared, [[2e-4]])), 0, 1)
    names = [result.name for result in go_lines(export("gobench", found))[0]]
    assert [("/processes=2/" in name) for name in names] == [False, True]
    timed = json.loads(export("pytest-benchmark", found))["benchmarks"]
    assert [one["params"]["processes"] for one in timed] == [1, 2]
    assert json.loads(export("columns", found))["processes"] == [1, 2]


def test_go_s_format_keeps_records_of_several_machines_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, cores in (("two", 2), ("four", 4)):
        write(of_cases(measured(case("single"), [[1e-4]]), cores=cores), tmp_path / name)
    assert main(["report", str(tmp_path / "two"), str(tmp_path / "four"), "--format", "gobench"]) == 0
    lines = [line for line in capsys.readouterr().out.split("\n") if line.startswith(("cores: ", "Benchmark"))]
    assert [line.partition("/")[0] for line in lines] == ["cores: 2", "BenchmarkStep", "cores: 4", "BenchmarkStep"]


@pytest.mark.parametrize("tool", ["benchstat", "benchcmp"])
def test_go_s_own_tools_read_it(tool: str, export: Any, tmp_path: Path) -> None:
    if not shutil.which(tool):
        pytest.skip(f"{tool} isn't installed")
    old, new = tmp_path / "old.txt", tmp_path / "new.txt"
    old.write_text(export("gobench", of_cases(measured(case("single"), [[8e-5] * 8]))))
    new.write_text(export("gobench", of_cases(measured(case("single"), [[1.2e-4] * 8]))))
    done = subprocess.run([tool, old, new], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert re.search(r"Step/workload=tutorial/mode=single\S+-1 .*\+50\.00%", done.stdout)


# github-action-benchmark


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    """`BenchmarkResult` of github-action-benchmark's src/extract.ts."""

    name: str
    value: float
    unit: str
    range: str | None = None
    extra: str | None = None


def entries(text: str) -> dict[str, Entry]:
    found = msgspec.json.decode(text, type=list[Entry])
    assert len({entry.name for entry in found}) == len(found)
    return {entry.name: entry for entry in found}


def test_the_action_gets_nanoseconds_with_half_of_the_interval_in_the_same_unit(export: Any) -> None:
    found = entries(export("github-action-benchmark", a_record()))
    parallel = "tutorial/data_parallel-4/m1/b32"
    names = [f"{SINGLE_NAME}/latency", f"{SINGLE_NAME}/fused", f"{parallel}/latency (oversubscribed)"]
    assert list(found) == [*names, f"{SINGLE_NAME}/peak memory", f"{parallel}/peak memory"]
    single, _, shared, memory, _ = found.values()
    assert (single.value, single.unit, memory.value, memory.unit) == (80_000, "ns/iter", 26_000, "B")
    # Medians of restarts are 80, 80.8 and 79.2 us: logs scatter by 0.995%; t(0.975, 2) = 4.303, over sqrt(3).
    assert single.range is not None
    plus_minus = re.fullmatch(r"± (\d+)", single.range)  # as the action reads it where it changes units
    assert plus_minus
    assert float(plus_minus[1]) == pytest.approx(80_000 * 0.0247, rel=0.01)
    assert single.extra is not None
    assert re.match(
        r"95% interval 7\d{4}\.?\d* to 8\d{4}\.?\d*, from 3 restarts\n6 blocks, 4e\+05 samples/s$", single.extra
    )
    assert shared.range is None
    assert shared.extra is not None
    assert shared.extra.startswith("no interval, from 1 restart\n")
    assert "oversubscribed" in shared.extra


# bmf


class Metric(msgspec.Struct, forbid_unknown_fields=True):
    """Of the schema that Bencher publishes with its metric format (bmf.json)."""

    value: float
    lower_value: float | None = None
    upper_value: float | None = None


def metrics(text: str) -> dict[str, dict[str, Metric]]:
    return msgspec.json.decode(text, type=dict[str, dict[str, Metric]])


def test_bencher_gets_its_own_units_and_intervals_the_right_way_round(export: Any) -> None:
    found = metrics(export("bmf", a_record()))
    single = found[f"{SINGLE_NAME}/latency"]
    assert (single["latency"].value, single["throughput"].value) == (80_000, pytest.approx(400_000))
    for metric in single.values():
        assert metric.lower_value is not None
        assert metric.upper_value is not None
        assert 0 < metric.lower_value < metric.value < metric.upper_value
    assert found[SINGLE_NAME] == {"peak-memory": Metric(26_000)}
    shared = found["tutorial/data_parallel-4/m1/b32/latency (oversubscribed)"]
    assert shared["latency"].value == pytest.approx(350_000)
    assert shared["latency"].lower_value is shared["latency"].upper_value is None


# pytest-benchmark


def compared(*argv: str, folder: Path) -> str:
    command = [sys.executable, "-m", "pytest_benchmark", "compare", *argv]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_pytest_benchmark_compares_ours(export: Any, tmp_path: Path) -> None:
    named = dataclasses.replace(case("single"), workload=HOSTILE)
    text = export("pytest-benchmark", a_record(measured(named, [[1e-4]])))
    (tmp_path / "ours.json").write_text(text, encoding="utf-8")
    out = compared(str(tmp_path / "ours.json"), "--csv", "out.csv", "--columns", "min,median,rounds", folder=tmp_path)
    assert "benchmark 'tutorial latency': 2 tests" in out
    assert re.search(rf"{SINGLE_NAME}/latency .* 79\.2079 \(1\.0\) +80\.0000 \(1\.0\) +6\n", out)
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        read = {row["name"]: row for row in csv.DictReader(file)}
    assert float(read[f"{SINGLE_NAME}/fused"]["median"]) == pytest.approx(2e-6)
    assert float(read[f"{HOSTILE}/single-1/m1/b32/latency"]["min"]) == pytest.approx(1e-4)


def of_blocks(blocks: Sequence[tuple[float, int]]) -> CaseResult:
    """`single` in one restart, of blocks that took these seconds for so many steps."""
    whole = measured(case("single"), [[1.0]])
    samples = tuple(Sample(0, n, "latency", Block(steps, s, s / 2, s / 9)) for n, (s, steps) in enumerate(blocks))
    return msgspec.structs.replace(whole, samples=samples)


# Seconds a step, a step each: of every remainder by 4; the same value several times; far ones on both sides.
BLOCKS = (
    [3.0],
    [2.0, 1.0],
    [5.0, 1.0, 2.0],
    [4.0, 1.0, 3.0, 2.5],
    [1e-4, 2e-4, 9e-4, 3e-4, 4e-4],
    [7.0] * 6,
    [1.0, 10.1, 10.2, 10.4, 10.3, 10.25, 99.0],
    [n**3 / 7 for n in range(1, 13)],
    [*(1 + n / 10 for n in range(20)), 30.0, 0.01],
)


@pytest.mark.parametrize("data", BLOCKS, ids=len)
def test_pytest_benchmark_s_statistics_are_its_own(data: list[float], export: Any) -> None:
    own = Stats()
    for value in data:
        own.update(value)
    (only,) = json.loads(export("pytest-benchmark", of_cases(of_blocks([(value, 1) for value in data]))))["benchmarks"]
    assert only["stats"] == {**own.as_dict(), "data": data, "iterations": 1}
    assert only["params"]["mode"] == "single"


def test_pytest_benchmark_s_statistics_are_of_a_step_however_long_blocks_are(export: Any) -> None:
    (only,) = json.loads(export("pytest-benchmark", of_cases(of_blocks([(1.0, 4), (3.0, 6), (1.0, 1)]))))["benchmarks"]
    assert only["stats"]["data"] == [0.25, 0.5, 1.0]
    assert (only["stats"]["total"], only["stats"]["ops"], only["stats"]["iterations"]) == (1.75, 3 / 1.75, 4)


# csv and columns


def test_csv_has_a_row_a_sample_and_reads_back_exactly(export: Any) -> None:
    record = a_record(measured(dataclasses.replace(case("single"), workload=HOSTILE), [[1 / 3]]))
    reader = csv.DictReader(io.StringIO(export("csv", record), newline=""))
    rows = list(reader)
    samples = [(result.case, sample) for result in record.cases for sample in result.samples]
    assert len(rows) == len(samples) == 15
    for row, (of, sample) in zip(rows, samples, strict=True):
        block = sample.block
        assert (row["workload"], row["case"], int(row["devices"])) == (of.workload, of.name, of.devices)
        assert (row["kind"], int(row["restart"]), int(row["round"])) == (sample.kind, sample.restart, sample.round)
        assert (int(row["steps"]), float(row["block_s"])) == (block.steps, block.seconds)
        assert float(row["step_s"]) == block.seconds / block.steps
        assert row["dispatch_s"] == ("" if block.dispatch_s is None else repr(block.dispatch_s / block.steps))
        assert row["oversubscribed"] == str(of.devices == 4)


def test_columns_are_those_of_csv_and_of_one_length_and_type(export: Any) -> None:
    columns = json.loads(export("columns", a_record()))
    rows = list(csv.reader(io.StringIO(export("csv", a_record()), newline="")))
    assert list(columns) == rows[0]
    shown = [["" if cell is None else str(cell) for cell in cells] for cells in zip(*columns.values(), strict=True)]
    assert shown == rows[1:]
    for name, column in columns.items():
        assert len({type(cell) for cell in column if cell is not None}) <= 1, name
    assert {type(cell) for cell in columns["flops"] + columns["step_s"]} == {float}


def test_every_column_is_documented(export: Any, pytestconfig: pytest.Config) -> None:
    text = (pytestconfig.rootpath / "docs" / "exports.md").read_text(encoding="utf-8")
    section = text.partition("## csv and columns")[2].partition("\n## ")[0]
    documented = [
        name
        for line in section.splitlines()
        if line.startswith("| `")
        for name in re.findall("`([a-z_]+)`", line.split("|")[1])
    ]
    assert documented == list(json.loads(export("columns", a_record())))


def test_both_sides_of_a_comparison_have_their_rows(export: Any) -> None:
    rows = list(csv.DictReader(io.StringIO(export("csv", comparison(pair())), newline="")))
    assert len(rows) == 2 * 6 * 6  # sides, restarts, rounds
    sides = {row["side"]: (row["commit"], float(row["block_s"]), float(row["step_s"]), row["steps"]) for row in rows}
    assert sides == {
        "A": ("a" * 40, 0.02, 0.001, "20"),
        "B": ("b" * 40, pytest.approx(0.021), pytest.approx(0.00105), "20"),
    }


# Of comparisons


def test_a_comparison_gives_its_ratio_and_what_b_takes(export: Any) -> None:
    found = entries(export("github-action-benchmark", comparison(pair())))
    ratio, step = found.values()
    assert (ratio.unit, ratio.value, step.unit, step.value) == ("B / A", pytest.approx(1.05), "ns/iter", 1_050_000)
    assert ratio.extra is not None
    assert ratio.extra.endswith("\nslower, by a threshold of 0.03")
    (bencher,) = metrics(export("bmf", comparison(pair()))).values()
    assert bencher["ratio"].lower_value is not None
    assert bencher["ratio"].upper_value is not None
    assert 1.04 < bencher["ratio"].lower_value < 1.05 < bencher["ratio"].upper_value < 1.06
    assert bencher["latency"].value == 1_050_000


def test_the_side_whose_devices_share_cores_is_marked_as_in_the_report(export: Any) -> None:
    wide = msgspec.structs.replace(pair(), b=case("data_parallel", 4))
    rows = csv.DictReader(io.StringIO(export("csv", comparison(wide)), newline=""))
    assert {(row["side"], row["oversubscribed"]) for row in rows} == {("A", "False"), ("B", "True")}
    assert [*metrics(export("bmf", comparison(wide)))] == [f"{SINGLE_NAME}/latency (oversubscribed)"]
    assert "B oversubscribed" in export("job-summary", comparison(wide))


@pytest.mark.parametrize("form", ["gobench", "pytest-benchmark"])
def test_formats_that_can_not_say_that_samples_are_paired_refuse_comparisons(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(comparison(pair()), tmp_path / "ab.json")
    assert main(["report", str(tmp_path / "ab.json"), "--format", form]) == 2
    printed, complaint = capsys.readouterr()
    assert printed == ""
    assert f"ab.json: a comparison's samples are paired, which --format {form} can't say; use csv" in complaint


# All of them


@pytest.mark.parametrize("form", get_args(Format))
def test_no_format_loads_jax_or_numbers(form: Format, pytestconfig: pytest.Config) -> None:
    modules, output = loaded(pytestconfig.rootpath, "bench.cli", "report", GOLDEN, "--format", form)
    assert modules & SLOW == set()
    assert output


# What has no time, and what can't be told apart


def broken(name: str = "wide") -> CaseResult:
    """With samples from before it broke."""
    whole = measured(case("single", workload=name), [[1e-4]])
    return msgspec.structs.replace(whole, status="broken", why="ended by SIGKILL")


@pytest.mark.parametrize("form", sorted({*get_args(Format)} - {"job-summary"}))
def test_a_case_without_time_is_named_and_left_out(
    form: Format, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(a_record(broken(), CaseResult(case("single", workload="xl"))), tmp_path / "r.json")
    assert main(["report", str(tmp_path / "r.json"), "--format", form]) == 0
    printed, complaint = capsys.readouterr()
    missing = "wide/single-1/m1/b32 (broken), xl/single-1/m1/b32 (not measured)"
    assert complaint == f"warning: {tmp_path / 'r.json'}: left out, as they have no time: {missing}.\n"
    write(a_record(), tmp_path / "r.json")
    assert main(["report", str(tmp_path / "r.json"), "--format", form]) == 0
    assert capsys.readouterr() == (printed, "")


def test_what_acts_on_a_terminal_is_spelled_out_in_the_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(a_record(broken("\x1b[31m\u202e\n")), tmp_path / "r.json")
    assert main(["report", str(tmp_path / "r.json"), "--format", "csv"]) == 0
    assert "left out, as they have no time: \\x1b[31m\\u202e /single-1/m1/b32 (broken).\n" in capsys.readouterr().err


@pytest.mark.parametrize("form", get_args(Format))
def test_a_file_whose_name_is_not_utf_8_is_exported(
    form: Format, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / os.fsdecode(b"\xff\x1b[31m.json"), tmp_path / os.fsdecode(b"out\xff\x1b")
    write(a_record(), path)
    assert main(["report", str(path), "--format", form]) == 0
    printed, complaint = capfd.readouterr()
    assert complaint == ""
    assert main(["report", str(path), "--format", form, "--out", str(out)]) == 0
    assert capfd.readouterr() == (f"{tmp_path}/out\\udcff\\x1b: 1 report\n", "")
    written = out.read_bytes().decode()
    assert written == printed
    named = rf"{tmp_path}/\udcff\x1b[31m.json"
    match form:
        case "csv":
            assert {row["record"] for row in csv.DictReader(io.StringIO(written, newline=""))} == {named}
        case "columns":
            assert {*json.loads(written)["record"]} == {named}
        case "job-summary":
            assert f"- record: {markdown.escaped(named)}\n" in written
        case _:
            assert "udcff" not in written


@pytest.mark.parametrize("form", ["bmf", "csv", "gobench"])
def test_nothing_to_export_is_refused(form: Format, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(of_cases(broken()), tmp_path / "r.json")
    assert main(["report", str(tmp_path / "r.json"), "--format", form]) == 2
    printed, complaint = capsys.readouterr()
    assert printed == ""
    assert complaint == f"error: {tmp_path / 'r.json'}: nothing of it was measured, so there is nothing to export.\n"


def test_a_record_that_can_not_be_read_does_not_keep_others_from_being_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pytestconfig: pytest.Config
) -> None:
    golden = str(pytestconfig.rootpath / GOLDEN)
    assert main(["report", str(tmp_path / "none.json"), golden, "--format", "csv"]) == 2
    printed, complaint = capsys.readouterr()
    assert {row["record"] for row in csv.DictReader(io.StringIO(printed, newline=""))} == {golden}
    assert complaint.startswith(f"error: {tmp_path / 'none.json'}: No such file or directory")
    out = tmp_path / "x.csv"
    assert main(["report", str(tmp_path / "none.json"), golden, "--format", "csv", "-o", str(out)]) == 2
    assert capsys.readouterr() == (f"{out}: 1 report\n", complaint)
    assert out.read_bytes().decode() == printed


def test_files_of_other_kinds_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "results/peers/training.json", "--format", "csv"]) == 2
    what = "results/peers/training.json is a record of `bench.peers`"
    assert capsys.readouterr() == ("", f"error: {what}, and --format csv takes records of `run`, `ab` or `gate`.\n")


@pytest.mark.parametrize("form", OF_ONE)
def test_formats_of_one_run_refuse_two(form: Format, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", GOLDEN, GOLDEN, "--format", form]) == 2
    assert (
        f"--format {form} describes one run, and 2 records were named; name one at a time." in capsys.readouterr().err
    )


@pytest.mark.parametrize("form", get_args(Format))
def test_names_stay_whole_or_are_encoded(form: Format, export: Any) -> None:
    names = (HOSTILE, "a b", "a_b", "a%20b")
    results = [measured(dataclasses.replace(case("single"), workload=name), [[1e-4]]) for name in names]
    text = export(form, of_cases(*results))
    wanted = {f"{name}/single-1/m1/b32/latency" for name in names}
    match form:
        case "gobench":
            lines, _, _ = go_lines(text)
            assert len({line.name for line in lines}) == len(lines) == len(names)
            assert lines[0].name.count("/") == 6
        case "github-action-benchmark":
            assert wanted <= entries(text).keys()
        case "bmf":
            assert wanted <= metrics(text).keys()
        case "pytest-benchmark":
            assert {found["name"] for found in json.loads(text)["benchmarks"]} == wanted
        case "csv":
            assert {row["workload"] for row in csv.DictReader(io.StringIO(text, newline=""))} == {*names}
        case "columns":
            assert {*json.loads(text)["workload"]} == {*names}
        case "job-summary":
            assert "<i>" not in text.replace("\\<", "&lt;")
            assert "&lt;i&gt;" in text  # in a collapsed heading


# job-summary


def pairs(*verdicts: str) -> list[PairResult]:
    return [pair(f"case-{number}", verdict=verdict) for number, verdict in enumerate(verdicts)]


@pytest.mark.parametrize(
    ("verdicts", "title"),
    [
        (("same", "slower", "broken"), "A case is broken"),
        (("same", "slower", "inconclusive"), "Slower"),
        (("inconclusive", "faster"), "Inconclusive"),
        (("same", "faster"), "No case is slower"),
    ],
)
def test_a_job_summary_says_first_what_came_out(verdicts: Sequence[str], title: str, export: Any) -> None:
    text = export("job-summary", comparison(*pairs(*verdicts)))
    assert text.startswith(f"### {title}: A against B, by a threshold of 3.0%\n\nCases: ")
    assert all(f"1 {verdict}" in text.splitlines()[2] for verdict in verdicts)


def test_a_job_summary_has_the_worst_in_a_short_table_and_the_rest_collapsed(export: Any) -> None:
    text = export("job-summary", comparison(*pairs(*["same"] * 40, "slower", "broken")))
    short, *collapsed = text.split("<details>")
    rows = [line for line in short.splitlines() if line.startswith("| case-")]
    assert [row.split(" | ")[:2] for row in rows[:3]] == [
        ["| case-41", "BROKEN"],
        ["| case-40", "slower"],
        ["| case-0", "same"],
    ]
    assert (len(rows), "And 12 more, all of them below." in short) == (30, True)
    headings = [re.match("<summary>(.*)</summary>\n\n", part) for part in collapsed]
    assert [heading and heading[1] for heading in headings] == [
        "What was found",
        "Table: steps that are waited for",
        "Environment",
        "How to read it",
    ]
    assert all(part.rstrip().endswith("\n\n</details>") for part in collapsed)
    assert collapsed[1].count("\n| case-") == 42


def test_a_job_summary_of_a_run_has_its_sentences_and_what_broke(export: Any) -> None:
    text = export("job-summary", a_record(broken()))
    assert text.startswith("### Step time by mode and devices\n\nCases: 1 broken, 2 measured.\n\n- ")
    assert "BROKEN" in text


def test_a_job_summary_stays_below_what_github_takes(tmp_path: Path) -> None:
    many = comparison(*(pair(f"{number}-{'é' * 500}") for number in range(800)))
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    job_summary.append([Source(tmp_path / "ab.json", many)], summary)
    written = summary.read_bytes()
    assert len(written) < job_summary.LIMIT_BYTES
    assert written.startswith(b"before\n\n### Slower: ")
    assert written.decode().endswith(f"\n\n{job_summary.LEFT_OUT}\n")
    assert written.count(b"<details>") == written.count(b"</details>")


@pytest.mark.parametrize("room", range(-1, 3))
def test_a_job_summary_that_is_full_stays_as_it_is_and_one_with_room_is_filled(room: int, tmp_path: Path) -> None:
    """Room for a small summary, an empty line before it and, as always, for what says that something is left out."""
    source, summary = Source(tmp_path / "ab.json", comparison(pair())), tmp_path / "summary.md"
    job_summary.append([source], summary)
    added = b"\n" + summary.read_bytes()
    needed = len(added) + len(f"\n{job_summary.LEFT_OUT}\n")
    for left, whole in ((room, False), (needed + room, room >= 0)):
        before = b"x" * (job_summary.LIMIT_BYTES - left)
        summary.write_bytes(before)
        job_summary.append([source], summary)
        written = summary.read_bytes()
        assert len(written) <= max(job_summary.LIMIT_BYTES, len(before))
        assert (written == before + added) == whole
        assert (written == before) == (left == room)


def test_a_gate_adds_to_the_job_s_summary_and_its_status_does_not_depend_on_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.ab.compare", lambda plan, watch: comparison(pair()))
    gate = ["gate", "--base", "HEAD", "--quiet", "--out", str(tmp_path / "ab.json")]
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert main(gate) == main(gate) == 1
    assert summary.read_text(encoding="utf-8").count("### Slower: A against B") == 2
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    assert main(gate) == 1
    assert capsys.readouterr().err == f"warning: the job summary, {tmp_path}, can't be written: Is a directory.\n"


def test_the_same_case_has_the_same_name_in_a_record_and_in_a_comparison(export: Any) -> None:
    of_run = metrics(export("bmf", of_cases(measured(SINGLE, [[1e-4]]))))
    assert metrics(export("bmf", comparison(pair()))).keys() < of_run.keys()


@pytest.mark.parametrize("form", ["csv", "columns", "gobench"])
def test_a_run_is_exported_once_though_it_is_named_twice(
    form: Format, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    once = exported(form, a_record(), tmp_path, capsys)
    path = tmp_path / "r.json"
    assert main(["report", str(path), str(path), "--format", form]) == 0
    assert capsys.readouterr() == (once, f"warning: {path}: left out, for its run was named before, as {path}.\n")
