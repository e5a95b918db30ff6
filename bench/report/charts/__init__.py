"""Charts of records and comparisons, as Vega-Lite: on a page, or as pictures."""

from __future__ import annotations

from bench.record import Record
from bench.report.charts import parts, scaling, single
from bench.report.document import Chart


def of_record(record: Record) -> list[Chart]:
    """Every chart that the record has the data for, one a workload."""
    drawings = (single, scaling, parts)
    return [chart for drawing in drawings for chart in drawing.charts(record)]
