"""`bench project`: from a record on disk to a table and sentences, or to a refusal in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from records import case, record
from test_cost_model import measured, result
from test_host_link import measured as measured_over_hosts

from bench.cli import main
from bench.record import CaseResult, Record, write


def project(found: Record, folder: Path, *flags: str) -> int:
    path = folder / "run.json"
    write(found, path)
    return main(["project", str(path), *flags])


def test_it_says_what_more_devices_would_take_and_how_well_it_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project(measured(noise=0.01), tmp_path, "--devices", "16,64", "--batch", "2048") == 0
    said = capsys.readouterr().out
    # By the law of test_model: 0.2 ms + 20.48 ms / 16 + 8 x 0.05 ms + 15 / 8 x 4 ms.
    assert "9.4 ms ±2%" in said
    assert "projected" in said
    assert "efficiency stays over 50% up to" in said
    assert "fitted to 36 times on 1, 2, 4 devices" in said


def test_another_link_is_said_to_be_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--devices", "16", "--batch", "2048", "--link-latency", "5us", "--link-bandwidth", "50GB/s")
    assert project(measured(), tmp_path, *flags) == 0
    said = capsys.readouterr().out
    # 0.2 ms + 20.48 ms / 16 + 8 x 5 us + 15 / 8 x 4 MB / (50 GB/s).
    assert "1.670 ms" in said
    assert "latency and bytes given by hand" in said


def test_more_devices_than_examples_are_not_projected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert project(measured(), tmp_path, "--devices", "4096", "--batch", "2048") == 0
    assert "more devices than examples" in capsys.readouterr().out


def test_oversubscribed_points_are_refused_with_the_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert project(measured((1, 8), cores=2), tmp_path) == 2
    said = capsys.readouterr().err
    assert "each has a core of its own" in said
    assert "--link-bandwidth" in said


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (record(result(512, 1), result(1024, 2)), "a line needs two points"),
        (record(result(512, 1)), "no case of the record divides work over devices"),
        (record(result(512, 1), CaseResult(case("data_parallel", 2), "broken", why="it crashed")), "no case"),
    ],
)
def test_too_little_is_refused_in_a_sentence(
    found: Record, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project(found, tmp_path) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--link-latency", "5"), "a time above 0 such as 5us was expected"),
        (("--link-latency", "-5us"), "a time above 0 such as 5us was expected"),
        (("--link-bandwidth", "fast"), "bytes a second above 0 such as 50GB/s"),
        (("--devices", "0"), "devices must be from 1"),
        (("--batch", "-3"), "batch must be from 1"),
        (("--modes", "data_paralel"), "data_parallel"),
        (("--workloads", "wide"), "tutorial"),
    ],
)
def test_a_wrong_argument_is_refused(
    flags: tuple[str, ...], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project(measured(), tmp_path, *flags) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())


def test_a_newer_record_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "newer.json"
    path.write_text(json.dumps({"schema": 99}))
    assert main(["project", str(path)]) == 2
    assert "its schema is 99" in capsys.readouterr().err


def test_a_validation_is_nothing_to_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "scaling.json"
    path.write_text(json.dumps({"type": "validation", "schema": 1}))
    assert main(["report", str(path)]) == 2
    assert (
        "is a record of `bench.validate`, and a record of `run`, `ab` or `gate` was expected."
        in capsys.readouterr().err
    )


def test_the_file_of_another_command_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ab.json"
    path.write_text(json.dumps({"type": "comparison", "schema": 1}))
    assert main(["project", str(path)]) == 2
    assert (
        "is a record of `ab` or `gate`, and a record of `python -m bench run` was expected" in capsys.readouterr().err
    )


def test_more_devices_than_a_host_has_need_a_link_between_hosts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--devices", "16", "--batch", "2048", "--devices-per-host", "4")
    assert project(measured(), tmp_path, *flags) == 0
    assert "needs --host-link-latency and --host-link-bandwidth" in capsys.readouterr().out
    assert project(measured(), tmp_path, *flags, "--host-link-latency", "20us", "--host-link-bandwidth", "2GB/s") == 0
    said = capsys.readouterr().out
    # 0.2 ms + 20.48 ms / 16 + 4 x 0.05 ms + 3 / 2 x 4 ms within 4 devices + 4 x 20 us + 3 / 2 x 4 MB / (2 GB/s).
    assert "10.76 ms" in said
    assert "host latency and host bytes given by hand" in said
    assert "4 devices on each host: none was measured over several." in said
    assert "dispatch over hosts" in said


def test_where_all_devices_are_on_one_host_nothing_is_said_of_several(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project(measured(), tmp_path, "--devices", "16") == 0
    said = capsys.readouterr().out
    assert "dispatch" in said
    assert "over hosts" not in said.split("A step takes")[0]


def test_a_host_without_devices_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert project(measured(), tmp_path, "--devices-per-host", "0") == 2
    assert "devices per host must be from 1 to" in capsys.readouterr().err


def test_a_record_over_hosts_is_projected_over_as_many_devices_on_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project(measured_over_hosts(0, 1), tmp_path, "--devices", "16", "--batch", "2048") == 0
    said = capsys.readouterr().out
    # 0.2 ms + 20.48 ms / 16 + 60 x 1 ms + 15 / 8 x 0.4 MB / (12.5 MB/s), a ring of 16 devices.
    assert "121.5 ms" in said
    assert "2 devices on each host; collectives between them as Gloo has them" in said
    assert "host latency 1.0 ms a message, host bytes 12 MB/s" in said
