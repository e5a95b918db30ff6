"""The chart of records against the first of them: what it draws is what the table says."""

from __future__ import annotations

import dataclasses
from typing import Any

import altair as alt
from records import case, computing, measured, on_gpu, record
from test_report import around

from bench.cases import Case
from bench.contrast import Compared, compared
from bench.record import CaseResult
from bench.report.charts import of_compared
from bench.report.compared import build
from bench.report.document import Chart

EVIL = "<b>'\"{a}"


def at(step_s: float, mode: str = "single", devices: int = 1, workload: str = "tutorial") -> CaseResult:
    of = case(mode, devices, workload=workload)
    return computing(measured(of, around(step_s), fused=around(step_s / 2)), 0.5, 0.4)


def two(name: str = "h100") -> Compared:
    base = record(at(1e-3), at(2e-3, "data_parallel", 4), at(1e-3, workload="wide"), at(1.0, "fsdp", 2))
    other = record(at(2e-3), at(1e-3, "data_parallel", 4), at(2.5e-5, workload="wide"))
    return compared([("cpu", base), (name, on_gpu(other))])


def of_batches(*batches: int) -> list[Case]:
    return [dataclasses.replace(case("single", workload="own:WORKLOAD"), batch=batch) for batch in batches]


def points(chart: Chart) -> list[dict[str, Any]]:
    return [row for rows in chart.spec["datasets"].values() for row in rows if {"series", "x", "low"} <= row.keys()]


def test_each_workload_has_a_chart_whose_ratios_are_those_of_the_table() -> None:
    found = two()
    tutorial, wide = of_compared(found)
    assert [tutorial.key, wide.key] == ["against-base-1", "against-base-2"]
    table = build(found).tables[0]
    for heading, series in (("h100 vs cpu", "h100, each step waited for"), ("h100 fused vs cpu", "h100, many steps")):
        cells = [row[[c.heading for c in table.columns].index(heading)] for row in table.rows]
        drawn = [point for point in points(tutorial) if point["series"].startswith(series)]
        assert [point["text"] for point in drawn] == cells
        assert [(point["x"], point["low"], point["high"]) for point in drawn] == [
            (cell.value, cell.low, cell.high)  # type: ignore[attr-defined]
            for cell in cells
        ]
        assert [row[1 + (heading != "h100 vs cpu")] for row in tutorial.drawn.rows] == cells


def test_it_is_one_view_that_says_what_it_shows_and_what_is_no_hardware() -> None:
    tutorial, wide = of_compared(two())
    for chart in (tutorial, wide):
        assert alt.LayerChart.from_dict(dict(chart.spec))
        assert chart.spec["params"] == [{"name": "hidden", "value": []}]
        assert "not paired." in chart.alt
    assert "Shaded: more simulated devices than cores" in tutorial.alt
    assert "Shaded" not in wide.alt
    assert [row[-1] for row in tutorial.drawn.rows] == ["", "oversubscribed"]


def test_every_other_record_is_a_series_of_its_own_and_what_has_no_ratio_has_none() -> None:
    of = record(at(1e-3))
    wrong = record(computing(at(1e-3), 0.1, 0.1))
    (chart,) = of_compared(compared([("a", of), ("b", on_gpu(of)), ("c", on_gpu(of)), ("d", on_gpu(wrong))]))
    assert {point["series"].partition(",")[0] for point in points(chart)} == {"b", "c"}
    assert len({point["y"] for point in points(chart)}) == 4
    assert of_compared(compared([("a", of), ("d", on_gpu(wrong))])) == []


def test_cases_of_a_users_workload_at_several_batches_are_told_apart() -> None:
    of = record(*(measured(sized, around(1e-3)) for sized in of_batches(32, 64)))
    (chart,) = of_compared(compared([("a", of), ("b", on_gpu(of))]))
    assert [row[0] for row in chart.drawn.rows] == ["single, batch 32", "single, batch 64"]


def test_names_of_records_are_data() -> None:
    chart = of_compared(two(EVIL))[0]
    assert any(EVIL in point["series"] for point in points(chart))
    for layer in chart.spec["layer"]:
        axes = [channel.get("axis") for channel in layer["encoding"].values() if isinstance(channel, dict)]
        assert EVIL not in str([layer["transform"], layer["mark"], axes])
