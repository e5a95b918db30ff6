"""Changes of level: found where they were planted, and not where there are none; noise is drawn with fixed seeds."""

import math
import random
from collections.abc import Sequence

import pytest

from bench.changes import FEWEST, Trend, drawn_in, threshold, trend, visible


def noise(runs: int, scatter: float = 0.01, seed: int = 0) -> list[float]:
    rng = random.Random(seed)
    return [rng.gauss(0, scatter) for _ in range(runs)]


def raised(logs: Sequence[float], start: int, end: int | None = None, by: float = 0.05) -> list[float]:
    """The same, slower by that share from start on, before end."""
    inside = range(len(logs))[start:end]
    return [log + math.log1p(by) * (i in inside) for i, log in enumerate(logs)]


def places(logs: Sequence[float], least: float = 0.0) -> list[int]:
    return [change.at for change in trend(logs, least).changes]


def test_a_change_is_found_where_it_is_with_its_size() -> None:
    (change,) = trend(raised(noise(100), 60)).changes
    assert change.at == 60
    assert change.earliest <= 60 <= change.latest
    assert abs(change.log - math.log1p(0.05)) <= change.half
    # t(0.975, 98) 0.01 sqrt(1/60 + 1/40) = 0.0041, of a scatter that 100 runs tell to some 10%
    assert change.half == pytest.approx(0.0041, rel=0.25)


@pytest.mark.parametrize("by", [-0.05, 0.05])
def test_a_change_is_found_in_either_direction(by: float) -> None:
    (change,) = trend(raised(noise(40), 20, by=by)).changes
    assert (change.log > 0) == (by > 0)


def test_series_without_a_change_have_none_whether_their_noise_is_normal_or_not() -> None:
    rng = random.Random(1)
    normal = [[rng.gauss(0, 1) for _ in range(50)] for _ in range(100)]
    heavy = [[rng.gauss(0, 1) / math.sqrt(rng.gammavariate(1.5, 2) / 3) for _ in range(50)] for _ in range(100)]
    assert sum(bool(places(logs)) for logs in normal + heavy) <= 2  # 1 is expected at most


def test_a_run_that_is_far_off_is_no_change_and_hides_none() -> None:
    off = noise(60)
    off[20] += 0.5
    off[21] += 0.3
    off[59] -= 0.5
    assert places(off) == []
    assert places(raised(off, 40)) == [40]
    assert drawn_in(off)[1] == pytest.approx(0.01, rel=0.35)


def test_three_runs_tell_of_a_large_change_and_two_of_none() -> None:
    logs = noise(50)
    assert places(raised(logs, 47, by=0.1)) == [47]
    assert places(raised(logs, 48, by=0.1)) == []


def test_a_change_that_was_soon_undone_is_found() -> None:
    first, second = trend(raised(noise(1000), 400, 415)).changes
    assert abs(first.at - 400) <= 1
    assert abs(second.at - 415) <= 1
    assert first.log == pytest.approx(-second.log, abs=0.01)


def test_several_changes_are_found_each_against_its_neighbours() -> None:
    logs = raised(raised(raised(noise(90), 20), 45, by=0.1), 70, by=-0.07)
    changes = trend(logs).changes
    assert [change.at for change in changes] == [20, 45, 70]
    for change, by in zip(changes, (0.05, 0.1, -0.07), strict=True):
        assert abs(change.log - math.log1p(by)) <= 1.5 * change.half


def test_changes_below_the_least_are_left_out() -> None:
    logs = raised(noise(400), 200, by=0.005)
    assert abs(places(logs)[0] - 200) <= 12
    assert places(logs, least=0.01) == []


def test_where_a_small_change_lies_is_less_certain_than_where_a_large_one_does() -> None:
    small, large = (trend(raised(noise(100), 50, by=by)).changes[0] for by in (0.015, 0.1))
    assert small.latest - small.earliest > large.latest - large.earliest == 0


def test_series_without_noise_have_the_changes_that_they_have() -> None:
    assert trend([0.3] * 20) == Trend((), 1e-3)
    (change,) = trend([0.0] * 10 + [0.05] * 10).changes
    assert (change.at, change.earliest, change.latest) == (10, 10, 10)
    assert change.log == pytest.approx(0.05)


@pytest.mark.parametrize("runs", range(2 * FEWEST))
def test_too_few_runs_are_not_searched(runs: int) -> None:
    assert trend([0.1 * i for i in range(runs)]) == Trend()


@pytest.mark.parametrize("runs", [6, 7, 11, 24, 25])
def test_short_series_are_searched_to_their_ends(runs: int) -> None:
    for at in range(FEWEST, runs - FEWEST + 1):
        change = trend(raised(noise(runs, 0.001), at, by=0.5)).changes
        assert [one.at for one in change] == [at]


def test_more_runs_need_a_greater_difference_for_there_are_more_places_to_look() -> None:
    assert threshold(6) == threshold(50) < threshold(100) < threshold(1000) < 6


def test_what_is_just_visible_is_found_in_every_second_series_or_so() -> None:
    by = math.expm1(visible(60, 0.01))
    assert by == pytest.approx(5.05 * 0.01 * 2 / math.sqrt(60), rel=0.02)
    found = sum(bool(places(raised(noise(60, seed=seed), 30, by=by))) for seed in range(100))
    assert 25 <= found <= 75
