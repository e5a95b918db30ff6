"""`python -m bench`: what it prints, what it leaves, and that nothing a user can do wrong ends in a traceback."""

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from records import case, measured
from records import record as of_cases
from test_verdicts_report import comparison, pair

from bench.cli import main
from bench.keeping import keep
from bench.measured import KINDS, REFERENCE
from bench.record import read, write
from bench.run import Plan

GOLDEN = Path(__file__).parent / "golden" / "record-1.json"
COMMAND = [sys.executable, "-m", "bench"]
TINY = ["run", "--workloads", "tutorial", "--modes", "single", "--restarts", "1", "--rounds", "1", "--budget", "5"]


@pytest.fixture(autouse=True)
def _signals_as_they_were() -> Iterator[None]:
    """`main` takes SIGTERM as an interrupt."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def refused(capsys: pytest.CaptureFixture[str], argv: list[str]) -> str:
    """The sentence with which a command line is refused."""
    assert main(argv) == 2
    printed, complaint = capsys.readouterr()
    assert printed == ""
    return sentence(complaint)


def sentence(complaint: str) -> str:
    """The only sentence of a complaint, without what marks it as one."""
    assert re.fullmatch(r"error: [^\n]+[.?]\n", complaint), complaint
    assert not re.search(r"\. [A-Z]", complaint), complaint
    assert "Traceback" not in complaint
    return complaint.removeprefix("error: ").rstrip("\n")


def lines(capsys: pytest.CaptureFixture[str], *argv: str) -> list[str]:
    """What a command that succeeds prints."""
    assert main(argv) == 0
    printed, complaints = capsys.readouterr()
    assert complaints == ""
    return printed.splitlines()


# list


def test_list_shows_the_cases_and_what_each_needs(capsys: pytest.CaptureFixture[str]) -> None:
    printed = lines(capsys, "list", "--workloads", "tutorial", "--members", "8", "--mesh", "128x2")
    rows = [line.split() for line in printed if line.startswith("  tutorial/")]
    assert [row[0] for row in rows] == [
        "tutorial/single-1/m1/b32",
        "tutorial/single-1/m1/b32/fast",
        "tutorial/ensemble-1/m8/b32",
        "tutorial/ensemble-1/m8/b32/fast",
        "tutorial/data_parallel-1/m1/b32",
        "tutorial/data_parallel-2/m1/b32",
        "tutorial/data_parallel-4/m1/b32",
        "tutorial/data_parallel-8/m1/b32",
        "tutorial/ensemble_data-128x2/m8/b32",
    ]
    cores = len(os.sched_getaffinity(0))
    # 3 arrays (parameters, adam's two moments) of 52 float32; for 8 members, 8 times as many bytes.
    assert rows[0][1:] == ["1", "1", "620", "B"]
    assert rows[2][1:] == ["1", "1", "5.0", "kB"]
    assert rows[8][1:3] == ["128x2", str(min(256, cores))]
    assert ("oversubscribed" in printed[-2]) == (cores < 256)


def test_list_shows_a_network_of_any_size_and_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--hidden-layers", "3", "--hidden-dim", "2048", "--compute-dtype", "bfloat16"]
    printed = lines(capsys, "list", "--workloads", "small,xl", "--modes", "single", *sizes)
    rows = [line.split() for line in printed if "/single-1/" in line]
    # 3 arrays of float32, each of (64 + 1) 2048 + 2 (2048 + 1) 2048 + (2048 + 1) 10 for small; 1024 features for xl.
    assert rows == [
        ["small/single-1/m1/b64/h3x2048/bfloat16", "1", "1", "100", "MB"],
        ["xl/single-1/m1/b4096/h3x2048/bfloat16", "1", "1", "130", "MB"],
    ]


def test_list_takes_lists_separated_by_commas(capsys: pytest.CaptureFixture[str]) -> None:
    printed = lines(capsys, "list", "--modes=data_parallel,single", "--devices=1,4,", "--batch=7,9", "--deterministic")
    assert sum("/data_parallel-4/m1/b9/deterministic" in line for line in printed) == 2  # of both workloads
    assert sum("/single-1/" in line for line in printed) == 6
    assert sum("/single-1/" in line and "/fast" in line for line in printed) == 2  # of tutorial
    printed = lines(capsys, "list", "--modes=single", "--hidden-layers=1,2", "--hidden-dim=16,64,256")
    assert sum("/b32/h2x" in line for line in printed) == 3


def test_list_explains_the_fast_path_of_each_case(capsys: pytest.CaptureFixture[str]) -> None:
    printed = lines(capsys, "list", "--modes", "single,ensemble", "--members", "64", "--explain")
    said = [line for line in printed if "/fast: " in line]
    assert [line.partition(": ")[2].partition(":")[0] for line in said] == [
        "broadcast",
        "lanes, 64 members in a block and 8 examples at a time",
        "plain",
        "plain",
    ]
    assert "64 members on a device, whose largest layer has 20 weights, fill vector lanes" in said[1]


def test_a_pipe_gets_no_colour(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b" not in "".join(lines(capsys, "list"))
    assert "\x1b" not in "".join(lines(capsys, "report", str(GOLDEN)))


# report


def test_report_prints_the_table_and_what_it_means(capsys: pytest.CaptureFixture[str]) -> None:
    printed = "\n".join(lines(capsys, "report", str(GOLDEN)))
    assert "Step time by mode and devices" in printed
    assert "tutorial: fastest here" in printed


def test_report_prints_a_comparison(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write(comparison(pair()), tmp_path / "ab.json")
    printed = "\n".join(lines(capsys, "report", str(tmp_path / "ab.json")))
    assert "A against B, by a threshold of 3.0%" in printed
    assert "B is slower than A by more than 3.0%" in printed


def test_report_prints_several_records_and_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    printed = lines(capsys, "report", str(GOLDEN), str(GOLDEN), "--format", "markdown")
    assert printed.count("# Step time by mode and devices") == 2
    assert printed.count("## tutorial") == 2


def test_report_prints_what_it_can_and_exits_2_for_what_it_cannot(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["report", str(tmp_path / "missing.json"), str(GOLDEN)]) == 2
    printed, complaint = capsys.readouterr()
    assert "Step time by mode and devices" in printed
    assert sentence(complaint).startswith(f"{tmp_path / 'missing.json'}: No such file or directory; a record")


# What is refused


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--across", "2"], "--across must be at most 1, as many processes as there are, got 2; a launcher starts"),
        (["--local-processes", "0"], "--local-processes must be at least 1, got 0."),
        (["--local-processes", "2", "--distributed", "auto"], "--local-processes starts processes by itself; leave"),
        (
            ["--coordinator", "a:1", "--processes", "2"],
            "--process-id must be given as well, or found by --distributed auto",
        ),
        (["--distributed", "auto"], "--distributed auto finds no cluster here: start it by srun, mpirun,"),
        (["--distributed", "on"], "invalid choice 'on' for argument '--distributed'; expected one of"),
    ],
)
def test_processes_that_cannot_be_together_are_refused_in_one_sentence_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, ["run", *argv])
    assert not list(tmp_path.iterdir())


def test_cases_over_processes_are_listed_though_there_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    cases = ["--workloads", "tutorial", "--devices", "2", "--modes", "data_parallel"]
    listed = lines(capsys, "list", *cases, "--across", "1,2")
    assert [line.split()[0] for line in listed if "/" in line] == [
        "tutorial/data_parallel-2/m1/b32",
        "tutorial/data_parallel-2/m1/b32/p2",
    ]


@pytest.mark.parametrize("command", ["ab", "gate", "doctor"])
def test_commands_that_one_process_runs_take_no_flag_of_several(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    sides = ["a", "b"] if command == "ab" else []
    for flag in ("--across", "--local-processes"):
        assert f"Unrecognized options: {flag}" in refused(capsys, [command, *sides, flag, "2"])


@pytest.mark.parametrize("command", ["list", "run"])
@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--modes", "singel"], "no mode is called 'singel'; did you mean 'single'?"),
        (["--modes", "nope"], "no mode is called 'nope'; there are: data_parallel, ensemble, ensemble_data, fsdp, "),
        (["--workloads", "tutorail"], "no workload is called 'tutorail'; did you mean 'tutorial'?"),
        (["--workloads", ""], "--workloads: a list of at least one item was expected, got none"),
        (["--devices", "0"], "devices must be at least 1, got 0."),
        (["--devices", "abc"], "--devices: whole numbers separated by commas were expected, got 'abc'"),
        (["--devices", "1,2.5"], "--devices: whole numbers separated by commas were expected, got '2.5'"),
        (["--devices", "1", "2"], "Unrecognized options: 2"),
        (["--devices", "2", "--modes", "single"], "no case: the modes single don't run on 2 devices"),
        (["--devices", "1" + "0" * 30], "devices must be below 2**31"),
        (["--batch", "0"], "batch must be at least 1, got 0."),
        (["--members", "-8"], "members must be at least 1, got -8."),
        (["--members=-8,8"], "members must be at least 1, got -8."),
        (["--mesh", "4by2"], "--mesh: a mesh is written as 4x2, members x data, not '4by2'"),
        (["--mesh", "4x"], "--mesh: a mesh is written as 4x2, members x data, not '4x'"),
        (["--mesh", "0x2"], "a mesh needs at least 1 device on each axis, got 0x2."),
        (["--dtype", "float16"], "invalid choice 'float16' for argument '--dtype'; expected one of"),
        (["--compute-dtype", "half"], "invalid choice 'half' for argument '--compute-dtype'; expected one of"),
        (["--hidden-dim", "wide"], "--hidden-dim: whole numbers separated by commas were expected, got 'wide'"),
        (["--hidden-dim", "0"], "hidden_dim must be at least 1, got 0."),
        (["--hidden-layers", "1,9999"], "hidden_layers must be at most 1000, got 9999."),
        (["--workloads", "xl", "--dtype", "float64"], "compute_dtype must be float64, as dtype is, or bfloat16 with"),
        (["--membres", "3"], "Unrecognized options: --membres, 3; did you mean --members?"),
        (["--nope"], "Unrecognized options: --nope; see python -m bench"),
        (["--across", "0"], "--across must be at least 1 process, got 0."),
        (["--devices"], "Missing value for argument '--devices'"),
    ],
)
def test_cases_that_cannot_be_are_refused_in_one_sentence_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    argv: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, [command, *argv])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--restarts", "0"], "restarts must be from 1 to 2**31 - 1, got 0."),
        (["--restarts", "two"], "--restarts: a whole number was expected, got 'two'"),
        (["--rounds", "-1"], "rounds must be from 1 to 2**31 - 1, got -1."),
        (["--budget", "-1"], "the budget must be above 0 and at most 2e+06 s, got -1."),
        (["--budget", "nan"], "the budget must be above 0 and at most 2e+06 s, got nan."),
        (["--budget", "inf"], "the budget must be above 0 and at most 2e+06 s, got inf."),
        (["--budget", "long"], "--budget: a number was expected, got 'long'"),
        (["--time-limit", "0"], "the time limit must be above 0 and at most 2e+06 s, got 0."),
        (["--tolerance", "1"], "the tolerance, a share of a leaf's largest entry, must be above 0 and below 1, got 1."),
        (["--tolerance", "nan"], "must be above 0 and below 1, got nan."),
        (["--time-limit", "inf"], "the time limit must be above 0 and at most 2e+06 s, got inf."),
        (["--seed", str(2**53 + 1)], "seed must be from 0 to 2**53, got 9007199254740993."),
        (["--seed", "-1"], "seed must be from 0 to 2**53, got -1."),
        (["--trace", ""], "--trace: the name of a folder was expected, got none"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, ["run", *argv])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("file/run.json", "file/run.json can't be written: Not a directory; choose another --out."),
        ("file/folder/run.json", "file/folder/run.json can't be written: Not a directory; choose another --out."),
        ("folder", "folder is a folder; name a file for the record, such as "),
        ("pipe", "pipe is not a regular file, and would be replaced by the record; choose another --out."),
        ("taken.json", "taken.md is no file, and the report is written there; choose another --out."),
        ("x" * 300, "x can't be written: File name too long; choose another --out."),
        ("run.md", "run.md would be overwritten by the report and the picture beside it; end it in .json."),
        ("run.png", "run.png would be overwritten by the report and the picture beside it; end it in .json."),
    ],
)
def test_a_place_that_cannot_be_written_to_is_refused_before_anything_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, out: str, message: str
) -> None:
    (tmp_path / "file").write_text("kept")
    for folder in ("folder", "taken.md"):
        (tmp_path / folder).mkdir()
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.rglob("*"))
    assert message in refused(capsys, ["run", "--out", str(tmp_path / out)])
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "kept"


def test_a_folder_for_traces_that_cannot_be_is_refused_before_anything_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    for folder in ("file", "file/folder"):
        said = refused(capsys, ["run", "--out", str(tmp_path / "run.json"), "--trace", str(tmp_path / folder)])
        assert said == f"{tmp_path / folder} can't be written into: Not a directory; choose another --trace."
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "Expected one of {list, run, lint, ab, gate, compare, report, history, project, doctor}; see python"),
        (["lst"], "no command is called 'lst'; did you mean 'list'?"),
        (["hist"], "no command is called 'hist'; did you mean 'history'?"),
        (["frob"], "no command is called 'frob'; there are: ab, compare, doctor, gate, history, lint, list, project,"),
        (["ab", "."], "B (what it is, such as the working tree, `.`) is missing; see python -m bench ab --help."),
        (["ab"], "A (what it was, such as rev=main) and B (what it is, such as the working tree, `.`) are missing;"),
        (["project"], "PATH (a file that `run` wrote, of cases on one device and on more; --scaling strong,weak has"),
        (["report"], "no record was named; `python -m bench run` writes one"),
        (["report", str(GOLDEN), "--format", "pdf"], "invalid choice 'pdf' for argument '--format'; expected one of"),
        (["report", str(GOLDEN.parent / "tutorial.json")], "the field `schema` is missing."),
        (["report", str(GOLDEN.parent)], "Is a directory; a record that `python -m bench run` wrote was expected."),
        (
            ["report", str(GOLDEN.parent / "report.md")],
            "a record of `python -m bench`: invalid character in line 1, column 1.",
        ),
    ],
)
def test_commands_and_files_that_make_no_sense_are_refused_in_one_sentence(
    capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    assert message in refused(capsys, argv)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_sentence_is_the_same_whatever_the_locale_can_draw(encoding: str) -> None:
    run = subprocess.run(
        [*COMMAND, "list", "--devices", "abc"],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert sentence(run.stderr) == (
        "Error parsing --devices: whole numbers separated by commas were expected, got 'abc'; "
        "see python -m bench list --help."
    )


def test_float64_without_its_setting_is_refused_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JAX_ENABLE_X64", raising=False)
    said = refused(capsys, ["run", "--dtype", "float64", "--out", str(tmp_path / "new" / "run.json")])
    assert said.startswith("float64 needs JAX_ENABLE_X64=1")
    assert not list(tmp_path.iterdir())


def test_more_devices_than_can_be_simulated_are_refused_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    said = refused(capsys, ["run", "--devices", "100000", "--out", str(tmp_path / "new" / "run.json")])
    assert said == "100000 devices asked for, but a CPU can be made to show 256; ask for fewer."
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("XLA_FLAGS", "\u2014xla_dump_to=a", "flags begin with two ASCII '--'."),  # a typographic dash
        ("XLA_FLAGS", "xla_dump_to=a", "neither flags that begin with '--' nor a file of them."),
        ("XLA_FLAGS", "--xla_no_such_flag=1", "Unknown flag in XLA_FLAGS: --xla_no_such_flag=1"),  # XLA aborts on it
        ("JAX_PLATFORMS", "nonsense", "JAX can't start devices with JAX_PLATFORMS='nonsense': Unable to initialize"),
        ("JAX_ENABLE_X64", "perhaps", "JAX doesn't start here: ended with status 1; it last printed: "),
    ],
)
def test_an_environment_that_jax_does_not_start_in_gets_one_sentence(
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    message: str,
) -> None:
    monkeypatch.setenv(name, value)
    assert main([*TINY, "--out", str(tmp_path / "new" / "run.json")]) == 2
    printed, complaint = capfd.readouterr()  # of the workers as well
    assert printed == ""
    assert message in complaint
    assert re.fullmatch(r"error: [^\n]+\n", complaint)
    assert not list(tmp_path.iterdir())


def test_a_workload_that_is_not_there_is_refused_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    argv = [*TINY, "--workloads", "no_such_module:step", "--out", str(tmp_path / "new" / "run.json")]
    assert refused(capsys, argv).startswith("'no_such_module:step': there is no module 'no_such_module' on the path; ")
    assert not list(tmp_path.iterdir())


# run


def test_a_run_leaves_a_record_a_report_and_a_picture_and_prints_the_table(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    out = tmp_path / "new" / "run.json"
    traces = tmp_path / "traces"
    printed = lines(capsys, *TINY, "--workloads", "planted:right", "--out", str(out), "--trace", str(traces))
    assert printed[-1] == str(out)
    assert sorted(path.name for path in out.parent.iterdir()) == ["run.json", "run.md", "run.png"]
    record = read(out)
    assert record.complete
    (single,) = record.cases
    assert (single.status, len(single.starts)) == ("measured", 1)
    assert sorted(sample.kind for sample in single.samples) == sorted([*KINDS, REFERENCE])
    assert single.certificate is not None
    assert not single.certificate.failures
    assert out.with_suffix(".md").read_text(encoding="utf-8").startswith("# Step time by mode and devices\n")
    assert any(line.startswith("  single ") for line in printed)
    assert single.trace is not None
    assert single.trace.startswith(f"../traces/{single.case.name.replace('/', '.')}/")
    assert (out.parent / single.trace).is_file()


@pytest.mark.parametrize(("status", "exit_status"), [("measured", 0), ("broken", 4)])
def test_a_quiet_run_prints_nothing_and_a_case_that_broke_exits_4(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: Literal["measured", "broken"],
    exit_status: int,
) -> None:
    record = read(GOLDEN)
    cases = (record.cases[0], msgspec.structs.replace(record.cases[1], status=status))
    monkeypatch.setattr("bench.run.measure", lambda *_: msgspec.structs.replace(record, cases=cases))
    assert main(["run", "--quiet", "--out", str(tmp_path / "run.json")]) == exit_status
    assert capsys.readouterr() == ("", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.md", "run.png"]
    assert main(["run", "--out", str(tmp_path / "run.json")]) == exit_status
    assert "Step time by mode and devices" in capsys.readouterr().out


def test_a_run_leaves_a_picture_of_what_grows_and_none_of_an_earlier_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown = of_cases(*(measured(case("ensemble", members=n), [[1e-3 * n], [1e-3 * n]]) for n in (1, 2, 4)))
    monkeypatch.setattr("bench.run.measure", lambda *_: grown)
    (tmp_path / "run.growth-hidden-dim.png").write_text("of an earlier run")
    assert main(["run", "--quiet", "--out", str(tmp_path / "run.json")]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.growth-members.png", "run.md"]
    keep(grown, tmp_path / "run.json")
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize("command", ["list", "run", "report"])
def test_the_help_of_each_command_shows_an_example_that_is_understood(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    (example,) = re.findall(r"^Example: python -m bench ([^╭]+?)\n\n", capsys.readouterr().out, re.M)
    argv = example.replace("results/baseline-cpu.json", str(GOLDEN)).split()
    assert argv[0] == command
    if command == "run":  # understood, and then refused for something else
        assert refused(capsys, [*argv, "--restarts", "0"]).startswith("restarts must be")
    else:
        assert lines(capsys, *argv)


def test_a_batch_that_does_not_divide_is_refused_before_anything_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    cases = ["--workloads", "planted:unmasked", "--modes", "data_parallel", "--devices", "2,3"]
    for argv in (["list", *cases], ["run", *cases, "--out", str(tmp_path / "new" / "run.json")]):
        said = refused(capsys, argv)
        assert said.startswith("a batch of 8 doesn't divide over 3 devices, and 'unmasked' has no mask")
    assert not list(tmp_path.iterdir())


# Pipes and signals


def test_a_pipe_keeps_the_exit_status() -> None:
    done = ["list", "--modes", "single"]
    for argv, status in ((done, 0), ([*done, "--devices", "0"], 2), (["report", str(GOLDEN), "no.json"], 2)):
        with subprocess.Popen([*COMMAND, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
            run.communicate(timeout=300)
        assert run.returncode == status


@pytest.mark.parametrize("form", ["terminal", "markdown"])
@pytest.mark.parametrize(("records", "status"), [([GOLDEN], 0), ([GOLDEN, "no.json"], 2)])
def test_a_reader_that_leaves_changes_no_status_and_sees_no_traceback(
    form: str, records: list[object], status: int
) -> None:
    argv = [*COMMAND, "report", *map(str, records), "--format", form]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout
        assert run.stderr
        run.stdout.close()  # before anything is printed: Python takes longer than this to start
        complaint = run.stderr.read()
        assert run.wait(timeout=300) == status
    assert complaint.startswith("error: no.json: ") if status else complaint == ""
    assert "Traceback" not in complaint


@pytest.mark.parametrize(("record", "status"), [(GOLDEN, 0), ("no.json", 2)])
def test_a_closed_output_changes_no_status(record: object, status: int) -> None:
    argv = ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, "report", str(record)]
    run = subprocess.run(argv, stderr=subprocess.PIPE, text=True, timeout=300, check=False)
    assert run.returncode == status
    assert run.stderr.count("\n") == bool(status)


def test_a_locale_without_a_plus_minus_sign_gets_it_spelled() -> None:
    run = subprocess.run(
        [*COMMAND, "report", str(GOLDEN)],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert re.search(r"us \+->?\d+%", run.stdout)
    assert "?" not in run.stdout


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_exits_130_without_a_traceback_and_ends_the_workers(tmp_path: Path, sent: signal.Signals) -> None:
    argv = [*COMMAND, *TINY, "--rounds", "1000000", "--budget", "600", "--out", str(tmp_path / "run.json")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr
        worker = first_child(run)
        run.send_signal(sent)
        _, complaint = run.communicate(timeout=300)
    assert run.returncode == 130
    assert complaint == "interrupted; nothing had been written by then\n"
    assert select.select([worker], [], [], 300)[0]  # readable once it has ended
    os.close(worker)


def test_an_interrupted_run_is_reported_as_far_as_it_came_and_no_report_is_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    partial = msgspec.structs.replace(read(GOLDEN), complete=False)
    beside = [tmp_path / "run.md", tmp_path / "run.png"]

    def interrupted(plan: Plan, *_: object) -> None:
        keep(partial, plan.out)
        assert not any(path.exists() for path in beside)  # as a run that is killed leaves it
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.run.measure", interrupted)
    for path in beside:
        path.write_text("of an earlier run")
    assert main(["run", "--out", str(tmp_path / "run.json")]) == 130
    said = f"interrupted; {(out := tmp_path / 'run.json')} has what was measured by then, and `python -m bench run "
    assert capsys.readouterr().err.startswith(f"{said}--resume {out}`")
    assert read(out) == partial
    assert beside[0].read_text(encoding="utf-8").startswith("# Step time by mode and devices\n")
    assert beside[1].read_bytes().startswith(b"\x89PNG")


def test_an_interrupt_before_the_first_round_leaves_the_earlier_run_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.run.measure", interrupted)
    for name in ("run.json", "run.md", "run.png"):
        (tmp_path / name).write_text("of an earlier run")
    assert main(["run", "--out", str(tmp_path / "run.json")]) == 130
    assert {path.read_text() for path in tmp_path.iterdir()} == {"of an earlier run"}


def first_child(run: subprocess.Popen[str]) -> int:
    """A descriptor of the first process that a run has started, as soon as there is one."""
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    while run.poll() is None:
        if found := children.read_text().split():
            return os.pidfd_open(int(found[0]))
    raise AssertionError("the run ended before it had started a worker")
