"""What a user gets of two processes on a cluster: each of these runs under `mpirun` and under `srun`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from launchers import ROOT, Launcher

from bench.record import Record, read

DETECTING = """
import json
from toynet.cluster import detected
place = detected(None, None, None, 60)
print(json.dumps([place.count, place.rank, place.port > 0, place.local_devices]), flush=True)
"""
CASES = ("--workloads", "tutorial", "--paths", "plain", "--modes", "data_parallel", "--devices", "2", "--restarts", "1")
RUN = ("-m", "bench", "run", *CASES, "--out", "run.json")
BRIEF = ("--rounds", "1", "--budget", "5")
# Of the two nodes and 16 cores of deploy/slurm.sbatch, what this machine has.
HERE = ("--nodes=1", "--ntasks-per-node=2", "--cpus-per-task=1")
# A loss is noticed when a connection ends, long before the time limit, which is the default here.
LIMIT_S = 60
TITLE = "Step time by mode and devices"
Measured = tuple[str, Record]


@pytest.fixture(scope="module")
def measured(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """What a run in one process and over both printed, and its record; under Slurm it is run by the batch script."""
    folder = tmp_path_factory.mktemp(launcher.name)
    if launcher.name == "srun":
        return queued(launcher, folder)
    run = launcher.run(folder, *RUN, *BRIEF, "--distributed", "auto")
    assert (run.status, run.stderr) == (0, "")
    return run.stdout, read(folder / "run.json")


def queued(launcher: Launcher, folder: Path) -> Measured:
    """The same of deploy/slurm.sbatch, which is queued there and waited for."""
    (folder / "results").mkdir()
    (folder / ".venv").symlink_to(sys.prefix)
    batch = ["sbatch", "--parsable", "--wait", *HERE, str(ROOT / "deploy" / "slurm.sbatch"), *CASES, *BRIEF]
    job = subprocess.run(
        batch, cwd=folder, env=launcher.whole_environment(), capture_output=True, text=True, timeout=300
    )
    printed = folder / "results" / f"slurm-{job.stdout.strip()}.out"
    assert job.returncode == 0, printed.read_text()
    return printed.read_text(), read(printed.with_suffix(".json"))


def test_each_process_finds_out_how_many_there_are_and_which_it_is(launcher: Launcher, tmp_path: Path) -> None:
    run = launcher.run(tmp_path, "-c", DETECTING)
    assert (run.status, run.stderr) == (0, "")
    assert sorted(map(json.loads, run.stdout.splitlines())) == [[2, 0, True, [0]], [2, 1, True, [1]]]


def test_rank_0_alone_prints_the_table_in_plain_text(measured: Measured) -> None:
    printed, _ = measured
    assert printed.count(TITLE) == 1
    assert "\x1b" not in printed


def test_the_record_has_the_host_the_devices_and_the_environment_of_each_process(measured: Measured) -> None:
    _, record = measured
    assert record.complete
    assert [process.rank for process in record.processes] == [0, 1]
    assert [process.machine for process in record.processes] == [0, 0]
    for process in record.processes:
        assert process.name == socket.gethostname()
        assert set() < set(process.host.usable_cores) <= os.sched_getaffinity(0)
        assert (process.backend.platform, process.backend.simulated) == ("cpu", True)
        assert "jaxlib" in process.backend.packages


def test_data_over_both_processes_is_proven_equal_to_single_and_timed_in_both(measured: Measured) -> None:
    _, record = measured
    one, both = record.cases
    assert (one.case.processes, both.case.processes) == (1, 2)
    assert (one.status, both.status) == ("measured", "measured")
    assert both.certificate is not None
    passed = {check.name for check in both.certificate.checks if check.passed}
    assert passed >= {"initial state", "raw gradients", "loss over an epoch", "step from the same state"}
    assert len(passed) == len(both.certificate.checks)
    assert both.samples
    for sample in both.samples:
        assert len(sample.block.processes_s) == 2
        assert max(sample.block.processes_s) == sample.block.seconds


def test_a_rank_that_is_killed_ends_the_run_within_its_time_and_the_rounds_before_stay_readable(
    launcher: Launcher, tmp_path: Path
) -> None:
    long = ("--across", "2", "--rounds", "1000", "--budget", "120")
    with launcher.start(tmp_path, *RUN, *long, "--distributed", "auto") as run:
        run.until((tmp_path / "run.json").exists)
        os.kill(run.processes(rank=1)[0].pid, signal.SIGKILL)
        assert run.wait(LIMIT_S) != 0
        run.wait_until_gone(10)
    assert "rank 1 on" in run.stderr
    record = read(tmp_path / "run.json")
    assert not record.complete
    assert all(result.samples for result in record.cases)


def test_training_over_both_processes_prints_the_accuracy_of_the_tutorial_once(
    launcher: Launcher, tmp_path: Path
) -> None:
    training = ("-m", "toynet", "train", "--mode", "data_parallel", "--devices", "2", "--quiet")
    run = launcher.run(tmp_path, *training, "--distributed", "auto")
    assert (run.status, run.stdout, run.stderr) == (0, "Accuracy on the test set: 0.9950\n", "")


def test_without_being_told_to_join_no_process_of_several_measures(launcher: Launcher, tmp_path: Path) -> None:
    run = launcher.run(tmp_path, *RUN)
    assert run.status == 2
    assert f"error: {launcher.name} started 2 processes together" in run.stderr
    assert not (tmp_path / "run.json").exists()
