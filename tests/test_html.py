"""That a page is whole in itself, says what the other renderings say, and takes no name for markup."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pages import EVIL, HEADING, NAMES, RIGHT_TO_LEFT, chart, report, section
from test_verdicts_report import comparison, pair

from bench import record
from bench.cli import main
from bench.commands.reporting import report_beside
from bench.report import page, table
from bench.report.document import Column, Report, Section

GOLDEN = Path(__file__).parent / "golden" / "record-3.json"
VOID = {"meta", "img", "br", "link"}


class Parsed(HTMLParser):
    """The elements of a page, each with its text, and without those that stand in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def of(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


@pytest.fixture(scope="module")
def text() -> str:
    return page.render([section(), section(RIGHT_TO_LEFT)])


@pytest.fixture(scope="module")
def parsed(text: str) -> Parsed:
    return Parsed(text)


def test_every_element_that_is_opened_is_closed_and_has_an_id_of_its_own(parsed: Parsed) -> None:
    assert parsed.open == []
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = {
        v for _, attributes in parsed.elements for k, v in attributes.items() if k.startswith("aria-") and "by" in k
    }
    assert labels <= set(ids)
    links = {str(a["href"])[1:] for a in parsed.all("a")}
    assert {"content", "report-1", "report-2", "report-1-charts", "report-2-table-2", "report-2-reading"} <= links
    assert links <= set(ids)


def test_nothing_is_named_that_would_be_fetched(text: str, parsed: Parsed) -> None:
    assert not any({"src", "srcset", "data", "poster", "action"} & set(attributes) for _, attributes in parsed.elements)
    assert {tag for tag, attributes in parsed.elements if "href" in attributes} == {"a"}
    (style,) = parsed.of("style")
    assert re.findall(r"url\(|@import", style) == []


def test_scripts_are_there_once_and_the_policy_lets_only_these_run(text: str, parsed: Parsed) -> None:
    (policy,) = [str(m["content"]) for m in parsed.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 2
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert f"default-src 'none'; script-src 'sha256-{hashes[0]}' 'sha256-{hashes[1]}';" in policy
    assert "unsafe-eval" not in policy
    assert scripts[0].count("window.vegaEmbed") == 1


def test_a_page_without_charts_goes_without_what_draws_them() -> None:
    assert len(page.render([Section("r.json", report())])) < 40_000


def test_names_are_texts(parsed: Parsed) -> None:
    assert parsed.all("img") == parsed.all("b") == []
    assert parsed.of("h1") == ["2 reports"]
    for tag in ("h2", "bdi", "strong", "li", "p"):
        assert any(EVIL in found for found in parsed.of(tag)), tag
    assert parsed.of("bdi").count(HEADING) == 2 * len(report().tables)


def test_names_in_charts_come_back_as_they_are(parsed: Parsed) -> None:
    specs = [json.loads(found) for found in parsed.of("script") if found.startswith("{")]
    assert specs == [json.loads(json.dumps(chart().spec))] * 4
    assert {row["series"] for row in specs[0]["data"]["values"]} == set(NAMES)


def test_a_name_from_right_to_left_stands_in_a_line_of_its_own_direction(parsed: Parsed) -> None:
    assert parsed.of("bdi").count(RIGHT_TO_LEFT) >= 2 + 2  # the file's, twice; a cell of each report


def test_what_would_turn_the_rest_of_a_line_is_spelled_out() -> None:
    sentences = ("a \u202eb is broken: \x00c.",)
    text = page.render([Section("r.json", dataclasses.replace(report(), sentences=sentences))])
    assert "<strong>a \\u202eb is broken: \\x00c.</strong>" in text


def test_so_is_what_would_turn_a_heading_or_a_legend() -> None:
    assert Column("\u202efile.json latency").heading == "\\u202efile.json latency"
    drawn = {"data": [{"series": "\u202ea", "x": 1}], "domain": ("\u202ea", "b"), "width": None}
    spelled_out = {"data": [{"series": "\\u202ea", "x": 1}], "domain": ["\\u202ea", "b"], "width": None}
    assert dataclasses.replace(chart(), spec=drawn).spec == spelled_out


def test_a_page_of_one_report_has_its_title_and_no_contents() -> None:
    found = Parsed(page.render([Section("r.json", report())]))
    assert found.of("h1") == [report().title]
    assert len(found.all("h2")) == len(report().tables)
    assert len(found.all("nav")) == 1  # of its parts


def test_what_broke_is_said_first() -> None:
    _, said = page.render([Section("r.json", report())]).split('<ul class="said">')
    said = re.findall(r"<li>(.*?)</li>", said)
    assert said[0].startswith("<strong>")
    assert said[1:3] == ["single is fastest.", f"{RIGHT_TO_LEFT} is slow."]


def test_what_stands_in_backticks_is_code() -> None:
    said = dataclasses.replace(report(), sentences=("without `gradients` & `parts`, no",), legend=("`a`",))
    text = page.render([Section("r.json", said)])
    assert "<li>without <code>gradients</code> &amp; <code>parts</code>, no</li>" in text
    assert "<p><code>a</code></p>" in text


def test_rows_that_broke_or_shared_cores_are_marked_and_numbers_know_their_value(text: str) -> None:
    assert text.count('<tr class="broken">') == 2
    assert text.count('<tr class="oversubscribed">') == 4
    assert '<td class="number" data-value="8e-05">80 us ±2%</td>' in text
    assert '<td class="number"></td>' in text


def said_by(of: Report) -> list[str]:
    """Every text of a report, but for empty cells."""
    cells = [cell for one in of.tables for row in one.rows for cell in row]
    headings = [text for one in of.tables for text in (one.title, *(column.heading for column in one.columns))]
    return [text for text in (of.title, *of.environment, *of.sentences, *of.legend, *headings, *cells) if text]


def test_the_texts_of_a_record_are_those_of_the_other_renderings() -> None:
    of = table.build(record.read(GOLDEN))
    found = [text for _, text in Parsed(page.render([Section("r.json", of)])).texts]
    assert set(said_by(of)) <= set(found)


# bench report --format html


def test_report_writes_a_page_of_all_records_with_their_charts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record.write(comparison(pair()), tmp_path / "ab.json")
    out = tmp_path / "new" / "page.html"
    assert main(["report", str(GOLDEN), str(tmp_path / "ab.json"), "--format", "html", "-o", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: 2 reports\n"
    found = Parsed(out.read_text(encoding="utf-8"))
    assert found.of("h1") == ["2 reports"]
    assert len(found.all("figure")) > 2
    assert "B is slower than A" in " ".join(found.of("li"))


def test_report_writes_a_page_to_results_unless_it_is_told_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(GOLDEN), "missing.json", "--format", "html"]) == 2
    printed = capsys.readouterr()
    assert printed.out == "results/report.html: 1 report\n"
    assert printed.err.startswith("error: missing.json: ")
    assert (tmp_path / "results" / "report.html").exists()


@pytest.mark.parametrize("form", ["terminal", "markdown", "json"])
def test_report_writes_into_a_file_what_it_would_print(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    assert main(["report", str(GOLDEN), "--format", form]) == 0
    printed = capsys.readouterr().out
    assert main(["report", str(GOLDEN), "--format", form, "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: 1 report\n"
    assert out.read_text(encoding="utf-8") == printed


def test_markdown_in_a_file_is_that_which_a_run_leaves_beside_its_record(tmp_path: Path) -> None:
    beside, out = tmp_path / "run.json", tmp_path / "report.md"
    beside.write_bytes(GOLDEN.read_bytes())
    report_beside(beside)
    assert main(["report", str(beside), "--format", "markdown", "-o", str(out)]) == 0
    assert out.read_bytes() == beside.with_suffix(".md").read_bytes()


def test_a_file_that_cannot_be_written_is_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    nowhere = (file / "folder" / "page.html", "Not a directory")
    for out, why in ((tmp_path, "Is a directory"), (file / "page.html", f"{file} is a file"), nowhere):
        assert main(["report", str(GOLDEN), "--format", "markdown", "-o", str(out)]) == 2
        assert capsys.readouterr().err == f"error: {out} can't be written: {why}; give -o another file.\n"


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("it was read")

    monkeypatch.setattr("bench.reading.content_of", never)
    monkeypatch.setattr("bench.record.content_of", never)
    golden = str(GOLDEN)
    for argv in (
        ["report", golden],
        ["report", golden, "--format", "csv"],
        ["compare", golden, "b"],
        ["history", golden],
    ):
        assert main([*argv, "-o", str(tmp_path)]) == 2
    assert not list(tmp_path.iterdir())


def test_a_folder_is_made_for_a_report_and_not_for_one_that_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "new" / "report.txt"
    assert main(["report", "no.json", "-o", str(out)]) == 2
    assert not list(tmp_path.iterdir())
    assert main(["report", str(GOLDEN), "-o", str(out)]) == 0
    assert out.is_file()


def test_a_record_is_not_written_over_by_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "record.json"
    kept.write_bytes(GOLDEN.read_bytes())
    assert main(["report", str(kept), "--format", "json", "-o", str(kept)]) == 2
    assert "would be overwritten; give -o another file." in capsys.readouterr().err
    assert kept.read_bytes() == GOLDEN.read_bytes()
