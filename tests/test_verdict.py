"""When a comparison says what: claims, confirmations, and what many looks and many cases cost."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from scipy import stats

from bench.verdict import (
    CLAIMS_AT_MOST,
    CONFIRM_RESTARTS,
    LOOKS,
    SHARES,
    Rule,
    Trial,
    floor,
    holm,
    judged,
    log_ratio,
    need,
    p_above,
    p_same,
)

RULE = Rule(threshold=0.03)
NOISE = [0.004, -0.006, 0.002, 0.007, -0.003, -0.004, 0.001, 0.005, -0.007, 0.0, 0.003, -0.002] * 5


def after(logs: list[float], rule: Rule = RULE) -> Trial:
    """A trial that was looked at after each of those restarts, until its verdict."""
    trial = Trial()
    for n in range(1, len(logs) + 1):
        trial = judged({"case": replace(trial, logs=tuple(logs[:n]))}, rule)["case"]
        if trial.verdict:
            break
    return trial


def around(centre: float, restarts: int = 60) -> list[float]:
    """Log-ratios that scatter by 0.5% around one."""
    return [math.log(centre) + noise for noise in NOISE[:restarts]]


@pytest.mark.parametrize(("ratio", "verdict"), [(1.2, "slower"), (0.8, "faster"), (1.0, "same"), (1.02, "same")])
def test_a_clear_ratio_gets_its_verdict(ratio: float, verdict: str) -> None:
    assert after(around(ratio)).verdict == verdict


def test_a_ratio_on_the_threshold_gets_none() -> None:
    assert after(around(1.03)).verdict is None


def test_what_is_slower_counts_as_faster_from_the_other_side() -> None:
    forth, back = after(around(1.05)), after([-log for log in around(1.05)])
    assert (forth.verdict, back.verdict) == ("slower", "faster")
    assert len(forth.logs) == len(back.logs)


def test_a_difference_is_claimed_first_and_said_only_after_restarts_of_its_own() -> None:
    claimed = after(around(1.2, 3))
    assert claimed.verdict is None
    assert claimed.claim is not None
    assert (claimed.claim.direction, claimed.claim.restarts) == ("slower", 3)
    said = after(around(1.2))
    assert said.verdict == "slower"
    assert len(said.logs) == 6


def test_a_claim_that_fresh_workers_do_not_confirm_is_given_up() -> None:
    logs = around(1.2, 5) + around(1.0, 55)
    trial = Trial()
    for n in range(1, 5 + CONFIRM_RESTARTS + 1):
        trial = judged({"case": replace(trial, logs=tuple(logs[:n]))}, RULE)["case"]
    assert trial.verdict is None
    assert trial.claim is None
    assert trial.claims == 1


def test_no_more_claims_are_made_than_the_error_allows() -> None:
    trial = Trial(tuple(around(1.2, 12)), claims=CLAIMS_AT_MOST)
    assert judged({"case": trial}, RULE)["case"].claim is None
    assert judged({"case": replace(trial, claims=CLAIMS_AT_MOST - 1)}, RULE)["case"].claim is not None


def test_nothing_is_said_after_one_restart_or_between_looks() -> None:
    for restarts in (1, 2, 4, 6, 7):
        assert judged({"case": Trial(tuple(around(1.0, restarts)))}, RULE)["case"] == Trial(
            tuple(around(1.0, restarts))
        )


def test_a_verdict_stays_whatever_comes_after_it() -> None:
    said = Trial(tuple(around(1.2, 12)), verdict="same")
    assert judged({"case": said}, RULE) == {"case": said}


def test_the_looks_spend_the_whole_error_and_no_more() -> None:
    assert tuple(SHARES) == LOOKS
    assert sum(SHARES.values()) == pytest.approx(1)


def test_with_many_cases_a_claim_needs_more() -> None:
    spread = _spread_for(0.02)
    logs = tuple(math.log(1.03) + 0.01 * (1 + spread * n) for n in (1, -1, 0))
    p = 2 * p_above(logs, RULE.margin) / SHARES[3]
    assert p == pytest.approx(0.02, rel=1e-3)
    alone = judged({"case": Trial(logs)}, RULE)["case"]
    assert alone.claim is not None
    others = {f"other {i}": Trial(tuple(around(1.0, 3))) for i in range(9)}
    assert judged({"case": Trial(logs), **others}, RULE)["case"].claim is None


def _spread_for(p: float) -> float:
    """The spread of 1 - spread, 1, 1 + spread whose mean of 1 has that p-value, looks and directions counted in."""
    return math.sqrt(3) / float(stats.t.isf(p * SHARES[3] / 2, 2))


def test_holms_procedure_steps_down() -> None:
    # By hand: 0.01 <= 0.05 / 4, 0.015 <= 0.05 / 3, 0.03 > 0.05 / 2, so the last two stay.
    assert holm({"a": 0.03, "b": 0.01, "c": 0.04, "d": 0.015}, 0.05) == {"b", "d"}
    assert holm({"a": 0.2}, 0.05) == set()
    assert holm({}, 0.05) == set()


def test_the_p_values_are_those_of_scipys_t_test() -> None:
    logs = around(1.01, 8)
    assert p_above(logs, 0.002) == pytest.approx(by_scipy(logs, 0.002, "greater"))
    expected = max(by_scipy(logs, 0.03, "less"), by_scipy(logs, -0.03, "greater"))
    assert p_same(logs, 0.03) == pytest.approx(expected)


def by_scipy(logs: list[float], mean: float, alternative: Literal["less", "greater"]) -> float:
    return float(np.asarray(stats.ttest_1samp(logs, mean, alternative=alternative))[1])


def test_restarts_that_agree_to_the_last_digit_leave_no_doubt() -> None:
    assert after([0.1] * 12).verdict == "slower"
    assert after([0.0] * 12).verdict == "same"


def test_rounds_are_coupled_so_that_being_asked_second_costs_neither_side() -> None:
    # B takes 2% longer; whoever is asked second takes 8% longer still, or each 21st time a hundredfold.
    rounds = [math.log(1.02) + (0.08 if n % 2 else -0.08) for n in range(20)]
    assert log_ratio(rounds) == pytest.approx(math.log(1.02))
    rounds[6] += math.log(100)
    assert log_ratio(rounds) == pytest.approx(math.log(1.02))
    with pytest.raises(ValueError, match="two rounds"):
        log_ratio([0.1])


def test_a_claim_is_not_confirmed_while_the_reported_interval_is_not_beyond_the_threshold() -> None:
    # Fresh restarts show that B is slower, by 1%: the claim of over 3% doesn't stand with them.
    logs = [0.032, 0.033, 0.0325, 0.010, 0.0101, 0.0102]
    assert after(logs).verdict is None
    said = [after([math.log(1.04) + noise for noise in rng.normal(0, 0.012, 60)]) for rng in _generators(100)]
    slower = [trial for trial in said if trial.verdict == "slower"]
    assert len(slower) > 10
    assert all(trial.ratio and trial.ratio.low and trial.ratio.low > 1.03 for trial in slower)


def _generators(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(count)]


def test_a_gate_needs_no_more_than_that_it_is_not_slower() -> None:
    near = around(1 / 1.03)  # too near the threshold to be faster, or the same in both directions
    assert after(near).verdict is None
    assert after(near, Rule(threshold=0.03, only_slower=True)).verdict == "same"
    assert after(around(0.8), Rule(threshold=0.03, only_slower=True)).verdict == "faster"
    assert after(around(1.2), Rule(threshold=0.03, only_slower=True)).verdict == "slower"


def test_a_second_claim_needs_what_a_lone_case_among_all_would() -> None:
    logs = tuple(math.log(1.03) + 0.01 * (1 + _spread_for(0.02) * n) for n in (1, -1, 0))
    others = {f"other {i}": Trial(tuple(around(1.2, 3))) for i in range(9)}  # so that Holm leaves it all of the error
    assert judged({"case": Trial(logs), **others}, RULE)["case"].claim is not None
    assert judged({"case": Trial(logs, claims=1), **others}, RULE)["case"].claim is None


def test_what_would_make_it_clear_does() -> None:
    rule = Rule(threshold=0.025)
    unclear = after(around(1.02, 8), rule)
    assert unclear.verdict is None
    lacks = need(unclear, rule)
    assert lacks is not None
    assert lacks.restarts is not None
    assert after(around(1.02, 8 + lacks.restarts), rule).verdict == "same"
    assert after(around(1.02, 8), Rule(threshold=1.001 * lacks.threshold)).verdict == "same"
    assert after(around(1.02, 8), Rule(threshold=0.999 * lacks.threshold)).verdict is None


def test_one_restart_does_not_say_what_is_needed_and_the_threshold_itself_needs_more_than_there_are() -> None:
    assert need(Trial((0.1,)), RULE) is None
    on_it = need(Trial((math.log(1.03) - 0.01, math.log(1.03) + 0.01)), RULE)
    assert on_it is not None
    assert on_it.restarts is None


def test_what_is_beyond_the_threshold_needs_restarts_to_confirm_it_too() -> None:
    beyond = Trial(tuple(around(1.035, 3)))
    lacks = need(beyond, RULE)
    assert lacks is not None
    assert lacks.restarts is not None
    assert 3 + lacks.restarts - 3 in LOOKS  # a look at which it is claimed, and three restarts that confirm it


def test_a_noise_floor_is_what_an_a_a_keeps_nine_times_in_ten() -> None:
    rng = np.random.default_rng(0)
    least = floor(rng.normal(0, 0.011, 4000).tolist(), 27)
    kept = sum(after(rng.normal(0, 0.011, 27).tolist(), Rule(threshold=least)).verdict == "same" for _ in range(300))
    assert kept / 300 > 0.88
    assert 0.009 < least < 0.013
