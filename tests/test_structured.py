"""That reports as JSON have the texts of the other renderings, and the numbers behind them."""

import json

from records import case, measured, record
from test_report import around

from bench.record import Record
from bench.report import markdown, structured, table
from bench.report.document import Column, Report, Table


def a_record() -> Record:
    return record(measured(case("single"), around(8e-5)), measured(case("ensemble_data", (2, 1), members=8), [[2e-4]]))


def test_each_cell_that_shows_a_number_has_it_in_base_units_with_its_interval() -> None:
    single, ensemble = json.loads(structured.render([table.build(a_record())]))["reports"][0]["tables"][0]["rows"]
    latency = single["latency"]
    assert (latency["text"], latency["value"], latency["unit"]) == ("80 us ±3%", 8e-5, "s")
    assert latency["low"] < 8e-5 < latency["high"]
    assert ensemble["latency"] == {"text": "200 us", "value": 2e-4, "low": None, "high": None, "unit": "s"}
    assert ensemble["devices"]["text"] == "2x1"
    assert ensemble["devices"]["value"] == 2
    assert (single["mode"], single["throughput"]) == ("single", "")


def test_the_texts_are_those_of_the_other_renderings() -> None:
    report = table.build(a_record())
    found = json.loads(structured.render([report, report]))["reports"]
    assert found[0] == found[1]
    shown = markdown.render(report)
    for row in found[0]["tables"][0]["rows"]:
        texts = [cell if isinstance(cell, str) else cell["text"] for cell in row.values()]
        assert f"| {' | '.join(texts)} |" in shown
    assert found[0]["sentences"] == list(report.sentences)


def test_columns_of_one_heading_are_all_there() -> None:
    headings = ("count", "what", "what", "what (2)", "what")  # as of a record that is called so
    made = Table("of records", tuple(map(Column, headings)), (("0", "a", "b", "c", "d"),))
    (found,) = json.loads(structured.render([Report("t", (), (made,), (), ())]))["reports"][0]["tables"]
    assert found["columns"] == ["count", "what", "what (3)", "what (2)", "what (4)"]
    assert found["rows"] == [dict(zip(found["columns"], "0abcd", strict=True))]
