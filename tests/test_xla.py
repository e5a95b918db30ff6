import re
from pathlib import Path

import pytest

from toynet.errors import UsageError
from toynet.xla import check_xla_flags, usable_cores


@pytest.mark.parametrize(
    "flags",
    ["", "   ", "--xla_force_host_platform_device_count=8", "--xla_cpu_multi_thread_eigen=false --xla_dump_to=a"],
)
def test_flags_that_begin_with_two_hyphens_pass(flags: str) -> None:
    check_xla_flags({"XLA_FLAGS": flags})


def test_no_flags_and_a_file_of_them_pass(tmp_path_factory: pytest.TempPathFactory) -> None:
    check_xla_flags({})
    file = tmp_path_factory.mktemp("flags") / "flags.txt"
    file.write_text("--xla_cpu_multi_thread_eigen=false")
    check_xla_flags({"XLA_FLAGS": str(file)})


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("\u2014xla_dump_to=a", "has '\u2014' (U+2014) in '\u2014xla_dump_to=a'"),
        ("--xla_a=1 \u2013xla_b=2", "has '\u2013' (U+2013)"),
        ("--xla_a=1 xla_b=2", "XLA_FLAGS has 'xla_b=2', which doesn't begin with '--'"),
        ("-xla_a=1 --xla_b=2", "XLA_FLAGS has '-xla_a=1'"),
        ("xla_a=1", "XLA_FLAGS is 'xla_a=1': neither flags that begin with '--' nor a file of them"),
    ],
)
def test_flags_that_xla_would_abort_on_are_refused(flags: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        check_xla_flags({"XLA_FLAGS": flags})


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", None), ("150000 100000", 2), ("1000 100000", 1)])
def test_a_containers_quota_bounds_the_cores(tmp_path: Path, quota: str, cores: int | None) -> None:
    file = tmp_path / "cpu.max"
    every = usable_cores(file)  # there is no such file yet
    file.write_text(quota)
    assert usable_cores(file) == every[:cores]
