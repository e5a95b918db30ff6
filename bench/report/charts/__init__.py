"""Charts of records and comparisons, as Vega-Lite: on a page, or as pictures."""

from __future__ import annotations

from bench.comparison import Comparison
from bench.contrast import Compared
from bench.history import History
from bench.record import Record
from bench.report.charts import (
    compared,
    ensembles,
    growth,
    parts,
    roofline,
    samples,
    scaling,
    single,
    stages,
    trends,
    verdicts,
)
from bench.report.document import Chart

OF_RECORD = (single, scaling, ensembles, growth, parts, roofline, stages, samples)


def of_record(record: Record) -> list[Chart]:
    """Every chart that the record has the data for, one a workload."""
    return [chart for drawing in OF_RECORD for chart in drawing.charts(record)]


def of_comparison(comparison: Comparison) -> list[Chart]:
    """Every chart that the comparison has the data for."""
    return verdicts.charts(comparison)


def of_compared(found: Compared) -> list[Chart]:
    """Every chart that records against the first of them have the data for."""
    return compared.charts(found)


def of_history(history: History) -> list[Chart]:
    """One of each case with several runs, as far as there is room, those with changes first."""
    return trends.charts(history)
