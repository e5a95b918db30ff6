"""The scatter of step-time ratios, drawn: of independent runs, and of live workers asked in turn."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from bench.report.charts.image import image
from bench.report.charts.scatter import scattered
from bench.validate.real import Case, Real

TITLE = "B's step time against A's, which is the same program"
SAID = (
    "Above: independent runs, B of one comparison against A of the one before. Below: the same work, paired: live "
    "workers asked in turn, each restart of them."
)


def independent(cases: Sequence[Case]) -> list[float]:
    """Log-ratios of B's median step in one comparison over A's in the one before, which weren't alive together."""
    return [
        math.log(statistics.median(one.b_s)) - math.log(statistics.median(other.a_s))
        for other, one in itertools.pairwise(cases)
    ]


def scatter(found: Real, path: Path) -> bool:
    """Writes a PNG of the A/A comparisons; False if there are fewer than three."""
    cases = [case for case in found.cases if case.planted.share == 0]
    if len(cases) < 3:
        return False
    paired = [log for case in cases for log in case.logs]
    image([scattered(TITLE, SAID, {"independent runs": independent(cases), "paired, asked in turn": paired})], path)
    return True
