"""What the doctor says of a machine, from files as Linux has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import cli, doctor
from bench.environment import usable_cores


def cpu(folder: Path, **files: str) -> Path:
    """A /sys/devices/system/cpu with those settings."""
    paths = {"governor": "cpu0/cpufreq/scaling_governor", "boost": "cpufreq/boost", "smt": "smt/active"}
    for name, text in files.items():
        path = folder / paths[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return folder


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"governor": "powersave"}, "The CPU frequency governor is 'powersave'"),
        ({"boost": "1"}, "The CPU may boost its clock"),
        ({"smt": "1"}, "Cores are hardware threads"),
    ],
)
def test_a_setting_that_spoils_measurements_is_told(tmp_path: Path, files: dict[str, str], said: str) -> None:
    assert any(line.startswith(said) for line in doctor.advice(cpu(tmp_path, **files), load=0.0))


def test_good_settings_are_not_told_and_a_load_is(tmp_path: Path) -> None:
    good = doctor.advice(cpu(tmp_path, governor="performance", boost="0", smt="0"), load=0.0)
    assert not any("governor" in line or "boost" in line or "threads" in line or "load" in line for line in good)
    busy = doctor.advice(tmp_path, load=float(len(usable_cores())))
    assert any(line.startswith("The load average is") for line in busy)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--workloads", "nope"], "no workload is called 'nope'"),
        (["--modes", "nope"], "no mode is called 'nope'"),
        (["--devices", "0"], "devices must be at least 1, got 0."),
    ],
)
def test_cases_that_cannot_be_are_refused_though_nothing_is_measured(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["doctor", *argv]) == 2
    printed, complaint = capsys.readouterr()
    assert printed == ""
    assert said in complaint


def test_a_file_that_is_no_noise_is_refused_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.json").write_text('{"schema": 1}')
    assert cli.main(["doctor", "--noise", "--quiet", "--out", str(tmp_path / "other.json")]) == 2
    assert "not a record of `python -m bench`" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["other.json"]
