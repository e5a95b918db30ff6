"""The pictures that `run` leaves beside a record."""

from __future__ import annotations

from pathlib import Path

from bench.growth import QUANTITIES
from bench.keeping import growth_beside
from bench.record import Record
from bench.report.charts import growth, parts, scaling, single
from bench.report.charts.image import image
from bench.report.document import Chart


def save(record: Record, out: Path) -> None:
    """Writes the pictures of a record at that path; one of an earlier record that this one has no data for is gone."""
    for path, charts in _pictures(record, out).items():
        if charts:
            image(charts, path)
        else:
            path.unlink(missing_ok=True)


def _pictures(record: Record, out: Path) -> dict[Path, list[Chart]]:
    """The charts of each picture, by its path."""
    apart = [*scaling.efficiencies(record), *parts.charts(record)] if record.schedule.parts else []
    return {
        out.with_suffix(".png"): single.charts(record),
        out.with_suffix(".scaling.png"): apart,
        **{growth_beside(out, over): growth.charts(record, (over,)) for over in QUANTITIES},
    }
