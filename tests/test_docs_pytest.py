"""The performance tests of docs/pytest.md run as the page has them, in this process and made short."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
import pytest_benchmark.plugin
from documents import ROOT, blocks, commands

from bench import asserts
from bench.paired import Plan

pytest_plugins = ["pytester"]

PAGE = ROOT / "docs" / "pytest.md"
QUICK = ["-p", "no:cacheprovider", "--benchmark-max-time=0.000001", "--benchmark-min-rounds=2"]


def short(**plan: Any) -> Plan:
    """A single restart, after which no verdict is clear."""
    return Plan(**{**plan, "budget_s": 1e-6})


def test_the_tests_of_the_page_pass_and_are_compared(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pytest_benchmark.plugin, "get_cpu_info", dict)
    monkeypatch.setattr(asserts, "Plan", short)
    for example in blocks(PAGE, "python"):
        (pytester.path / example.partition("\n")[0].removeprefix("# ")).write_text(example, encoding="utf-8")
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    saving, comparing, asserting = commands(PAGE)

    def ran(command: str) -> pytest.RunResult:
        assert command.startswith("python -m pytest ")
        return pytester.runpytest_inprocess(*QUICK, *shlex.split(command)[3:])

    ran(saving).assert_outcomes(passed=1)
    compared = ran(comparing)
    compared.assert_outcomes(passed=1)
    compared.stdout.fnmatch_lines_random(["test_step (0001_*", "test_step (NOW)*"])  # the faster first
    asserted = ran(asserting)
    asserted.assert_outcomes(skipped=1)
    asserted.stdout.fnmatch_lines(
        ["SKIPPED * Whether softmax is slower than old_softmax by more than 10* isn't clear*"]
    )
