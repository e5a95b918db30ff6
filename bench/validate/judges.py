"""What other ways of judging would say of the same blocks: each a function of two sides' step times to a verdict.

They see independent runs, as people have them: A's blocks of one comparison and B's of the next, whose
processes were never alive together.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

import numpy as np

Judge = Callable[[Sequence[float], Sequence[float]], bool]
"""Whether B counts as slower than A, from seconds a step of each."""

# As `pytest --benchmark-compare-fail=median:5%` and `=min:5%` have it, the ways that its documentation shows.
FAIL_SHARE = 0.05
# Usual for a test.
ERROR = 0.05


def compare_fail(statistic: Callable[[Sequence[float]], float]) -> Judge:
    """pytest-benchmark's rule: a statistic of the new run beyond that of the stored one by over 5%."""
    return lambda a, b: statistic(b) > (1 + FAIL_SHARE) * statistic(a)


def welch(a: Sequence[float], b: Sequence[float]) -> bool:
    """Welch's t test of the means, one-sided."""
    from scipy import stats

    found = stats.ttest_ind(b, a, equal_var=False, alternative="greater")
    return bool(np.asarray(found)[1] < ERROR)


def mann_whitney(a: Sequence[float], b: Sequence[float]) -> bool:
    """The Mann-Whitney U test, one-sided, as benchstat uses it two-sided."""
    from scipy import stats

    found = stats.mannwhitneyu(b, a, alternative="greater")
    return bool(np.asarray(found)[1] < ERROR)


JUDGES: Mapping[str, Judge] = {
    "pytest-benchmark, compare-fail=median:5%": compare_fail(statistics.median),
    "pytest-benchmark, compare-fail=min:5%": compare_fail(min),
    "Welch's t test on independent runs": welch,
    "Mann-Whitney U test on independent runs": mann_whitney,
}
