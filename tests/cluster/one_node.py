"""A Slurm of one node, this machine, in a folder of its own: its daemons, its key, its ports."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from processes import end_marked

PREFIX = "toynet-slurm-"
READY_WITHIN_S = 60
# A rank is bound to cores of its own, as on most clusters. config_overrides: as many as are named, whatever is found.
CONFIGURATION = """\
ClusterName=toynet
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
AuthInfo=socket={folder}/munge/socket
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
SelectType=select/cons_tres
SchedulerType=sched/backfill
SwitchType=switch/none
ReturnToService=2
SlurmdParameters=config_overrides
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdSpoolDir={folder}/spool
StateSaveLocation={folder}/state
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@contextlib.contextmanager
def one_node() -> Iterator[Path]:
    """Gives the configuration of an idle Slurm, SLURM_CONF to its commands; nothing of it is left afterwards."""
    _clear_crashed()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # for as long as this process lives
        daemons: list[subprocess.Popen[bytes]] = []
        try:
            configuration = _configured(folder)
            daemons.append(_munged(folder))
            _wait(folder, (folder / "munge" / "socket").exists)
            daemons += (_daemon(folder, name) for name in ("slurmctld", "slurmd"))
            _wait(folder, lambda: _is_idle(configuration))
            yield configuration
        finally:
            _end(folder)
            for daemon in daemons:
                daemon.wait()


def _clear_crashed() -> None:
    """Ends what is left of a test run that couldn't do so itself: nobody has its lock any more."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/lock"):
        with contextlib.suppress(BlockingIOError), path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _end(path.parent)


def _end(folder: Path) -> None:
    """Every process that knows its configuration: daemons, commands, steps of jobs, and all that these started."""
    end_marked("SLURM_CONF", str(folder / "slurm.conf"))
    shutil.rmtree(folder)


def _configured(folder: Path) -> Path:
    folder.chmod(0o755)  # munged isn't root
    for name in ("munge", "spool", "state"):
        (folder / name).mkdir()
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    for path in (key.parent, key):
        shutil.chown(path, "munge", "munge")
    path = folder / "slurm.conf"
    with socket.socket() as one, socket.socket() as other:
        for held in (one, other):
            held.bind(("", 0))
        path.write_text(
            CONFIGURATION.format(
                folder=folder,
                host=socket.gethostname().partition(".")[0],
                controller_port=one.getsockname()[1],
                node_port=other.getsockname()[1],
                cores=max(2, len(os.sched_getaffinity(0))),
            )
        )
    return path


def _munged(folder: Path) -> subprocess.Popen[bytes]:
    """What proves to the daemons who talks to them, as a user of its own with a key of its own."""
    of = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    paths = [f"--{flag}={folder}/munge/{name}" for flag, name in of.items()]
    return _daemon(folder, "munged", "--foreground", *paths, user="munge")


def _daemon(folder: Path, name: str, *arguments: str, user: str | None = None) -> subprocess.Popen[bytes]:
    with (folder / f"{name}.out").open("wb") as printed:
        return subprocess.Popen(
            (shutil.which(name) or name, *(arguments or ("-D",))),
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            env={**os.environ, "SLURM_CONF": str(folder / "slurm.conf")},
            user=user,
            group=user,
            extra_groups=[] if user else None,
        )


def _is_idle(configuration: Path) -> bool:
    asked = ("sinfo", "--noheader", "--format=%T")
    environment = {**os.environ, "SLURM_CONF": str(configuration)}
    found = subprocess.run(asked, capture_output=True, text=True, env=environment, timeout=READY_WITHIN_S)
    return found.stdout.strip() == "idle"


def _wait(folder: Path, ready: Callable[[], bool]) -> None:
    """Raises TimeoutError with what the daemons have said."""
    until = time.monotonic() + READY_WITHIN_S
    while not ready():
        if time.monotonic() > until:
            said = "\n".join(f"{path.name}:\n{path.read_text()}" for path in folder.glob("*.out"))
            raise TimeoutError(f"Slurm wasn't ready within {READY_WITHIN_S} s\n{said}")
        time.sleep(0.1)
