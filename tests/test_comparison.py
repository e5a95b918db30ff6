"""A comparison's file: those of every version are read and reported, and a newer one is refused by its version."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench.comparison import SCHEMA, read
from bench.record import write
from bench.report import markdown, verdicts
from toynet.errors import UsageError

GOLDEN = Path(__file__).parent / "golden"
# A real comparison of 25 November 2026, of the tutorial's single with itself, kept as it was written then.
FIRST = GOLDEN.parent.parent / "results" / "validation" / "order.json"


def test_a_comparison_of_version_1_is_still_read_and_reported() -> None:
    comparison = read(FIRST)
    assert comparison.schema == 1
    (pair,) = comparison.pairs
    assert pair.certificates is not None
    assert [certificate.refused for certificate in pair.certificates] == [(), ()]
    assert "tutorial/single-1/m1/b32" in markdown.render(verdicts.build(comparison))


def test_a_comparison_of_version_2_has_the_modes_that_were_refused_and_the_report_says_them() -> None:
    # A real comparison of 26 November 2026, of a step of somebody's own, which knows of no axis, with itself.
    comparison = read(GOLDEN / "comparison-2.json")
    assert comparison.schema == 2
    (pair,) = comparison.pairs
    assert pair.certificates is not None
    assert [{mode for mode, _ in certificate.refused} for certificate in pair.certificates] == [
        {"data_parallel", "ensemble_data", "fsdp", "zero1"}
    ] * 2
    assert (
        "not run, and not checked: fsdp, zero1, data_parallel, ensemble_data, for its step has no parameter"
        in markdown.render(verdicts.build(comparison))
    )


def test_a_comparison_of_version_3_has_how_many_arrays_collectives_are_of() -> None:
    # A real comparison of 26 November 2026, of data_parallel on 2 devices with itself.
    comparison = read(GOLDEN / "comparison-3.json")
    assert comparison.schema == 3
    (pair,) = comparison.pairs
    assert pair.a is not None
    assert pair.a.processes == 1
    assert pair.costs is not None
    assert [one.arrays for cost in pair.costs for one in cost.collectives] == [1, 1]


def test_the_version_in_use_has_a_golden_comparison() -> None:
    assert (GOLDEN / f"comparison-{SCHEMA}.json").exists()


def test_a_comparison_of_a_newer_version_is_refused_by_its_version(tmp_path: Path) -> None:
    path = tmp_path / "ab.json"
    write(msgspec.structs.replace(read(FIRST), schema=SCHEMA + 1), path)
    with pytest.raises(UsageError, match=rf"its schema is {SCHEMA + 1}, and this version reads up to {SCHEMA}; update"):
        read(path)
