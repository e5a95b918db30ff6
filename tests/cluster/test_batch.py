"""deploy/slurm.sbatch, queued in a Slurm that runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from launchers import FOREIGN, ROOT

from bench.record import read

# Of its two nodes and 16 cores, what this machine has.
HERE = ("--nodes=1", "--ntasks-per-node=2", "--cpus-per-task=1")
CASE = ("--workloads", "tutorial", "--paths", "plain", "--modes", "data_parallel", "--devices", "2", "--across", "2")
BRIEF = ("--restarts", "1", "--rounds", "1", "--budget", "1")


def test_the_batch_script_measures_over_all_of_its_processes(slurm: Path, compiled: Path, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / ".venv").symlink_to(sys.prefix)
    own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    own |= {"SLURM_CONF": str(slurm), "PYTHONPATH": str(ROOT), "JAX_COMPILATION_CACHE_DIR": str(compiled)}
    queued = ["sbatch", "--parsable", "--wait", *HERE, str(ROOT / "deploy" / "slurm.sbatch"), *CASE, *BRIEF]
    job = subprocess.run(queued, cwd=tmp_path, env=own, capture_output=True, text=True, timeout=300)
    printed = tmp_path / "results" / f"slurm-{job.stdout.strip()}.out"
    assert job.returncode == 0, printed.read_text()
    record = read(printed.with_suffix(".json"))
    assert record.complete
    assert [process.rank for process in record.processes] == [0, 1]
    assert all(len(sample.block.processes_s) == 2 for result in record.cases for sample in result.samples)
    assert "Step time by mode and devices" in printed.read_text()
