"""The validation of histories: what it simulates, what it holds against bars, and that it times whole processes."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from bench import digest
from bench.history import history
from bench.record import read, read_as, write
from bench.validate import archives, histories
from bench.validate.__main__ import main
from bench.validate.archives import Timed
from bench.validate.history import (
    CHANGES,
    LENGTHS,
    NOISES,
    SCHEMA,
    Planted,
    Quiet,
    Special,
    Validated,
    planted,
    quiet,
    special,
    specials,
)

TEMPLATE = Path(__file__).parent / "golden" / "record-4.json"


@pytest.mark.parametrize("name", NOISES)
def test_noise_has_a_standard_deviation_of_1_but_for_its_outliers(name: str) -> None:
    drawn = NOISES[name](np.random.default_rng(0), 200, 100)
    assert drawn.shape == (200, 100)
    usual = drawn[np.abs(drawn) < 6] if "outlier" in name else drawn
    assert usual.std() == pytest.approx(1, abs=0.1)


def test_correlated_noise_resembles_the_run_before() -> None:
    drawn = NOISES["correlated, 0.3"](np.random.default_rng(0), 100, 100)
    assert np.corrcoef(drawn[:, 1:].ravel(), drawn[:, :-1].ravel())[0, 1] == pytest.approx(0.3, abs=0.03)


def test_series_with_a_seed_are_the_same_each_time_and_judged_by_what_was_planted() -> None:
    assert quiet("normal", 20, 50, seed=1) == quiet("normal", 20, 50, seed=1)
    found = planted("normal", 0.01, 0.1, 40, None, series=30, seed=1)
    assert found == Planted("normal", 0.01, 0.1, 40, None, 30, **dict.fromkeys(("found", "near"), 30), **_rest(found))
    assert found.exact >= 28
    assert found.more <= 1


def _rest(found: Planted) -> dict[str, int]:
    return {name: getattr(found, name) for name in ("exact", "placed", "covered", "more")}


def test_a_slower_machine_shows_in_step_times_and_not_in_ratios() -> None:
    ratio, time, undone, drift = (special(what, logs[:15]) for what, logs in specials(15, 0).items())
    assert (ratio.changed, time.changed) == (0, 15)
    assert (undone.changes, drift.changes) == (2, 2)


def validated(**changes: object) -> Validated:
    found = Validated(
        command=("python", "-m", "bench.validate", "history"),
        quiet=(Quiet("normal", 100, 1000, 10), Quiet("correlated, 0.3", 100, 1000, 300)),
        planted=(Planted("normal", 0.01, 0.05, 100, None, 1000, 1000, 900, 990, 990, 950, 3),),
        special=(Special("a drift", 10, 10, 2.5),),
    )
    return msgspec.structs.replace(found, **changes)


def timed(seconds: float = 1.5, peak_bytes: int = 100_000_000) -> Timed:
    return Timed(
        machine="a machine",
        load_before=0.1,
        load_after=1.0,
        records=1000,
        cases=100,
        bytes=900_000_000,
        seconds=(seconds, seconds + 0.1, seconds - 0.1),
        processor_s=(2.5, 2.6, 2.4),
        peak_bytes=(peak_bytes,) * 3,
        processes=3,
    )


def test_what_keeps_its_bars_is_reported_with_shares() -> None:
    text, missed = histories.report(validated(timed=timed()))
    assert missed == []
    assert "Every bar is kept." in text
    assert "| normal | 100 | 1,000 | 10 (1%) |" in text
    assert "| normal | 1% | 5% | 100 | anywhere | 1,000 | 100.0% | 90.0% | 99.0% | 99.0% | 95.0% | 0.3% |" in text
    assert "| a drift | 10 | 10 (100%) | 2.5 |" in text
    assert "| 3 | 1.50 | 1.40 | 1.60 | 2 | 2.50 | 300 MB | 500 MB |" in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"quiet": (Quiet("heavy tails", 20, 1000, 11),)}, "heavy tails, 20 runs: a change in 11 (1.1%) without one"),
        (
            {"planted": (Planted("normal", 0.01, 0.1, 50, 6, 1000, 1000, 900, 989, 989, 950, 0),)},
            "normal, 10%: 989 (98.9%) found near",
        ),
        ({"timed": timed(seconds=2.2)}, "`bench history` took 2.20 s, 2 s allowed"),
        ({"timed": timed(peak_bytes=170_000_000)}, "`bench history` took 510 MB of memory"),
    ],
)
def test_bars_that_are_missed_are_named(changes: dict[str, object], said: str) -> None:
    text, missed = histories.report(validated(**changes))
    assert missed == [said]
    assert said in text


def test_records_are_made_as_run_writes_them_with_a_change_to_find(tmp_path: Path) -> None:
    made = list(archives.records(read(TEMPLATE), 30, 3))
    for number, one in enumerate(made):
        write(one, tmp_path / f"{number}.json")
        assert read(tmp_path / f"{number}.json") == one
    brief = digest.read(tmp_path / "0.json")
    assert brief is not None
    assert len(brief.ratios) == 3
    first, *others = history([tmp_path], "latency", 0.01).series
    (shift,) = first.shifts()
    assert shift.change.at == 15
    assert [series.shifts() for series in others] == [[], []]
    assert len({run.commit for run in first.runs}) == 30


def test_histories_are_timed_as_whole_processes_and_kept_beside_their_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.validate.history.LENGTHS", LENGTHS[:2])
    monkeypatch.setattr("bench.validate.history.CHANGES", CHANGES[-1:])
    out = tmp_path / "history.json"
    asked = ["--series", "3", "--processes", "1", "--records", "2", "--cases", "2", "--template", str(TEMPLATE)]
    main(["history", *asked, "--out", str(out)])
    found = read_as(out, Validated, SCHEMA)
    assert len(found.quiet) == 2 * len(NOISES)
    assert found.timed is not None
    assert (found.timed.records, found.timed.cases, len(found.timed.seconds)) == (2, 2, 1)
    assert found.timed.seconds[0] > 0.01
    assert found.timed.peak_bytes[0] > 10_000_000
    assert out.with_suffix(".md").read_text().startswith("# Changes in histories whose truth is known\n")


def test_no_series_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "--series", "0"]) == 2
    assert "series must be at least 1, got 0." in capsys.readouterr().err
