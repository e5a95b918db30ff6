"""A run on devices of which the tests have none: what is measured is a CPU that is told to be a card."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from test_nvml import Library

from bench import run
from bench.cases import Selection
from bench.conductor import Conductor
from bench.environment import Backend
from bench.events import Event, RoundEnded, Schedule
from bench.nvml import Gpu
from bench.record import read
from bench.report import markdown, table


def test_on_a_card_for_one_process_workers_alternate_and_the_record_has_power_and_clocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = (Gpu("GPU-c333", "a card", one_process=True), Gpu("GPU-aa00", "a card"))
    card = Backend("gpu", "a card", 2, False, {}, "3", {}, gpus=cards)
    monkeypatch.setattr(run, "probe", lambda _: card)
    monkeypatch.setitem(sys.modules, "pynvml", Library())
    alive: list[int] = []

    def watch(event: Event, conductor: Conductor) -> None:
        if isinstance(event, RoundEnded):
            alive.append(len(conductor._workers))

    selection = Selection(workloads=("tutorial",), modes=("single", "ensemble"), members=(8,), devices=(1,))
    schedule = Schedule(restarts=1, rounds=1, budget_s=30)
    out = tmp_path / "run.json"
    run.measure(run.Plan(selection=selection, schedule=schedule, out=out), watch)
    record = read(out)
    assert record.complete
    assert record.alternation == "restarts"
    assert [result.status for result in record.cases] == ["measured"] * 2
    assert alive == [1, 1]  # two cases, each by itself
    # 53 degrees are the fourth card's, the only one in use.
    assert [(r.round, r.device, r.temperature_c) for r in record.gpu_readings] == [(0, 0, 53.0)] * 2
    assert "SM clock 1.98 GHz" in markdown.render(table.build(record))
