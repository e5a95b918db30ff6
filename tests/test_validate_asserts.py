"""Runs of `assert_not_slower` with a planted truth: which are made, that they go on, and what is said of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
import pytest

from bench.reading import read_as
from bench.validate.__main__ import main
from bench.validate.asserts import (
    BATCH,
    PLANTED,
    SCHEMA,
    Asserts,
    Outcome,
    Planted,
    Run,
    extended,
    functions,
    report,
    upper_bound,
    wanted,
)
from toynet.errors import UsageError

BEGUN = Asserts(command=("python",), machine="a machine", by=0.05)
SAME = Planted("products", 0.0, loaded=False)
MORE = Planted("products", 0.2, loaded=False)


def passes(batch: Sequence[Planted]) -> list[Run]:
    return [Run(planted, "failed" if planted.share else "passed", 1.0, 1.0 + planted.share, 3) for planted in batch]


def made(same: Outcome, count: int = 1000, *, more: Outcome = "failed") -> Asserts:
    """So many passing runs of the same, one more of that outcome, and some with more work."""
    runs = [Run(SAME, "passed", 1.2, 1.001, 3)] * count + [Run(SAME, same, 2.0, None, None, "it is slower")]
    runs += [Run(planted, more, 2.0) for planted, n in wanted(0, loaded=False).items() for _ in range(n)]
    return Asserts(command=("python", "-m"), machine="a machine", by=0.05, runs=tuple(runs))


def test_as_many_runs_of_the_same_as_asked_for_are_shared_by_the_functions() -> None:
    found = wanted(1000, loaded=False)
    assert sum(n for planted, n in found.items() if not planted.share) == 1000
    assert {planted.share for planted in found} == {0.0, *PLANTED}
    assert not any(planted.share for planted in found if planted.function == "dispatch")


@pytest.mark.usefixtures("compiled_once")
def test_functions_that_do_more_give_the_same() -> None:
    for name in ("products", "scan"):
        (function, args), (same, _) = functions(0.5)[name], functions(0.0)[name]
        for one, other in zip(jax.jit(function)(*args), jax.jit(same)(*args), strict=True):
            np.testing.assert_array_equal(one, other)


def test_runs_are_written_batch_by_batch_and_gone_on_with(tmp_path: Path) -> None:
    path, batches = tmp_path / "asserts.json", list[int]()

    def run_all(batch: Sequence[Planted]) -> list[Run]:
        batches.append(len(batch))
        return passes(batch)

    few = {SAME: 25, MORE: 5}
    extended(path, BEGUN, {SAME: 10, MORE: 2}, until_s=60, say=print, run_all=run_all)
    found = extended(path, BEGUN, few, until_s=60, say=print, run_all=run_all)
    assert batches == [12, 18]
    assert Counter(run.planted for run in found.runs) == few
    assert read_as(path, Asserts, SCHEMA) == found


def test_a_batch_has_of_each_as_far_as_it_goes(tmp_path: Path) -> None:
    batches: list[Sequence[Planted]] = []

    def run_all(batch: Sequence[Planted]) -> list[Run]:
        batches.append(batch)
        return passes(batch)

    extended(tmp_path / "a.json", BEGUN, {SAME: 100, MORE: 25}, until_s=60, say=print, run_all=run_all)
    assert Counter(batches[0]) == {SAME: 0.8 * BATCH, MORE: 0.2 * BATCH}


def test_time_that_is_up_ends_the_runs(tmp_path: Path) -> None:
    assert extended(tmp_path / "a.json", BEGUN, {SAME: 5}, until_s=0, say=print, run_all=passes).runs == ()


def test_what_is_left_isn_t_said_to_be_done_by_runs_of_another_kind(tmp_path: Path) -> None:
    path, said = tmp_path / "a.json", list[str]()
    extended(path, BEGUN, {SAME: 3}, until_s=60, say=print, run_all=passes)
    loaded = Planted("products", 0.0, loaded=True)
    extended(path, BEGUN, {loaded: BATCH + 1}, until_s=60, say=said.append, run_all=passes)
    assert said[0].endswith("; 1 runs left")


def test_runs_of_another_machine_are_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "asserts.json"
    extended(path, BEGUN, {SAME: 1}, until_s=60, say=print, run_all=passes)
    other = Asserts(command=("python",), machine="another", by=0.05)
    with pytest.raises(UsageError, match=r"made on another machine \(a machine\)"):
        extended(path, other, {SAME: 2}, until_s=60, say=print, run_all=passes)


def test_a_report_counts_outcomes_and_bounds_the_rate_of_false_failures() -> None:
    text, missed = report(made("inconclusive"))
    assert missed == []
    assert "False failures: 0 in 1001 runs" in text
    assert "at most 0.299% fail" in text
    assert "1000 passed and 1 weren't clear" in text
    row = "| products | 0% | none | 1001 | 0 | 1000 (99.9%) | 1 (0.0999%) | 1.0010 | 3 | 1.20 | 1.20 |"
    assert row in text.splitlines()


def test_of_few_runs_the_longest_is_what_95_percent_take_at_most() -> None:
    runs = (Run(SAME, "passed", 1.0), Run(SAME, "passed", 3.0))
    assert "| 2.00 | 3.00 |" in report(Asserts(command=(), machine="", by=0.05, runs=runs))[0]


def test_one_false_failure_in_a_thousand_keeps_the_bar_and_two_do_not() -> None:
    one = made("failed", 999)
    assert report(one)[1] == []
    assert "- products: it is slower" in report(one)[0]
    two = Asserts(command=(), machine="", by=0.05, runs=(*one.runs, Run(SAME, "failed", 1.0)))
    assert report(two)[1] == ["2 of 1001 runs of the same failed"]


def test_too_few_runs_and_slower_ones_that_are_not_found_miss_bars() -> None:
    assert report(made("passed", 9, more="passed"))[1] == [
        "10 runs of the same were made, of 1000",
        *(f"{name}, {share} more work: 0% found" for share in ("20%", "50%") for name in ("products", "scan")),
    ]


def test_too_few_runs_with_more_work_miss_a_bar() -> None:
    missed = report(Asserts(command=(), machine="", by=0.05, runs=(*[Run(SAME, "passed", 1.0)] * 1000,)))[1]
    assert len(missed) == 6
    assert missed[0] == "products, 10% more work: 0 of 20 runs were made"


def test_the_bound_is_exact() -> None:
    assert upper_bound(0, 1000) == pytest.approx(1 - 0.05**0.001)  # none at all, at that rate: 5%
    assert upper_bound(1, 1000) == pytest.approx(0.004735, abs=1e-6)  # scipy.stats.beta.ppf(0.95, 2, 999)
    assert upper_bound(3, 3) == 1


def test_the_command_reports_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.validate.asserts._in_a_process", passes)
    out = tmp_path / "asserts.json"
    assert main(["asserts", "--same", "3", "--out", str(out)]) == 1  # fewer than a thousand
    assert "3 runs of the same were made, of 1000" in capsys.readouterr().out
    assert out.with_suffix(".md").exists()


@pytest.mark.parametrize("options", [["--same", "0"], ["--minutes", "0"], ["--minutes", "nan"]])
def test_no_runs_and_no_time_are_refused(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["asserts", "--out", str(tmp_path / "a.json"), *options]) == 2
    assert "a run and some minutes at least are needed" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
