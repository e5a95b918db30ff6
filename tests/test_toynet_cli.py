"""`python -m toynet train`: its lines, its pictures, and that nothing a user can do wrong ends in a traceback."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from toynet.__main__ import main

pytestmark = pytest.mark.usefixtures("compiled_once")

GOLDEN = json.loads((Path(__file__).parent / "golden" / "tutorial.json").read_text())
GOLDEN_LINES = [
    f"step: {epoch['epoch']:03d}, loss: {epoch['last_batch_loss']:.4f}, accuracy: {epoch['last_batch_accuracy']:.4f}"
    for epoch in GOLDEN["epochs"]
]
COMMAND = [sys.executable, "-m", "toynet", "train"]
ENDLESS = [*COMMAND, "--epochs", "2000000000"]
FAST = ["train", "--size", "100", "--epochs", "2"]


def lines(capsys: pytest.CaptureFixture[str], *argv: str) -> list[str]:
    """What a command that succeeds prints."""
    assert main(argv) == 0
    printed, complaints = capsys.readouterr()
    assert complaints == ""
    return printed.splitlines()


def test_the_bare_command_prints_the_tutorials_lines_and_ends_in_its_accuracy() -> None:
    run = subprocess.run(COMMAND, capture_output=True, text=True, timeout=300, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    printed = run.stdout.splitlines()
    assert len(printed) == 101
    assert printed[:10] + printed[90:100] == GOLDEN_LINES
    assert printed[-1] == "Accuracy on the test set: 0.9950"


@pytest.mark.parametrize(
    "argv",
    [
        ["--mode", "data_parallel", "--devices", "8"],
        ["--mode", "data_parallel", "--devices", "4", "--deterministic"],
        ["--mode", "fsdp", "--devices", "5"],
        ["--mode", "zero1", "--devices", "2"],
        ["--mode", "ensemble", "--seeds", "1"],
        ["--mode", "ensemble_data", "--members", "1", "--mesh", "1x8"],
        ["--path", "plain"],
        ["--seeds", "1"],
    ],
)
def test_every_mode_prints_the_tutorials_lines(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    printed = lines(capsys, "train", "--epochs", "3", *argv)
    assert [line for line in printed if line.startswith("step")] == GOLDEN_LINES[:3]


def test_an_ensemble_says_whose_median_it_prints_and_sums_its_members_up(capsys: pytest.CaptureFixture[str]) -> None:
    printed = lines(capsys, *FAST, "--mode", "ensemble_data", "--devices", "4", "--seeds", "3")
    assert printed[0] == "Each step: the median of 3 members, seeds 42 to 44"
    assert re.fullmatch(r"step: 000, loss: \d\.\d{4}, accuracy: \d\.\d{4}", printed[1])
    assert re.fullmatch(r"Accuracy on the test set: \d\.\d{4}", printed[3])
    assert re.fullmatch(
        r"That is the mean decision; .* median 0\.\d{4}, lowest 0\.\d{4}, highest [01]\.\d{4}", printed[4]
    )
    assert re.fullmatch(r"The members disagree on \d+ of 20 points", printed[5])
    assert len(printed) == 6


def test_quiet_prints_the_end_only(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = lines(capsys, *FAST, "--quiet")
    assert line.startswith("Accuracy on the test set: ")


def test_every_size_can_be_changed(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--batch", "7", "--seed", "1", "--learning-rate", "0.1", "--hidden-layers", "2", "--hidden-dim", "3"]
    assert len(lines(capsys, *FAST, *sizes)) == 3


def test_dtype_and_random_bits_are_chosen_for_the_run_only(capsys: pytest.CaptureFixture[str]) -> None:
    before = jax.threefry_partitionable.value
    double = lines(capsys, *FAST, "--dtype", "float64", "--threefry", "partitionable")
    assert double != lines(capsys, *FAST, "--dtype", "float64")
    assert not jax.config.read("jax_enable_x64")
    assert jax.threefry_partitionable.value == before


def test_any_preset_can_be_made_smaller_and_computed_in_bfloat16(capsys: pytest.CaptureFixture[str]) -> None:
    small = [*FAST, "--preset", "xl", "--batch", "20", "--hidden-layers", "1", "--hidden-dim", "4"]
    coarse = lines(capsys, *small)
    assert len(coarse) == 3
    assert coarse[:2] != lines(capsys, *small, "--compute-dtype", "float32")[:2]


@pytest.mark.parametrize(
    ("argv", "names"),
    [
        ([], {"data.png", "split.png", "decision.png"}),
        (["--mode", "ensemble"], {"data.png", "split.png", "decision.png", "disagreement.png"}),
    ],
)
def test_plot_writes_the_pictures_and_nothing_else(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, argv: list[str], names: set[str]
) -> None:
    folder = tmp_path / "new" / "pictures"
    lines(capsys, *FAST, *argv, "--plot", str(folder))
    assert {path.name for path in folder.iterdir()} == names


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--mode", "ensmble"], "no mode is called 'ensmble'; did you mean 'ensemble'?"),
        (["--preset", "tutorail"], "no preset is called 'tutorail'; did you mean 'tutorial'?"),
        (["--devices", "0"], "--devices must be at least 1, got 0"),
        (["--devices", "-2"], "--devices must be at least 1, got -2"),
        (["--devices", "2"], "mode 'single' runs on 1 device, got 2; 'data_parallel' takes several"),
        (["--mode", "data_parallel", "--devices", "9"], "JAX has already started with 8"),
        (["--mode", "data_parallel", "--devices", "1000"], "1 to 256 devices, got 1000"),
        (["--mode", "data_parallel", "--devices", "3", "--deterministic"], "8 parts, which 3 devices can't share"),
        (["--mode", "fsdp", "--devices", "2", "--deterministic"], "a fixed order, which mode 'fsdp' doesn't keep"),
        (["--mode", "single", "--seeds", "4"], "mode 'single' trains 1 member, got 4"),
        (["--path", "slow"], "invalid choice 'slow'"),
        (["--mode", "ensemble", "--seeds", "0"], "members must be at least 1, got 0"),
        (["--mode", "ensemble", "--seed", "4294967290"], "the last would be 4294967297"),
        (["--mesh", "2x2"], "--mesh is for mode 'ensemble_data', got mode 'single'"),
        (["--mode", "ensemble_data", "--mesh", "4"], "--mesh must be two numbers from 1 with an x between"),
        (["--mode", "ensemble_data", "--mesh", "0x4"], "as in 4x2, got '0x4'"),
        (["--mode", "ensemble_data", "--mesh", "4x2", "--devices", "4"], "has 8 devices, but --devices says 4"),
        (["--batch", "0"], "batch_size must be at least 1, got 0"),
        (["--batch", "1000000000000000000000"], "batch_size must be below 2**31"),
        (["--size", "-1"], "size must be from 5"),
        (["--epochs", "-3"], "epochs must be at least 1, got -3"),
        (["--hidden-layers", "-1"], "hidden_layers can't be negative"),
        (["--hidden-dim", "0"], "hidden_dim must be at least 1, got 0"),
        (["--hidden-layers", "3", "--hidden-dim", "1000000000"], "fewer than 2**31 parameters"),
        (["--seed", "-1"], "seed must be from 0 to 2**32 - 1, got -1"),
        (["--learning-rate", "nan"], "learning_rate must be above 0 and finite, got nan"),
        (["--preset", "wide", "--size", "1798"], "there are 1797 digits, got size 1798; take fewer."),
        (
            ["--dtype", "float64", "--compute-dtype", "bfloat16"],
            "compute_dtype must be float64, as dtype is, or bfloat16",
        ),
        (["--preset", "wide"], "--plot draws points of 2 features, and preset 'wide' has 64"),
    ],
)
def test_bad_input_gets_one_sentence_and_status_2_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, argv: list[str], message: str
) -> None:
    assert main(["train", *argv, "--plot", str(tmp_path / "pictures")]) == 2
    printed, complaint = capsys.readouterr()
    assert printed == ""
    assert message in complaint
    assert complaint.startswith("error: ")
    assert complaint.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_to_is_refused_before_training(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    assert main(["train", "--plot", str(tmp_path / "file" / "pictures")]) == 2
    printed, complaint = capsys.readouterr()
    assert printed == ""
    assert re.fullmatch(r"error: can't write pictures into '.*': Not a directory; name another folder\.\n", complaint)


def test_malformed_xla_flags_are_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "\u2014xla_dump_to=a")
    assert main(FAST) == 2
    assert "flags begin with two ASCII '--'" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["train", "--nope", "3"], ["train", "--devices", "many"], ["trian"], []])
def test_flags_and_commands_that_do_not_exist_are_refused(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    assert main(argv) == 2
    printed, complaint = capsys.readouterr()
    assert printed == ""
    assert complaint.startswith("error: ")
    assert complaint.count("\n") == 1
    assert (argv or ["train"])[-1] in complaint or argv[-2] in complaint


def test_help_shows_an_example_that_works(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as left:
        main(["train", "--help"])
    assert left.value.code == 0
    example = re.search(r"Example: python -m toynet (.*)", capsys.readouterr().out)
    assert example
    argv = example[1].replace("--plot pictures", f"--plot {tmp_path}").split()
    assert lines(capsys, *argv, "--epochs", "1", "--quiet")[0].startswith("Accuracy")


@pytest.mark.parametrize(
    ("variable", "value"), [("JAX_PLATFORMS", "nonsense"), ("JAX_PLATFORMS", "rocm"), ("JAX_NUM_CPU_DEVICES", "many")]
)
def test_an_environment_that_jax_cannot_start_in_gets_one_sentence(variable: str, value: str) -> None:
    run = subprocess.run(
        COMMAND, env={**os.environ, variable: value}, capture_output=True, text=True, timeout=300, check=False
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("error: JAX can't ")
    assert "Traceback" not in run.stderr


def test_seeds_alone_are_divided_over_the_cores_and_explained(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toynet.__main__.usable_cores", lambda: (0, 1))
    printed = lines(capsys, *FAST, "--seeds", "17", "--explain", "--quiet")
    assert printed[0].startswith("Mode ensemble_data over 2 devices: ")
    assert printed[1].startswith("Path lanes, 9 members in a block and 8 examples at a time: 9 members on a device")
    assert printed[2] == "Epochs in one program: 2 of 2"
    assert printed[-1].startswith("The members disagree on ")


def test_the_plain_path_is_to_be_had_and_says_that_it_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    printed = lines(capsys, *FAST, "--path", "plain", "--explain", "--quiet")
    assert printed[:2] == [
        "Mode single: one member on one device (jit)",
        "Path plain: the plain way was asked for",
    ]


def test_a_mesh_alone_is_an_ensembles(capsys: pytest.CaptureFixture[str]) -> None:
    printed = lines(capsys, *FAST, "--seeds", "4", "--mesh", "2x2", "--explain", "--quiet")
    assert printed[0].startswith("Mode ensemble_data over 4 devices: ")


def test_an_interrupt_exits_130_without_a_traceback() -> None:
    with subprocess.Popen(ENDLESS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout
        assert run.stderr
        assert run.stdout.readline().startswith("step: 000")
        run.send_signal(signal.SIGINT)
        assert run.wait(timeout=300) == 130
        assert run.stderr.read() == ""


def test_a_reader_that_leaves_ends_the_run_without_a_traceback() -> None:
    with subprocess.Popen(ENDLESS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout
        assert run.stderr
        run.stdout.readline()
        run.stdout.close()
        assert run.wait(timeout=300) == 130
        assert run.stderr.read() == ""
