"""That the validation would notice a wrong method: small simulations, other judges, planted work."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from records import record

from bench.record import write
from bench.validate import noise_models, pictures, reports, scaling, simulate
from bench.validate.__main__ import main
from bench.validate.judges import JUDGES
from bench.validate.loop import Compared
from bench.validate.noise_models import MODELS, Machine
from bench.validate.planted import PRODUCTS, flops, write_tree
from bench.validate.real import Case, Planted, Real, begun, extended
from bench.validate.scaling import Foretold, Scaled
from bench.validate.simulate import Outcome, Simulated, outcome, replay
from bench.verdict import Rule, log_ratio
from toynet.errors import UsageError


def test_restarts_of_a_model_are_made_of_rounds_as_those_of_a_comparison_are() -> None:
    rounds = np.random.default_rng(0).normal(size=24)
    assert noise_models.of_rounds(rounds) == pytest.approx(log_ratio(rounds.tolist()))


@pytest.mark.parametrize("name", list(MODELS))
def test_no_noise_prefers_a_side(name: str) -> None:
    logs = MODELS[name](np.random.default_rng(0), 200, 20)
    assert logs.shape == (200, 20)
    assert abs(logs.mean()) < 4 * logs.std() / math.sqrt(logs.size)


def test_a_machine_without_any_noise_gives_no_difference_whatever_happens_to_it() -> None:
    drifting = Machine(worker=0.0, block=0.0, switch=0.3, drift=0.02)
    assert np.abs(drifting(np.random.default_rng(0), 3, 4)).max() < 1e-9


def test_a_replayed_comparison_stops_at_its_verdict() -> None:
    trial = replay([0.2, 0.201, 0.199] * 20, Rule(threshold=0.03))
    assert (trial.verdict, len(trial.logs)) == ("slower", 6)


def test_outcomes_count_every_comparison_once() -> None:
    found = outcome("quiet", MODELS["quiet"], 0.2, Rule(threshold=0.03), 30, 0, 0.02)
    assert found.slower == found.comparisons == 30
    assert found.asked
    assert not outcome("quiet", MODELS["quiet"], 0.02, Rule(threshold=0.01), 5, 0, 0.5).asked


def test_a_t_interval_covers_what_it_should_and_a_bootstrap_of_three_is_too_wide() -> None:
    found = simulate.intervals("quiet", MODELS["quiet"], 3, 400, 0)
    assert 0.92 < found.t < 0.98
    assert found.bootstrap > 0.98


def test_recorded_noise_has_the_scatter_of_its_record_and_no_preference() -> None:
    rng = np.random.default_rng(0)
    leaning = [msgspec.structs.replace(case(0.0, "same"), logs=tuple(rng.normal(0.05, s, 40))) for s in (0.01, 0.03)]
    planted = msgspec.structs.replace(case(0.05, "slower"), logs=(9.0,) * 30)
    logs = noise_models.recorded(real(*leaning, planted))(rng, 400, 50)
    assert abs(logs.mean()) < 0.001  # though the record leans to one side
    scatters = np.sort(logs.std(axis=1))  # half of the comparisons have that of one, half that of the other
    assert scatters[:200].mean() == pytest.approx(np.std(leaning[0].logs, ddof=1), rel=0.2)
    assert scatters[200:].mean() == pytest.approx(np.std(leaning[1].logs, ddof=1), rel=0.2)
    with pytest.raises(UsageError, match="no A/A comparison of 12 restarts is recorded there"):
        noise_models.recorded(real(planted, case(0.0, "same")))


def test_everything_is_simulated_reported_and_missed_bars_are_named(tmp_path: Path) -> None:
    found = simulate.everything(5, 0, None, ("python", "-m", "bench.validate"), lambda _: None)
    text, missed = reports.simulated(found)
    assert text.count("| quiet |") == len(simulate.SCENARIOS) + 5
    assert reports.written(found, (text, missed), tmp_path / "x.json") == bool(missed)
    wrong = Outcome("quiet", 0.0, 0.01, False, 1000, 2, 0, 990, 8, 950, 5.0)
    late = Outcome("quiet", 0.02, 0.01, True, 100, 94, 0, 0, 6, 95, 5.0)
    narrow = Outcome("quiet", 0.05, 0.01, True, 100, 99, 0, 0, 1, 92, 5.0)
    _, missed = reports.simulated(
        Simulated(command=(), seconds=1.0, scatter={"quiet": 0.01}, outcomes=(wrong, late, narrow), intervals=())
    )
    assert missed == [
        "quiet, 0% planted: 2 of 1000 verdicts are false",
        "quiet, 2% planted: 94% found",
        "quiet, 5% planted, threshold 1%: 92% covered",
        "20% planted: no noise asks for it",
    ]
    with pytest.raises(UsageError, match="comparisons must be at least 5"):
        simulate.everything(1, 0, None, (), lambda _: None)


def case(share: float, verdict: str, seconds: float = 12.0) -> Case:
    n = 6 if verdict == "slower" else 3  # after which the rule says so
    return Case(
        planted=Planted(share, 0.01, loaded=True),
        verdict=verdict,  # type: ignore[arg-type]
        seconds=seconds,
        ratio=1 + share,
        low=0.999 + share,
        high=1.001 + share,
        logs=tuple((0.05 if verdict == "slower" else 0.0) + 0.0001 * (i % 3) for i in range(n)),
        a_s=(1.0, 1.001, 0.999),
        b_s=(1.0 + share, 1.001 + share, 0.999 + share),
        overhead_s=1e-4,
    )


def real(*cases: Case) -> Real:
    return Real(command=("x",), machine="a machine", long_runs={"0": 1.0, "0.02": 1.02, "0.05": 1.05}, cases=cases)


def test_comparisons_on_a_machine_are_reported_and_missed_bars_are_named(tmp_path: Path) -> None:
    good = [case(0.0, "same")] * 4 + [case(0.05, "slower")] * 3
    text, missed = reports.real(real(*good))
    assert all("comparisons were made" in bar for bar in missed)
    assert "| 5% | 1% | on and off | 3 | 3 (100%) | 0 | 0 | 0 | 1.0500 | 1.0500 | 1.0500 | 3 (100%) |" in text
    assert pictures.scatter(real(*good), tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    assert not pictures.scatter(real(), tmp_path / "y.png")
    bad = [case(0.0, "slower"), case(0.02, "same"), case(0.05, "slower", seconds=61.0)]
    assert [bar for bar in reports.real(real(*bad))[1] if "were made" not in bar] == [
        "0% planted: 1 of 1 verdicts are false",
        "2% planted: 0 of 1 found",
        "5% planted: 61 s to a verdict",
    ]


@pytest.mark.parametrize("name", list(JUDGES))
def test_other_judges_call_ten_percent_slower_and_nothing_not(name: str) -> None:
    quiet = [1.0, 1.001, 0.999, 1.002, 0.998] * 4
    assert JUDGES[name](quiet, [1.1 * x for x in quiet])
    assert not JUDGES[name](quiet, quiet)


def test_a_planted_share_is_work_and_nothing_else(tmp_path: Path) -> None:
    texts = [(write_tree(tmp_path / f"{s}", s) / "planted_step.py").read_text() for s in (0.0, 0.05)]
    differing = [pair for pair in zip(*(text.splitlines() for text in texts), strict=True) if len(set(pair)) > 1]
    assert len(differing) == 2  # the number of products, in the docstring and in the step
    assert flops(0.05) / flops(0.0) == 1.05
    assert flops(1 / PRODUCTS) > flops(0.0)


def test_comparisons_of_another_machine_are_not_gone_on_with(tmp_path: Path) -> None:
    there = Real(command=("real",), machine="another machine, 8 of 8 cores")
    write(there, tmp_path / "real.json")
    with pytest.raises(UsageError, match="another machine, 8 of 8 cores"):
        extended(tmp_path / "real.json", begun(("real",)), {}, budget_s=1, until_s=0, say=print)


def scaled(**changes: Any) -> Scaled:
    """What is found where everything is as it should be, but for these."""
    foretold = Foretold("wide/data_parallel-2", "fused", 1.0, 1.05, 0.9, 1.2)
    loop = Compared("tutorial", "waited", (1.001, 0.999), 0.99, 1.01)
    found = Scaled(
        command=("validate",),
        runs={"a.json": "`run` of commit none"},
        machine="a machine",
        efficiency=(0.93, 0.925, 0.935),
        explained={"wide/data_parallel-2": (1.02, 1.0, 1.04), "wide/fsdp-2": (1.3, 1.2, 1.4)},
        foretold=(foretold,),
        loops=(loop,),
    )
    return msgspec.structs.replace(found, **changes)


def test_scaling_as_it_should_be_misses_no_bar() -> None:
    text, missed = scaling.report(scaled())
    assert missed == []
    assert "All bars are kept." in text
    assert "93.0% efficiency (92.5 to 93.5)" in text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"efficiency": (0.89, 0.885, 0.895)}, "efficiency of wide at batch 4096: 89.0%"),
        ({"efficiency": (0.93, 0.91, 0.95)}, "4.0 points wide"),
        ({"explained": {"wide/data_parallel-2": (1.2, 1.1, 1.3)}}, "1.20 times its compute and collectives"),
        ({"foretold": (Foretold("a", "fused", 1.0, 1.2, None, None),)}, "an error of +20.0%"),
        ({"loops": (Compared("tutorial", "waited", (1.05, 1.05), 1.0, 1.1),)}, "1.050 times what a loop takes"),
    ],
)
def test_a_bar_of_scaling_that_is_missed_is_said(changes: dict[str, Any], sentence: str) -> None:
    text, missed = scaling.report(scaled(**changes))
    assert len(missed) == 1
    assert sentence in missed[0]
    assert missed[0] in text


def test_a_record_without_the_case_in_question_is_refused() -> None:
    with pytest.raises(UsageError, match="no strong scaling of wide at batch 4096"):
        scaling.found({"a.json": record()}, (), ())


@pytest.mark.parametrize("flags", [["--workloads", "wise"], ["--restarts", "1"], ["nowhere.json"]])
def test_wrong_arguments_of_validation_are_refused(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scaling", *flags]) == 2
    assert capsys.readouterr().err.count("\n") == 1
