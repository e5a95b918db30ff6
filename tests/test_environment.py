"""What a record says of the machine."""

import os
import subprocess
from pathlib import Path

import jax
import pytest

from bench import environment
from bench.environment import Backend
from bench.nvml import Gpu


def git(root: Path, *arguments: str) -> str:
    """Runs git with nobody's settings."""
    identity = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=root, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_host_is_described_in_base_units(tmp_path: Path) -> None:
    host = environment.host(tmp_path)
    assert host.cpu_model
    assert set(host.usable_cores) <= set(range(os.cpu_count() or 1))
    assert 1 <= len(host.usable_cores) <= host.cores
    assert host.memory_bytes > 2**28  # a quarter of a gigabyte: in no other unit would JAX fit
    assert host.os.startswith(os.uname().sysname)


def test_settings_of_xla_and_jax_are_kept_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("JAX_") or name in environment.VARIABLES]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XLA_FLAGS", "--xla_a=1")
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    monkeypatch.setenv("XLA_FLAGS_SECRET", "no")
    monkeypatch.setenv("MY_JAX_TOKEN", "no")
    assert environment.host(tmp_path).environment == {"JAX_ENABLE_X64": "1", "XLA_FLAGS": "--xla_a=1"}


@pytest.mark.parametrize(
    "name", ["CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "TPU_VISIBLE_DEVICES", "TPU_VISIBLE_CHIPS"]
)
def test_which_devices_were_left_visible_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1,0")
    assert environment.host(tmp_path).environment[name] == "1,0"


def test_a_folder_without_git_has_no_commit(tmp_path: Path) -> None:
    host = environment.host(tmp_path)
    assert (host.commit, host.dirty) == (None, False)


def test_a_checkout_has_its_commit_and_is_dirty_once_a_tracked_file_differs(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("a")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "a")
    (tmp_path / "results.json").touch()  # what a run writes doesn't make it dirty
    host = environment.host(tmp_path)
    assert (host.commit, host.dirty) == (git(tmp_path, "rev-parse", "HEAD"), False)
    (tmp_path / "file").write_text("b")
    assert environment.host(tmp_path).dirty


def groups(tmp_path: Path, **limits: str) -> tuple[Path, Path]:
    """Control groups as under /sys/fs/cgroup, and what a process in `outer/inner` is told of its own."""
    for folder in (tmp_path / "cgroup/outer", tmp_path / "cgroup/outer/inner"):
        folder.mkdir(parents=True)
        (folder / "memory.max").write_text(limits.get(folder.name, "max") + "\n")
        (folder / "memory.current").write_text("700\n")
        (folder / "memory.stat").write_text("anon 500\ninactive_file 200\n")
    own = tmp_path / "own"
    own.write_text("0::/outer/inner\n")
    return tmp_path / "cgroup", own


@pytest.mark.parametrize(
    ("limits", "free"),
    [
        ({}, 4096),
        ({"inner": "9000"}, 4096),
        ({"inner": "3000"}, 2500),  # of 3000 bytes 700 are used, 200 of them by copies of files
        ({"inner": "3000", "outer": "1000"}, 500),
        ({"inner": "400"}, 0),
    ],
)
def test_free_memory_is_what_the_system_and_every_control_group_leave(
    tmp_path: Path, limits: dict[str, str], free: int
) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:        9 kB\nMemFree:        1 kB\nMemAvailable:        4 kB\nHugePages_Total:  0\n")
    assert environment.free_bytes(meminfo, *groups(tmp_path, **limits)) == free


def test_a_container_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    (meminfo := tmp_path / "meminfo").write_text("MemAvailable:        4 kB\n")
    root, own = groups(tmp_path, inner="3000")
    own.write_text("0::/\n")
    assert environment.free_bytes(meminfo, root / "outer/inner", own) == 2500
    own.write_text("4:memory:/elsewhere\n")  # version 1
    assert environment.free_bytes(meminfo, root, own) == 4096


def test_where_the_system_does_not_tell_free_memory_is_not_known(tmp_path: Path) -> None:
    assert environment.free_bytes(tmp_path / "none") is None


def test_a_process_is_kept_beside_others_for_the_time_being_only() -> None:
    before = environment.usable_cores()
    with environment.beside(before[:1]):
        assert environment.usable_cores() == before[:1]
    assert environment.usable_cores() == before


def test_a_process_that_is_pinned_may_use_those_cores_only() -> None:
    before = environment.usable_cores()
    try:
        environment.pin(before[-1:])
        assert environment.usable_cores() == before[-1:]
    finally:
        environment.pin(before)
    assert environment.usable_cores() == before


def test_the_load_average_is_the_systems_over_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (1.2345, 7.0, 9.0))
    assert environment.load_average() == 1.23


def test_a_cpu_is_one_device_however_many_it_shows() -> None:
    backend = environment.backend()
    assert jax.device_count() == 8  # conftest.py
    assert (backend.platform, backend.device_count, backend.simulated) == ("cpu", 1, True)
    assert backend.packages["jax"] == jax.__version__
    assert {"jaxlib", "flax", "optax", "numpy"} <= set(backend.packages)
    assert backend.settings["jax_enable_x64"] == "False"
    assert (backend.runtime, backend.driver, backend.gpus) == ("cpu", None, ())


@pytest.mark.parametrize(
    ("platform", "one_process", "exclusive"),
    [("cpu", (), False), ("gpu", (False, False), False), ("tpu", (), True), ("gpu", (False, True), True)],
)
def test_a_tpu_and_a_card_in_exclusive_mode_are_held_by_one_process(
    platform: str, one_process: tuple[bool, ...], exclusive: bool
) -> None:
    gpus = tuple(Gpu(f"GPU-{i}", "a card", one_process=one) for i, one in enumerate(one_process))
    backend = Backend(platform, "a device", 2, False, {}, "3", {}, gpus=gpus)
    assert backend.exclusive is exclusive
