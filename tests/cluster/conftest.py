"""Launchers of real clusters, on this machine; see `make test-cluster`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from launchers import Launcher
from one_node import one_node
from tools import needed


@pytest.fixture(scope="session")
def slurm() -> Iterator[Path]:
    """The configuration of a Slurm that runs, for all tests that need one."""
    needed("slurm-wlm munge", "munged", "slurmctld", "slurmd", "srun", "sinfo", root=True)
    with one_node() as configuration:
        yield configuration


@pytest.fixture(scope="session", params=["mpirun", "srun"])
def launcher(request: pytest.FixtureRequest, compiled: Path) -> Launcher:
    """Each of the two; what a program of one was compiled to, the next one finds."""
    environment = {
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(compiled),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    if request.param == "mpirun":
        needed("openmpi-bin", "mpirun")
        command = ("mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "2")
        return Launcher("mpirun", command, "OMPI_COMM_WORLD_RANK", environment)
    environment["SLURM_CONF"] = str(request.getfixturevalue("slurm"))
    return Launcher("srun", ("srun", "--ntasks=2"), "SLURM_PROCID", environment)
