"""What the machine is, and what runs on it. The host's part needs no JAX; the backend's part comes from a worker."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import git, nvml

CAN_PIN = hasattr(os, "sched_setaffinity")  # macOS can't
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")
# Besides JAX_*: what changes the program, or which devices there are and in what order.
VARIABLES = (
    "XLA_FLAGS",
    "LIBTPU_INIT_ARGS",
    "NVIDIA_TF32_OVERRIDE",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "TPU_VISIBLE_DEVICES",
    "TPU_VISIBLE_CHIPS",
)


@dataclass(frozen=True)
class Backend:
    """What JAX runs on, as a worker sees it."""

    platform: str
    device_kind: str
    device_count: int
    """Devices that exist: 1 for a CPU, however many are simulated on it."""
    simulated: bool
    """Whether several devices are simulated on one CPU when asked for."""
    packages: dict[str, str]
    python: str
    settings: dict[str, str]
    """JAX settings that change what is compiled."""
    runtime: str = ""
    """What runs JAX's programs, and its version, as it says itself."""
    driver: str | None = None
    """None: not an NVIDIA GPU, or nvidia-ml-py isn't there to ask."""
    gpus: tuple[nvml.Gpu, ...] = ()
    """JAX's devices, in their order; none where they can't be told."""

    @property
    def exclusive(self) -> bool:
        """Whether one process at a time may hold the devices."""
        return self.platform == "tpu" or any(gpu.one_process for gpu in self.gpus)


@dataclass(frozen=True)
class Host:
    """The machine and the checkout."""

    cpu_model: str
    cores: int
    usable_cores: tuple[int, ...]
    memory_bytes: int
    os: str
    environment: dict[str, str]
    """Those of VARIABLES and JAX_* that are set."""
    commit: str | None
    """None: not a git checkout."""
    dirty: bool


def host(root: Path) -> Host:
    """The machine at hand, and the git checkout at `root`."""
    return Host(
        cpu_model=_cpu_model(),
        cores=os.cpu_count() or 1,
        usable_cores=usable_cores(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        os=f"{platform.system()} {platform.release()} {platform.machine()}",
        environment={k: v for k, v in sorted(os.environ.items()) if k in VARIABLES or k.startswith("JAX_")},
        commit=git.commit(root),
        dirty=git.dirty(root),
    )


def usable_cores() -> tuple[int, ...]:
    """The cores that this process may run on, no more of them than a container's quota pays for."""
    from toynet import xla  # that of a side, in a worker, may be older, and have no such function

    return xla.usable_cores()


def free_bytes(
    meminfo: Path = Path("/proc/meminfo"),
    cgroups: Path = Path("/sys/fs/cgroup"),
    own: Path = Path("/proc/self/cgroup"),
) -> int | None:
    """Memory that may still be taken, here and in a container; None where the system doesn't tell (macOS)."""
    if not meminfo.exists():
        return None
    told = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
    available = [1024 * int(told["MemAvailable"].split()[0])] if "MemAvailable" in told else []
    return min([*available, *_left_to_groups(cgroups, own)], default=None)


def _left_to_groups(cgroups: Path, own: Path) -> Iterator[int]:
    """What each control group around this process may still take (Linux, version 2), its cached files not counted."""
    named = [line[3:] for line in own.read_text().splitlines() if line.startswith("0::")] if own.exists() else []
    group = cgroups / named[0].lstrip("/") if named else cgroups
    for folder in (group, *group.parents):
        limit = folder / "memory.max"
        if folder.is_relative_to(cgroups) and limit.exists() and (most := limit.read_text().strip()) != "max":
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            used = int((folder / "memory.current").read_text()) - int(stat.get("inactive_file", 0))
            yield max(0, int(most) - used)


def pin(cores: Sequence[int]) -> None:
    """Keeps this process on those cores, where the system can do that."""
    if CAN_PIN:
        os.sched_setaffinity(0, cores)


@contextlib.contextmanager
def beside(cores: Sequence[int]) -> Iterator[None]:
    """Keeps this process on those cores for the time being.

    Whoever only asks and notes (`ab`) waits for an answer on the worker's own cores, which wakes no other core.
    Whoever writes and draws between blocks (`run`) does so on cores that the workers don't have, whose caches it
    would fill.
    """
    before = os.sched_getaffinity(0) if CAN_PIN else set()
    pin(cores)
    try:
        yield
    finally:
        pin(sorted(before))


def load_average() -> float:
    """Processes that wanted to run, averaged over the last minute."""
    return round(os.getloadavg()[0], 2)


def backend() -> Backend:
    """What JAX runs on; starts JAX, and raises UsageError if it can't."""
    import jax

    from toynet.mesh import first_devices

    first_devices(1)  # says in a sentence why there are none
    devices = jax.local_devices()  # of a TPU slice, JAX knows those of other hosts, too
    cpu = jax.default_backend() == "cpu"
    library = nvml.library() if jax.default_backend() == "gpu" else None
    return Backend(
        platform=jax.default_backend(),
        device_kind=devices[0].device_kind,
        device_count=1 if cpu else len(devices),
        simulated=cpu,
        packages=versions(PACKAGES),
        python=platform.python_version(),
        settings={
            name: str(getattr(jax.config, name))
            for name in ("jax_enable_x64", "jax_default_matmul_precision", "jax_threefry_partitionable")
        },
        runtime="; ".join(devices[0].client.platform_version.split("\n")),
        driver=nvml.driver(library),
        gpus=nvml.gpus(library, [device.local_hardware_id for device in devices], os.environ) if library else (),
    )


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Of those packages that are installed."""
    return {name: version for name in packages if (version := _version(name))}


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
