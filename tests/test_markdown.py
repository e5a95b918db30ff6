"""That a text in a report's Markdown is read back as itself, whatever it is made of."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bench.report import markdown
from bench.report.document import Column, Report, Table

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
BEGINNINGS = ("", "# ", "## ", "- ", "+ ", "* ", "1. ", "23) ", "> ", "---", "- - -", "===", "~~~", "```", "#")
WORDS = ("a", "_a_", "__a__", "a_b", "*a*", "~~a~~", "$a$", "&lt;", "&#60;", "&amp", "a & b", "<b>", "a|b", "\\", "#")
LINES = st.builds(
    lambda begin, words: begin + " ".join(words), st.sampled_from(BEGINNINGS), st.lists(st.sampled_from(WORDS))
)


def read(text: str) -> list[str]:
    """The texts of a page of Markdown, block by block; anything but text has none."""
    blocks = [block.children or [] for block in READER.parse(text) if block.type == "inline"]
    return ["".join(inner.content if inner.type == "text" else "?" for inner in block) for block in blocks]


@settings(max_examples=200)
@given(LINES.filter(str.strip))
def test_a_text_is_read_back_as_itself_wherever_it_stands(line: str) -> None:
    table = Table(line, (Column(line), Column("other")), ((line, "cell"),))
    report = Report(line, (line,), (table,), (line, line), (line, line))
    plain = " ".join(line.split())
    one_table = [plain, plain, "other", plain, "cell"]
    assert read(markdown.render(report)) == [plain, plain, *one_table, plain, plain, plain, plain]


def test_what_means_nothing_stays_as_it_is() -> None:
    for text in ("ensemble_data", "XLA_FLAGS=--a=b", "-12 us ±3 us", "1.4x", "R&D, a & b", "issue #3 of 4", "3.11.7"):
        assert markdown.escaped(text) == text
