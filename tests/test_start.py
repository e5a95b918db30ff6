"""That what measures nothing starts quickly: which modules it loads, and how its start is timed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from test_verdicts_report import comparison, pair

from bench.record import read_as, write
from bench.validate import start
from bench.validate.__main__ import main
from bench.validate.start import BARE, Start
from toynet.errors import UsageError

RECORD = "tests/golden/record-2.json"
# Each of them takes as long to load as everything that a report needs, or longer.
SLOW = {
    "altair",
    "chex",
    "flax",
    "jax",
    "jaxlib",
    "matplotlib",
    "numpy",
    "optax",
    "pandas",
    "scipy",
    "sklearn",
    "vl_convert",
}
# To standard error, at the very end: --help leaves by an exception.
SCRIPT = """
import atexit, sys
from {module} import main
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
sys.exit(main({argv}))
"""


def loaded(root: Path, module: str, *argv: str) -> tuple[set[str], str]:
    """The modules that a command line of that module's `main` has loaded at its end, and what it printed."""
    script = SCRIPT.format(module=module, argv=argv)
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stderr
    modules = set(run.stderr.split())
    assert "toynet.errors" in modules
    return modules, run.stdout


@pytest.mark.parametrize(
    ("argv", "printed"),
    [
        (("list", "--workloads", "tutorial"), "tutorial/single-1"),
        (("list",), "wide/single-1"),
        (("report", RECORD), "fastest here"),
        (("report", RECORD, "--format", "markdown"), "## tutorial"),
        (("compare", RECORD, "tests/golden/record-3.json"), "Stored records are not paired"),
        (("compare", RECORD, "tests/golden/record-3.json", "--format", "json"), "Stored records are not paired"),
        (("history", "tests/golden"), "tutorial/single-1"),
    ],
)
def test_listing_and_reporting_load_neither_jax_nor_numbers(
    argv: tuple[str, ...], printed: str, pytestconfig: pytest.Config
) -> None:
    modules, output = loaded(pytestconfig.rootpath, "bench.cli", *argv)
    assert modules & SLOW == set()
    assert printed in output


def test_presets_are_listed_without_records_and_workers(pytestconfig: pytest.Config) -> None:
    modules, _ = loaded(pytestconfig.rootpath, "bench.cli", "list")
    assert modules & {"msgspec", "bench.live", "bench.record", "bench.run"} == set()


def test_reporting_a_comparison_loads_neither_jax_nor_numbers(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    write(comparison(pair()), tmp_path / "ab.json")
    modules, output = loaded(pytestconfig.rootpath, "bench.cli", "report", str(tmp_path / "ab.json"))
    assert modules & SLOW == set()
    assert "B is slower than A" in output


@pytest.mark.parametrize(
    "argv",
    [("--help",), *((name, "--help") for name in ("report", "compare", "run", "lint", "gate"))],
)
def test_help_loads_nothing_of_what_commands_do(argv: tuple[str, ...], pytestconfig: pytest.Config) -> None:
    modules, output = loaded(pytestconfig.rootpath, "bench.cli", *argv)
    assert modules & (SLOW | {"msgspec", "rich", "bench.environment", "bench.live", "bench.record"}) == set()
    assert "usage: python -m bench" in output


@pytest.mark.parametrize("argv", [("--help",), ("train", "--help")])
def test_help_of_the_classifier_loads_neither_jax_nor_numbers(
    argv: tuple[str, ...], pytestconfig: pytest.Config
) -> None:
    modules, output = loaded(pytestconfig.rootpath, "toynet.__main__", *argv)
    assert modules & SLOW == set()
    assert "usage: python -m toynet" in output


# bench.validate start


class Clock:
    """Processes that take as long as is said, and are noted in the order in which they ran."""

    def __init__(self, **seconds: float) -> None:
        self.seconds, self.ran = seconds, list[str]()

    def __call__(self, arguments: Sequence[str]) -> float:
        self.ran.append(arguments[0])
        return self.seconds[arguments[0]]


def test_commands_take_turns_in_an_order_that_is_reversed_and_the_first_of_each_is_not_counted() -> None:
    clock = Clock(a=0.1, b=0.2)
    taken = start.in_turn({"A": ("a",), "B": ("b", "--flag")}, 3, clock)
    assert clock.ran == ["a", "b", *"ab", *"ba", *"ab"]
    assert taken == {"A": (0.1, 0.1, 0.1), "B": (0.2, 0.2, 0.2)}


def test_what_is_timed_is_the_interpreter_alone_and_commands_that_measure_nothing() -> None:
    found = start.found(Path("r.json"), Path("s.json"), 2, ("typed",), lambda arguments: 0.1 * len(arguments))
    assert found.seconds == {
        BARE: pytest.approx((0.2, 0.2)),
        "python -m bench --help": pytest.approx((0.3, 0.3)),
        "python -m bench list": pytest.approx((0.3, 0.3)),
        "python -m bench report r.json": pytest.approx((0.4, 0.4)),
        "python -m bench compare r.json s.json": pytest.approx((0.5, 0.5)),
        "python -m toynet --help": pytest.approx((0.3, 0.3)),
    }


def started(**seconds: tuple[float, ...]) -> Start:
    return Start(
        command=("python", "-m", "bench.validate", "start"),
        machine="a machine",
        load_before=0.1,
        load_after=0.2,
        seconds={BARE: (0.02, 0.021, 0.019), **{f"python -m bench {name}": taken for name, taken in seconds.items()}},
    )


def test_starts_are_reported_with_their_median_and_interval() -> None:
    text, missed = start.report(started(list=(0.2, 0.21, 0.19, 0.2, 0.29)))
    assert missed == []
    assert "Every bar is kept." in text
    # Of 19, 20 and 21 ms by hand: logs scatter by 5.0%, and t(0.975, 2) = 4.303, so e**(4.303 0.050 / sqrt(3)) = 1.13.
    assert f"| `{BARE}` | 20 ms (18 to 23) |  | 3 |" in text
    assert re.search(r"\| `python -m bench list` \| 200 ms \(\d+ to \d+\) \| 300 ms \| 5 \|", text)


def test_a_start_that_takes_too_long_misses_its_bar_but_the_bare_interpreter_has_none() -> None:
    slow = started(list=(0.31, 0.31), report=(0.3, 0.3), compare=(0.49, 0.49))
    slow.seconds[BARE] = (0.4, 0.4)
    text, missed = start.report(slow)
    assert missed == ["`python -m bench list`: 310.0 ms (310.0 to 310.0), 300 ms allowed"]
    assert missed[0] in text
    assert start.report(started(compare=(0.51, 0.51)))[1] == [
        "`python -m bench compare`: 510.0 ms (510.0 to 510.0), 500 ms allowed"
    ]


def test_a_process_is_timed_to_its_end_and_one_that_fails_is_named_with_what_it_said() -> None:
    assert start.process_s(("-c", "import time; time.sleep(0.05)")) > 0.05
    with pytest.raises(UsageError, match=r"^`python -c exit\('no record'\)` ended with status 1 .*: no record\.$"):
        start.process_s(("-c", "exit('no record')"))


def test_start_times_are_kept_beside_their_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(start, "process_s", lambda arguments: 0.5 if "report" in arguments else 0.1)
    out = tmp_path / "start.json"
    assert main(["start", "--processes", "2", "--out", str(out)]) == 1  # a bar is missed
    found = read_as(out, Start, start.SCHEMA)
    assert found.seconds["python -m bench report results/baseline-cpu.json"] == (0.5, 0.5)
    assert json.loads(out.read_text())["type"] == "validation"
    assert out.with_suffix(".md").read_text() + "\n" == capsys.readouterr().out
    assert main(["start", "--processes", "1"]) == 2
    assert "at least 2 processes of each command are needed, got 1." in capsys.readouterr().err
