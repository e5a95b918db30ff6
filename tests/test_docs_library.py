"""The example of docs/library.md runs as the page has it, made short."""

from __future__ import annotations

import re

import pytest
from documents import ROOT, blocks

from bench import asserts, library, paired, pairing
from bench.asserts import InconclusiveWarning

PAGE = ROOT / "docs" / "library.md"


def test_the_example_measures_compares_and_asserts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # as in a script
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    for function in (library.measure, pairing.compare, asserts.assert_not_slower):
        monkeypatch.setattr(function, "__kwdefaults__", {**(function.__kwdefaults__ or {}), "budget_s": 1e-6})
    (example,) = blocks(PAGE, "python")
    with pytest.warns(
        InconclusiveWarning, match="Whether gathered is slower than one_hot by more than 50% isn't clear"
    ):
        exec(compile(example, str(PAGE), "exec"), {"__name__": "two_losses"})
    measured, numbers, compared = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"<Measured one_hot: .* a call, .* chained, 2 restarts>", measured)
    assert [float(number) > 0 for number in numbers.split()] == [True] * 3
    assert compared.startswith("Whether gathered is slower than one_hot by more than 10% isn't clear:")


def test_the_page_says_the_defaults() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert f"budget_s={library.BUDGET_S:g}" in page
    assert f"threshold=0.05, budget_s={paired.BUDGET_S:g}" in page
    assert f"by={asserts.BY}" in page
    assert f"blocks of about {1000 * pairing.BLOCK_S:g} ms" in page
