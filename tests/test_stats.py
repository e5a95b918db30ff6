"""Intervals from restarts: against a value worked out by hand, and that they cover as often as they say."""

import math
import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import stdtrit

from bench.stats import Estimate, independent, over_restarts, t_quantile

positive = st.floats(1e-9, 1e9)


def test_the_interval_is_students_on_the_logarithms() -> None:
    # Logs of e**1, e**2, e**3: mean 2, standard deviation 1; t(0.975, 2 degrees of freedom) = 4.302653, from
    # any table. Half the interval is 4.302653 / sqrt(3) = 2.484138.
    found = over_restarts([math.exp(3), math.exp(1), math.exp(2)])
    assert found.value == pytest.approx(math.exp(2))
    assert found.low == pytest.approx(math.exp(2 - 2.484138), rel=1e-6)
    assert found.high == pytest.approx(math.exp(2 + 2.484138), rel=1e-6)
    assert found.restarts == 3
    assert found.spread == pytest.approx(math.exp(2.484138) - 1, rel=1e-6)


@pytest.mark.parametrize("confidence", [0.1, 0.5, 0.9, 0.95, 0.955, 0.99, 0.999, 0.99999])
def test_quantiles_are_scipys_for_any_number_of_restarts(confidence: float) -> None:
    for degrees in (*range(1, 61), 100, 101, 999, 1.001, 1.5, 2.4, 4.7013, 17.25, 99.9):
        assert t_quantile(degrees, confidence) == pytest.approx(stdtrit(degrees, (1 + confidence) / 2), rel=1e-8)


def test_less_confidence_makes_a_narrower_interval() -> None:
    # t(0.75, 1 degree of freedom) is 1 exactly (Cauchy); the deviation of logs 0 and 2 is sqrt(2), so half is 1.
    found = over_restarts([1, math.exp(2)], confidence=0.5)
    assert found.low == pytest.approx(1)  # e**(1 - 1)
    assert found.high == pytest.approx(math.exp(2))


def test_one_restart_has_a_value_and_no_interval() -> None:
    assert over_restarts([0.25]) == Estimate(0.25, None, None, 1)
    assert over_restarts([0.25]).spread is None


def test_no_restart_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one restart is needed"):
        over_restarts([])


def test_restarts_that_agree_have_an_interval_without_width() -> None:
    found = over_restarts([0.25, 0.25, 0.25])
    assert (found.low, found.value, found.high) == (0.25, 0.25, 0.25)
    assert found.spread == 0


def test_the_value_is_the_median_and_one_far_restart_does_not_move_it() -> None:
    assert over_restarts([1, 2, 3, 4, 1000]).value == 3


def test_the_interval_is_widened_where_the_median_lies_outside_it() -> None:
    # Logs 0, 0, 0, 0, -10: their median 0 is within t's interval at 95%, but not at 10%, whose t is 0.13.
    found = over_restarts([1, 1, 1, 1, math.exp(-10)], confidence=0.1)
    assert found.high == found.value == 1
    assert found.low is not None
    assert found.low < math.exp(-2)


# Two runs that share nothing


def test_runs_that_share_nothing_have_welchs_interval_of_their_logarithms() -> None:
    # Computed once with scipy 1.17: ttest_ind(log(a), log(b), equal_var=False).confidence_interval(0.95), with 4.70127
    # degrees of freedom; its ends as ratios. The medians are 1.0 and 0.205.
    found = independent([1.0, 1.1, 0.9], [0.2, 0.23, 0.21, 0.17, 0.205])
    assert found.value == pytest.approx(1.0 / 0.205)
    assert found.low == pytest.approx(4.04193221457, rel=1e-9)
    assert found.high == pytest.approx(6.02045258387, rel=1e-9)
    assert found.restarts == 3


def test_a_run_that_scatters_more_decides_the_degrees_of_freedom() -> None:
    # By scipy as above, with 1.0000 degrees of freedom: the second run as good as doesn't scatter.
    found = independent([1.0, 2.0], [1.0, 1.001])
    assert found.low == pytest.approx(0.0172918072761, rel=1e-6)
    assert found.high == pytest.approx(115.546163921, rel=1e-6)


def test_a_single_restart_of_either_run_has_a_ratio_and_no_interval() -> None:
    assert independent([3.0], [1.0, 2.0, 2.0]) == independent([3.0, 3.0, 4.0], [2.0]) == Estimate(1.5, None, None, 1)


def test_runs_that_do_not_scatter_have_an_interval_without_width() -> None:
    assert independent([2.0, 2.0], [1.0, 1.0]) == Estimate(2.0, 2.0, 2.0, 2)


def test_runs_without_a_restart_are_an_error() -> None:
    with pytest.raises(ValueError, match="at least one restart is needed"):
        independent([1.0, 2.0], [])


def test_the_interval_of_two_runs_covers_as_often_as_it_says() -> None:
    # Of 2,000 pairs of runs of equal medians, one three times as noisy, 95% of intervals have 1 in them: 1,900 +- 10
    # by chance (binomial), and Welch's approximation is good to a percent from 3 and 6 restarts.
    draw = random.Random(0)
    runs = [
        [[math.exp(draw.gauss(0, noise)) for _ in range(n)] for noise, n in ((0.03, 3), (0.01, 6))] for _ in range(2000)
    ]
    found = [independent(a, b) for a, b in runs]
    covered = sum((one.low or 0) <= 1 <= (one.high or 0) for one in found)
    assert 0.935 < covered / 2000 < 0.985


@given(st.lists(positive, min_size=2, max_size=9), st.floats(1e-3, 1e3))
def test_seconds_or_hours_make_no_difference(values: list[float], factor: float) -> None:
    plain, scaled = over_restarts(values), over_restarts([value * factor for value in values])
    assume(plain.low)  # an interval over hundreds of decades isn't one of times
    assert plain.high is not None
    assume(plain.high < math.inf)
    assert scaled.value == pytest.approx(plain.value * factor)
    assert scaled.low == pytest.approx((plain.low or 0) * factor)
    assert scaled.high == pytest.approx(plain.high * factor)


@given(positive, st.floats(1, 10), st.floats(1, 10), st.floats(1e-3, 1e3))
def test_the_inverse_of_an_estimate_keeps_its_spread_and_turns_its_interval_round(
    value: float, below: float, above: float, factor: float
) -> None:
    estimate = Estimate(value, value / below, value * above, 3)
    inverse = estimate.inverse().times(factor)
    assert inverse.value == pytest.approx(factor / value)
    assert inverse.low == pytest.approx(factor / value / above)
    assert inverse.high == pytest.approx(factor / value * below)
    assert inverse.spread == pytest.approx(estimate.spread, abs=1e-12)


def test_what_is_turned_round_without_an_interval_stays_without() -> None:
    assert Estimate(4, None, None, 1).inverse().times(2) == Estimate(0.5, None, None, 1)


def test_an_interval_of_95_percent_covers_the_truth_95_times_of_100() -> None:
    # Of 2,000 runs of 5 lognormal restarts 95% are 1,900, with a standard deviation of 0.5% of the runs; the
    # widening by the median adds a little. 93% to 97% is four deviations on either side.
    draw = random.Random(0)
    covered = 0
    for _ in range(2000):
        found = over_restarts([draw.lognormvariate(math.log(3), 0.2) for _ in range(5)])
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 3 <= found.high
    assert 0.93 <= covered / 2000 <= 0.97
