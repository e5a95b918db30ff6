"""Charts of records and comparisons: what they draw is what the tables say, under names that a page counts on."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from matplotlib.image import imread
from records import case, measured, record, reducing, taken_apart
from test_growth import members
from test_verdicts_report import comparison, pair

from bench.breakdown import breakdowns
from bench.cases import Case
from bench.measured import Cost, Kind
from bench.record import CaseResult, Record
from bench.report import quantity, table
from bench.report.charts import (
    axes,
    ensembles,
    growth,
    image,
    of_comparison,
    of_record,
    parts,
    pictures,
    png,
    samples,
    scaling,
    single,
    stages,
)
from bench.report.document import Chart, Table
from bench.report.quantity import Number
from bench.report.scaling import parts_tables, scaling_tables
from bench.scaling import series
from bench.summary import summaries

ONE: dict[Kind, float] = {"latency": 0.010, "fused": 0.008, "product": 0.1, "stream": 0.1}
TWO: dict[Kind, float] = {"latency": 0.008, "fused": 0.005, "compute": 0.004, "collectives": 0.002}
EVIL = "m:\"<b>'[x]\\ {a} \u05e9\u05dc\u05d5\u05dd"


def cost(devices: int = 1) -> Cost:
    """Of a step with a quarter of a FLOP a byte."""
    return dataclasses.replace(reducing(devices, 220), flops=1e6, accessed_bytes=4e6, product_flops=9e5)


def scaled(workload: str = "tutorial") -> Record:
    """On one device, on two, and on eight that share the two cores."""
    return record(
        taken_apart(case("single", workload=workload), ONE, cost(), noise=0.01),
        taken_apart(case("data_parallel", 2, workload=workload), TWO, cost(2), noise=0.02),
        taken_apart(case("data_parallel", 8, workload=workload), TWO, cost(8)),
        parts=True,
    )


@functools.cache
def of_scaled() -> list[Chart]:
    return of_record(scaled())


@functools.cache
def of_members() -> list[Chart]:
    return of_record(members())


def of_key(charts: Sequence[Chart], key: str) -> Chart:
    """The only one whose key begins so."""
    (chart,) = (chart for chart in charts if chart.key.startswith(key))
    return chart


def rows(chart: Chart, *fields: str) -> list[dict[str, Any]]:
    """Its data that have a series and all of these fields."""
    data = [row for values in chart.spec["datasets"].values() for row in values]
    return [row for row in data if {"series", *fields} <= row.keys()]


def cells(of: Table, heading: str) -> list[str]:
    """A column of a table."""
    number = [column.heading for column in of.columns].index(heading)
    return [row[number] for row in of.rows]


def within(value: Any, key: str) -> Iterator[Any]:
    """What stands under a key, however deep."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name == key:
                yield inner
            if name != "datasets":
                yield from within(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from within(inner, key)


@functools.cache
def every_chart() -> list[Chart]:
    return [*of_scaled(), *of_members(), *of_comparison(comparison(pair(), pair("b", 1.0)))]


# What a page counts on


def test_every_chart_is_one_view_of_which_any_series_can_be_hidden() -> None:
    charts = every_chart()
    kinds = {re.sub(r"-\d+$", "", chart.key) for chart in charts}
    assert kinds == {
        *("against-single", "step-time", "speed-up", "efficiency", "throughput", "parts", "roofline"),
        *("growth-members-time", "growth-members-memory", "growth-devices-time", "growth-devices-memory"),
        *("stages", "samples", "verdicts"),
    }
    for chart in charts:
        assert re.fullmatch(r"[a-z-]+(-\d+)?", chart.key)
        assert chart.alt.endswith(".")
        assert chart.spec["params"] == [{"name": "hidden", "value": []}]
        assert not {"hconcat", "vconcat", "concat", "facet", "repeat", "config"} & chart.spec.keys()
        assert all("filter" in layer["transform"][0] for layer in chart.spec["layer"])
        assert chart.drawn.rows


def test_series_are_told_apart_by_another_channel_as_well_as_by_colour() -> None:
    for chart in every_chart():
        channels = {name for encoding in within(chart.spec, "encoding") for name in encoding}
        words = any(expression for expression in within(chart.spec, "calculate"))
        assert "color" in channels
        assert "shape" in channels or words  # bars say what they are
        (names,) = {tuple(e["color"]["scale"]["domain"]) for e in within(chart.spec, "encoding") if _coloured(e)}
        assert {row["series"] for row in rows(chart)} <= set(names)


def _coloured(encoding: Mapping[str, Any]) -> bool:
    return bool(encoding.get("color", {}).get("scale"))


def test_tooltips_name_the_case_and_its_number_as_tables_show_it() -> None:
    for chart in every_chart():
        told = [{tip["field"] for tip in tips} for tips in within(chart.spec, "tooltip")]
        assert told
        assert all({"case", "text"} <= fields for fields in told)
        assert all(isinstance(row[field], str) for row in rows(chart, *told[0]) for field in told[0])


def test_no_mark_is_black_or_white_but_words_on_bars() -> None:
    for chart in every_chart():
        marks = {mark["color"] for mark in within(chart.spec, "mark") if "color" in mark}
        scales = {str(value) for scale in within(chart.spec, "scale") for value in (scale or {}).get("range", ())}
        assert not {"#000000", "#FFFFFF", "black", "white"} & (marks | scales)


def test_names_are_data_and_stand_in_no_field_and_no_expression() -> None:
    of = record(
        measured(case("single", workload=EVIL), [[1e-3] * 2] * 2),
        measured(case("data_parallel", 2, workload=EVIL), [[1e-3] * 2] * 2),
    )
    charts = [*of_record(of), *of_comparison(comparison(pair(EVIL)))]
    assert charts
    for chart in charts:
        fields = set(within(chart.spec, "field"))
        assert fields <= {
            *("series", "case", "text", "x", "y", "end", "low", "high", "step", "at", "against"),
            *("restart", "below", "words", "middle", "ink", "cache"),
        }
        said = str([list(within(chart.spec, key)) for key in ("transform", "axis", "condition", "params")])
        assert "<b>" not in said
        assert EVIL in chart.title or any(EVIL in row["case"] for row in rows(chart, "case"))
        assert re.fullmatch(r"[a-z-]+(-\d+)?", chart.key)


def test_names_that_would_turn_a_line_are_spelled_out_wherever_they_are_drawn() -> None:
    turning = "\u202eworkload"
    of = record(measured(case("single", workload=turning), [[1e-3] * 2] * 2))
    charts = [*of_record(of), *of_comparison(comparison(pair(turning)))]
    assert len(charts) > 2
    assert not any("\u202e" in json.dumps(chart.spec, ensure_ascii=False) for chart in charts)
    assert any("\\u202eworkload" in row["case"] for row in rows(charts[-1], "case"))


def test_workloads_have_charts_of_their_own() -> None:
    both = parts.charts(record(*scaled().cases, *scaled("wide").cases, parts=True))
    assert [chart.key for chart in both] == ["parts-1", "parts-2"]
    assert [chart.title.partition(":")[0] for chart in both] == ["tutorial", "wide"]


# Numbers are the tables'


def test_step_time_speed_up_and_efficiency_are_those_of_the_table_of_scaling() -> None:
    (told,) = scaling_tables(scaled(), series(scaled()))
    for key, heading in (("step-time", "step"), ("speed-up", "speed-up"), ("efficiency", "efficiency")):
        drawn = rows(of_key(of_scaled(), key))
        assert [row["text"] for row in drawn] == cells(told, heading)
        numbers = [cell for cell in cells(told, heading) if isinstance(cell, Number)]
        assert [row["y"] for row in drawn][-len(numbers) :] == [number.value for number in numbers]
        assert [row["low"] for row in drawn][-len(numbers) :] == [number.low for number in numbers]
        assert cells(of_key(of_scaled(), key).drawn, heading) == cells(told, heading)
        assert [row["x"] for row in drawn] == [1, 2, 8]


def test_every_case_against_single_is_drawn_as_the_table_has_it() -> None:
    of = scaled()
    table_of = table.build(of).tables[0]
    drawn = rows(of_key(of_scaled(), "against-single"), "x")
    waited = [row for row in drawn if row["series"] == "each step waited for"]
    assert [row["text"] for row in waited] == cells(table_of, "vs single")
    assert [row["x"] for row in waited] == [s.speedup["latency"].value for s in summaries(of)]
    assert [row["text"] for row in drawn if row not in waited] == cells(table_of, "fused vs single")


def test_parts_are_stacked_shares_of_a_step_and_what_overlaps_lies_left_of_0() -> None:
    chart = of_key(of_scaled(), "parts")
    two = [row for row in rows(chart, "end") if row["row"] == 1]
    # Of 8 ms: 4 of compute, 2 of collectives, 3 of dispatch, and 5 - 4 - 2 = -1 of the rest.
    assert [(r["series"], r["x"], r["end"]) for r in two] == [
        ("compute", 0, pytest.approx(0.5)),
        ("collectives", pytest.approx(0.5), pytest.approx(0.75)),
        ("dispatch", pytest.approx(0.75), pytest.approx(1.125)),
        ("rest", pytest.approx(-0.125), 0),
    ]
    (told,) = parts_tables(scaled(), breakdowns(scaled()))
    for part in ("compute", "collectives", "dispatch", "rest"):
        shown = cells(chart.drawn, part)
        assert all(whole.startswith(own) for own, whole in zip(shown, cells(told, part), strict=True))


def test_stages_are_those_of_starts_that_no_cache_answered_unless_one_always_did() -> None:
    cold = measured(case("single"), [[1e-3]], compile_s=((0.5, False), (0.1, True), (0.7, False)))
    warm = measured(case("data_parallel", 2), [[1e-3]], compile_s=((0.2, True),))
    chart = of_key(stages.charts(record(cold, warm)), "stages")
    ends = [[r["end"] for r in rows(chart) if r["row"] == i] for i in (0, 1)]
    assert ends == [pytest.approx([0.1, 0.2, 0.8, 0.9]), pytest.approx([0.1, 0.2, 0.4, 0.5])]
    assert [row["text"] for row in rows(chart) if row["series"] == "compile"] == ["600 ms", "200 ms"]
    assert cells(chart.drawn, "remarks") == ["", "a compilation cache answered"]
    assert [s.compile_s for s in summaries(record(cold, warm))] == [0.6, None]


def test_the_roofline_has_the_measured_roofs_and_only_cases_whose_devices_share_no_core() -> None:
    chart = of_key(of_scaled(), "roofline")
    drawn = rows(chart, "intensity")
    assert [row["case"] for row in drawn] == ["single, batch 32", "data_parallel, 2 devices, batch 32"]
    assert [row["x"] for row in drawn] == [0.25, 0.25]
    assert drawn[0]["y"] == pytest.approx(1e6 / 0.008, rel=0.01)
    product, array = breakdowns(scaled())[0].peak_flops_per_s, breakdowns(scaled())[0].stream_bytes_per_s
    assert quantity.flops(product) in chart.alt
    assert quantity.bandwidth(array) in chart.alt


def test_each_dtype_of_products_has_a_roofline_of_its_own() -> None:
    slow = taken_apart(case("single"), ONE, cost())
    lower = dataclasses.replace(case("single"), compute_dtype="bfloat16")
    fast = taken_apart(lower, {**ONE, "product": 0.01}, cost())
    of = record(slow, fast, parts=True)
    charts = [chart for chart in of_record(of) if chart.key.startswith("roofline")]
    assert [chart.key for chart in charts] == ["roofline-1", "roofline-2"]
    for chart, one, dtype in zip(charts, breakdowns(of), ("float32", "bfloat16"), strict=True):
        assert chart.title == f"tutorial in {dtype}: roofline of one device"
        product = quantity.flops(one.peak_flops_per_s)
        assert f"a large product ({product})" in chart.alt
        assert len(chart.drawn.rows) == 1
        assert any(product in said and f"product of {dtype}" in said for said in table.build(of).sentences)


def test_throughput_is_over_members_beside_single() -> None:
    of = record(measured(case("single"), [[1e-3]] * 2), *members().cases)
    drawn = rows(of_key(ensembles.charts(of), "throughput"))
    assert [(row["series"], row["x"]) for row in drawn] == [
        ("single", 1),
        ("ensemble", 1),
        ("ensemble", 10),
        ("ensemble", 100),
    ]
    told = table.build(of).tables[0]
    assert sorted(row["text"] for row in drawn) == sorted(cells(told, "samples/s"))


def test_growth_has_the_time_of_each_point_its_limits_and_its_memory() -> None:
    time, memory = of_key(of_members(), "growth-members-time"), of_key(of_members(), "growth-members-memory")
    assert [row["y"] for row in rows(time) if "limit" not in row] == pytest.approx([5e-6, 5e-5, 5e-4])
    assert [row["y"] for row in rows(memory)] == [24_000, 33_000, 123_000]
    limits = {
        row["limit"]: [r["y"] for r in rows(time, "limit") if r["limit"] == row["limit"]] for row in rows(time, "limit")
    }
    assert limits == {
        "limit: arithmetic at the measured peak": pytest.approx([1e-7, 1e-6, 1e-5]),
        "limit: memory at the measured bandwidth": pytest.approx([1e-6, 1e-5, 4e-4]),
        "limit: one dispatch": pytest.approx([6e-5] * 3),
    }


def test_series_of_growth_are_named_by_what_they_do_not_share() -> None:
    some = [dataclasses.replace(case("ensemble", members=n), batch=batch) for n in (1, 2, 4) for batch in (32, 64)]
    of = record(*(measured(one, [[1e-3], [1e-3]]) for one in some))
    chart = of_key(growth.charts(of, ("members",)), "growth-members-time")
    assert list(dict.fromkeys(row["series"] for row in rows(chart))) == ["ensemble, batch 32", "ensemble, batch 64"]
    assert chart.alt.endswith("without --parts no limits.")


def test_blocks_stand_in_the_order_in_which_they_were_run_against_the_median_of_their_case() -> None:
    of = record(
        measured(case("single"), [[1e-3, 2e-3], [3e-3]]), measured(case("data_parallel", 2), [[4e-3, 5e-3], [6e-3]])
    )
    drawn = rows(of_key(samples.charts(of), "samples"))
    assert [(row["x"], row["y"]) for row in drawn if row["series"] == "single"] == [(0, 0.5), (1, 1.0), (2, 1.5)]
    assert [row["against"] for row in drawn if row["series"] == "data_parallel"] == ["-20.0%", "+0.0%", "+20.0%"]
    assert drawn[-1]["at"] == "restart 2, round 1"


def test_the_median_of_all_cases_shows_what_they_have_in_common() -> None:
    three = [case("single"), case("ensemble", members=8), case("data_parallel", 2)]
    of = record(*(measured(one, [[1e-3, 2e-3], [3e-3]]) for one in three))
    common = [row for row in rows(of_key(samples.charts(of), "samples")) if row["whole"]]
    assert [(row["x"], row["y"]) for row in common] == [(0, 0.5), (1, 1.0), (2, 1.5)]


def test_a_comparison_is_drawn_with_each_restart_its_interval_and_its_verdict_in_words() -> None:
    slower = pair("slow", 1.05, restarts=4)
    new = msgspec.structs.replace(pair("new"), verdict="not comparable")
    (chart,) = of_comparison(comparison(slower, pair("even", 1.0, verdict="same"), new))
    mean, ratio = rows(chart, "low")[0], slower.trial.ratio
    assert ratio is not None
    assert (mean["series"], mean["x"], mean["low"], mean["high"]) == ("slower", ratio.value, ratio.low, ratio.high)
    assert mean["text"] == quantity.between(ratio)
    restarts = [row["x"] for row in rows(chart, "at") if row["case"] == "slow"]
    assert restarts == [math.exp(log) for log in slower.trial.logs]
    data = [row for values in chart.spec["datasets"].values() for row in values]
    assert [row["text"] for row in data if "series" not in row and "text" in row] == ["slower: slow", "same: even"]
    assert {"x": pytest.approx(1 / 1.03), "end": pytest.approx(1.03)} in data


# Names of what is drawn together


def at_batch(of: Case, batch: int, step_s: float = 1e-3, *, fused: bool = False) -> CaseResult:
    times = [[step_s] * 2] * 2
    return measured(dataclasses.replace(of, batch=batch), times, fused=times if fused else None)


def of_each_series(chart: Chart) -> dict[str, list[int]]:
    """Where the points of each series lie, in order."""
    found: dict[str, list[int]] = {}
    for row in rows(chart, "case", "x"):
        found.setdefault(row["series"], []).append(row["x"])
    return found


def test_ensembles_of_a_users_workload_at_several_batches_are_series_of_their_own() -> None:
    some = [case("ensemble", workload="own:WORKLOAD", members=members) for members in (1, 8)]
    of = record(*(at_batch(one, batch) for one in some for batch in (32, 256)))
    chart = of_key(ensembles.charts(of), "throughput")
    assert of_each_series(chart) == {"ensemble, batch 32": [1, 8], "ensemble, batch 256": [1, 8]}


def test_cases_of_a_users_workload_at_several_batches_are_told_apart_against_single() -> None:
    one = case("single", workload="own:WORKLOAD")
    chart = of_key(single.charts(record(*(at_batch(one, batch) for batch in (32, 64, 128)))), "against-single")
    assert cells(chart.drawn, "case") == ["single, batch 32", "single, batch 64", "single, batch 128"]


def test_ensembles_that_scale_at_several_batches_are_series_of_their_own() -> None:
    some = [case("ensemble", members=8), case("ensemble_data", (2, 1), members=8)]
    of = record(*(at_batch(one, batch) for batch in (32, 64) for one in some))
    for chart in scaling.charts(of):
        assert of_each_series(chart) == {
            f"ensemble_data, strong, 8 members, batch {batch}": [1, 2] for batch in (32, 64)
        }


def test_meshes_of_as_many_devices_are_series_of_their_own() -> None:
    meshes = [case("ensemble_data", mesh, members=8) for mesh in ((1, 2), (2, 1), (2, 2), (4, 1), (1, 4))]
    of = record(*(at_batch(one, 32) for one in (case("ensemble", members=8), *meshes)))
    for chart in scaling.charts(of):
        assert of_each_series(chart) == {
            "ensemble_data, strong, 8 members, nx2 devices": [1, 2, 4],
            "ensemble_data, strong, 8 members, nx1 devices": [1, 2, 4],
            "ensemble_data, strong, 8 members, nx4 devices": [1, 4],
        }


def test_what_steps_are_drawn_is_said_by_the_axis_or_where_it_differs_by_each_series() -> None:
    for fused in (True, False):
        both = [at_batch(one, 32, fused=fused) for one in (case("single"), case("data_parallel", 2))]
        for chart in scaling.charts(record(*both)):
            said = "many steps in one program" if fused else "each step waited for"
            assert said in chart.alt
            assert any(said in axis["title"] for axis in within(chart.spec, "axis") if axis)
            assert list(of_each_series(chart)) == ["data_parallel, strong, batch 32"]
    waited = [at_batch(one, 32) for one in (case("ensemble", members=8), case("ensemble_data", (2, 1), members=8))]
    fused = [at_batch(one, 32, fused=True) for one in (case("single"), case("data_parallel", 2))]
    for chart in scaling.charts(record(*fused, *waited)):
        assert list(of_each_series(chart)) == [
            "data_parallel, strong, batch 32, many steps in one program",
            "ensemble_data, strong, 8 members, each step waited for",
        ]


# What there is no data for


def test_what_was_not_measured_has_no_chart() -> None:
    assert of_record(record(CaseResult(case("single")))) == []
    lone = of_record(record(measured(case("single"), [[1e-3]])))
    assert [chart.key for chart in lone] == ["against-single-1", "stages-1"]
    without = of_record(record(measured(case("data_parallel", 2), [[1e-3, 1e-3]])))
    assert [chart.key for chart in without] == ["stages-1", "samples-1"]
    assert of_comparison(comparison(msgspec.structs.replace(pair(), verdict="broken"))) == []


def test_what_was_counted_as_nothing_has_no_place_on_a_logarithmic_axis() -> None:
    nothing = Cost(-1.0, 0.0, 0, 0, 0, 0, ())  # as XLA says of what it can't count
    of = [msgspec.structs.replace(result, cost=nothing) for result in members().cases]
    keys = [chart.key for chart in of_record(record(*of, parts=True))]
    assert "growth-members-time-1" in keys
    assert not {"growth-members-memory-1", "roofline-1"} & set(keys)


def test_only_devices_that_share_cores_are_shaded() -> None:
    def shaded(chart: Chart) -> list[dict[str, Any]]:
        data = [row for values in chart.spec["datasets"].values() for row in values]
        return [row for row in data if "oversubscribed" in str(row.get("text"))]

    (grey,) = shaded(of_key(of_scaled(), "speed-up"))
    assert 2 < grey["x"] < 8 <= grey["end"]
    assert "not hardware scaling" in of_key(of_scaled(), "speed-up").alt
    fair = of_key(scaling.charts(record(*scaled().cases, cores=8, parts=True)), "speed-up")
    assert shaded(fair) == []
    assert "not hardware scaling" not in fair.alt
    assert cells(of_key(of_scaled(), "speed-up").drawn, "remarks") == ["", "", "oversubscribed"]


# Axes


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (9e-6, 2.1e-4, ["10 us", "20 us", "50 us", "100 us", "200 us"]),
        (1e-7, 1.1e-2, ["100 ns", "1 us", "10 us", "100 us", "1 ms", "10 ms"]),
        (9e-4, 2e-3, ["1 ms", "1.2 ms", "1.4 ms", "1.6 ms", "1.8 ms", "2 ms"]),
    ],
)
def test_ticks_are_round_and_have_their_units(low: float, high: float, shown: list[str]) -> None:
    assert [quantity.on_axis(tick, "s") for tick in axes.ticks(low, high)] == shown


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.95, "x", "0.95x"),
        (0.2, "%", "20%"),
        (2e4, "B", "20 kB"),
        (1.5e11, "FLOP/s", "150 GFLOP/s"),
        (5e6, "1/s", "5 M/s"),
        (0.5, "", "0.5"),
        (0.0, "s", "0"),
    ],
)
def test_a_tick_reads_as_a_number_in_a_table(value: float, unit: str, shown: str) -> None:
    assert quantity.on_axis(value, unit) == shown


# Pictures


def test_a_series_that_is_hidden_is_not_drawn() -> None:
    chart = of_key(of_scaled(), "parts")
    whole, part = (image.svg(chart, params=[{"name": "hidden", "value": hidden}]) for hidden in ([], ["dispatch"]))
    dispatch = 'aria-roledescription="rect mark"'
    assert whole.count("part: dispatch") > 0
    assert part.count("part: dispatch") == 0
    assert part.count(dispatch) < whole.count(dispatch)


def test_pictures_of_a_record_are_written_and_those_of_an_earlier_one_are_gone(tmp_path: Path) -> None:
    (tmp_path / "r.growth-batch.png").write_text("of an earlier record")
    one = record(
        measured(case("single", workload=EVIL), [[1e-3]] * 2),
        measured(case("data_parallel", 2, workload=EVIL), [[2e-3]] * 2),
    )
    pictures.save(one, tmp_path / "r.json")
    assert [path.name for path in tmp_path.iterdir()] == ["r.png"]
    drawn = imread(tmp_path / "r.png")
    assert drawn.shape[1] > 2 * 640
    assert len(np.unique(drawn.reshape(-1, drawn.shape[-1]), axis=0)) > 10  # it isn't blank


def test_several_charts_are_one_picture_whose_clips_are_told_apart(tmp_path: Path) -> None:
    image.image([of_key(of_scaled(), "efficiency"), of_key(of_scaled(), "parts")], tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "parallel efficiency over devices" in text
    assert "where the time of a step goes" in text
    clips = re.findall(r'<clipPath id="([^"]+)"', text)
    assert len(set(clips)) == len(clips) > 1
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(clips)


def test_a_smaller_png_is_the_same_picture(tmp_path: Path) -> None:
    import vl_convert

    first = vl_convert.svg_to_png(
        '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="60"><circle r="50"/></svg>'
    )
    (tmp_path / "first.png").write_bytes(first)
    (tmp_path / "small.png").write_bytes(png.smaller(first))
    assert np.array_equal(imread(tmp_path / "first.png"), imread(tmp_path / "small.png"))


@pytest.mark.parametrize("restarts", [1, 2])
def test_a_chart_promises_intervals_where_it_has_some(restarts: int) -> None:
    of = record(*(measured(one, [[1.0]] * restarts) for one in (case("single"), case("data_parallel", 2))))
    (chart,) = single.charts(of)
    assert (", with 95% intervals" in chart.alt) == (restarts > 1)
