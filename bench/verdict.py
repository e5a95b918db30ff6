"""From the log-ratios of restarts to verdicts, whose error is controlled however often they are looked at.

No I/O, no JAX. docs/method.md says why each part is as it is; `python -m bench.validate` shows that it holds.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from bench.stats import Estimate, interval, t_quantile

Verdict = Literal["faster", "slower", "same", "inconclusive", "not comparable", "broken"]
Direction = Literal["slower", "faster"]
Key = TypeVar("Key")

# The numbers of restarts after which a test is made, and the share of the error that each look may spend
# (alpha spending, Lan and DeMets 1983, the looks added up by Bonferroni's inequality,
# which holds whatever their dependence).
LOOKS = (3, 5, 8, 12, 18, 27, 40, 60)
_WEIGHTS = [1 / math.sqrt(i + 1) for i in range(len(LOOKS))]
SHARES = {n: weight / sum(_WEIGHTS) for n, weight in zip(LOOKS, _WEIGHTS, strict=True)}

# The error that may be made where the truth lies on the threshold: of a claim that the sides differ by
# more (both directions together), and of saying that they don't.
CLAIM_ERROR = 0.05
SAME_ERROR = 0.05
# A claim is confirmed by restarts of its own, against no difference at all. Where there is none, all claims of
# a case together are wrong in at most 5%, and confirmed in 2% of those: 1 in 1,000.
CONFIRM_ERROR = 0.02
CLAIMS_AT_MOST = 2
# Stopping when a verdict is clear makes 95% t intervals cover less often, 93% at worst; with this nominal
# level 93 to 97% of them have the truth in them, whatever the noise (results/validation/simulated.md).
NOMINAL = 0.955
# A confirmation is given up after as many restarts as the claim took, and after this many at least.
CONFIRM_RESTARTS = 8


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When B counts as slower or faster than A."""

    threshold: float = 0.01
    """0.03: a step that takes up to 3% longer, or 1 / 1.03 of the time, counts as the same."""

    only_slower: bool = False
    """Whether being the same needs no more than not to be slower, as for a gate."""

    @property
    def margin(self) -> float:
        """The threshold as a log-ratio."""
        return math.log1p(self.threshold)


def log_ratio(rounds: Sequence[float]) -> float:
    """Of a restart: the median over couples of rounds, A B and B A, of their mean log-ratio of step times.

    Whichever side is asked second finds the caches cold, so single rounds fall into two groups, 4% apart
    on the machine of docs/method.md; a couple has one of each. Raises ValueError without a couple.
    """
    couples = [(one + other) / 2 for one, other in zip(rounds[::2], rounds[1::2], strict=False)]
    if not couples:
        raise ValueError("at least two rounds are needed")
    return statistics.median(couples)


@dataclass(frozen=True)
class Claim:
    """That the sides differ in that direction, made after so many restarts."""

    direction: Direction
    restarts: int


@dataclass(frozen=True)
class Trial:
    """What is known of one pair: a log-ratio of step times (B over A) a restart, and where its test stands."""

    logs: tuple[float, ...] = ()
    claim: Claim | None = None
    """Being confirmed."""
    claims: int = 0
    p: float = 1.0
    """The least p-value so far, looks counted in, of a difference beyond the threshold in either direction."""
    verdict: Literal["faster", "slower", "same"] | None = None

    @property
    def ratio(self) -> Estimate | None:
        """B's step time over A's, with a 95% t interval from the restarts."""
        return interval(self.logs, NOMINAL) if self.logs else None


def judged(trials: Mapping[Key, Trial], rule: Rule) -> dict[Key, Trial]:
    """The trials after one more look at them; a verdict that was reached stays.

    Claims that sides differ are made of all trials together, by Holm's procedure (1979), so that many
    cases don't make a false one likelier.
    """
    looked = {key: _looked(trial, rule) for key, trial in trials.items()}
    claimable = holm({key: trial.p for key, trial in looked.items()}, CLAIM_ERROR)
    again = CLAIM_ERROR / max(len(trials), 1)  # of a second claim, whose first look spent what Holm gave it
    return {
        key: _after(trial, rule, error=(again if trial.claims else CLAIM_ERROR) if key in claimable else 0.0)
        for key, trial in looked.items()
    }


def holm(p: Mapping[Key, float], error: float) -> set[Key]:
    """Those of the hypotheses that may be rejected with that family-wise error (Holm 1979)."""
    rejected: set[Key] = set()
    for key in sorted(p, key=lambda key: p[key]):
        if p[key] > error / (len(p) - len(rejected)):
            break
        rejected.add(key)
    return rejected


def p_above(logs: Sequence[float], bound: float) -> float:
    """The p-value of a one-sided t test that the mean of normal values is at most `bound`; two values at least."""
    from scipy.special import stdtr  # a report makes no test, and loads in less time than scipy

    distance = statistics.fmean(logs) - bound
    error = statistics.stdev(logs) / math.sqrt(len(logs))
    if error == 0:
        return 0.0 if distance > 0 else 1.0
    return float(stdtr(len(logs) - 1, -distance / error))


def p_same(logs: Sequence[float], margin: float) -> float:
    """The p-value of a mean outside of +-margin, by two one-sided tests (Schuirmann 1987)."""
    return max(p_above(logs, -margin), p_above([-log for log in logs], -margin))


def _differences(trial: Trial, rule: Rule) -> dict[Direction, float]:
    """The p-values of this look, each direction having half of the error."""
    share = SHARES[len(trial.logs)] / 2
    mirrored = [-log for log in trial.logs]
    return {
        "slower": min(1.0, p_above(trial.logs, rule.margin) / share),
        "faster": min(1.0, p_above(mirrored, rule.margin) / share),
    }


def _looked(trial: Trial, rule: Rule) -> Trial:
    if trial.verdict or trial.claim or len(trial.logs) not in SHARES:
        return trial
    return replace(trial, p=min(trial.p, *_differences(trial, rule).values()))


def _after(trial: Trial, rule: Rule, *, error: float) -> Trial:
    """The trial after a look: a claim made, confirmed or given up, or its sides found to be the same."""
    n = len(trial.logs)
    if trial.verdict:
        return trial
    if trial.claim:
        trial = _confirmed(trial, trial.claim, rule)
    elif error and n in SHARES and trial.claims < CLAIMS_AT_MOST:
        p = _differences(trial, rule)
        direction: Direction = "slower" if p["slower"] <= p["faster"] else "faster"
        if p[direction] <= error:
            return replace(trial, claim=Claim(direction, n), claims=trial.claims + 1)
    if trial.verdict or n not in SHARES or (trial.claim and rule.only_slower):
        return trial
    same = _p_same(trial.logs, rule) <= SAME_ERROR * SHARES[n]
    return replace(trial, claim=None, verdict="same") if same else trial


def _p_same(logs: Sequence[float], rule: Rule) -> float:
    return p_above([-log for log in logs], -rule.margin) if rule.only_slower else p_same(logs, rule.margin)


def _confirmed(trial: Trial, claim: Claim, rule: Rule) -> Trial:
    """By fresh restarts that differ from nothing, while the interval of all restarts is beyond the threshold."""
    sign = 1 if claim.direction == "slower" else -1
    logs = [sign * log for log in trial.logs]
    fresh, beyond = logs[claim.restarts :], (interval(logs, NOMINAL).low or 0.0) > 1 + rule.threshold
    if beyond and len(fresh) in SHARES and p_above(fresh, 0.0) <= CONFIRM_ERROR * SHARES[len(fresh)]:
        return replace(trial, claim=None, verdict=claim.direction)
    if len(fresh) >= max(CONFIRM_RESTARTS, claim.restarts):
        return replace(trial, claim=None)
    return trial


@dataclass(frozen=True)
class Need:
    """What would make an inconclusive trial clear, if its restarts go on to scatter as they did."""

    restarts: int | None
    """More of them; None: more than a comparison may take."""
    threshold: float
    """The least with which it would be the same by now."""


def need(trial: Trial, rule: Rule) -> Need | None:
    """What an inconclusive trial lacks; None with fewer than two restarts."""
    n = len(trial.logs)
    if n < 2:
        return None
    spread, centre = statistics.stdev(trial.logs), abs(statistics.fmean(trial.logs))
    beyond = centre > rule.margin
    error = CLAIM_ERROR / 2 if beyond else SAME_ERROR
    enough = (look for look in LOOKS if look > n and _half_width(spread, look, error) <= abs(rule.margin - centre))
    found = next(enough, None)
    if found is not None and beyond:
        found += LOOKS[0]  # which confirm the claim
    more = None if found is None or found > LOOKS[-1] else found - n
    return Need(more, math.expm1(centre + _half_width(spread, n, SAME_ERROR)))


def floor(logs: Sequence[float], restarts: int = LOOKS[-1]) -> float:
    """The least threshold within which an A/A with that scatter is found to be the same, nine times in ten.

    `logs` are log-ratios of restarts of an A/A, `restarts` how many of them a comparison may take.
    """
    spread = statistics.stdev(logs)
    chance = _quantile(restarts, 0.05) * spread / math.sqrt(restarts)
    return math.expm1(_half_width(spread, restarts, SAME_ERROR) + chance)


def _half_width(spread: float, restarts: int, error: float) -> float:
    """How far from the mean a test with that error reaches after so many restarts."""
    share = SHARES[max((n for n in LOOKS if n <= restarts), default=LOOKS[0])]
    return _quantile(restarts, error * share) * spread / math.sqrt(restarts)


def _quantile(restarts: int, error: float) -> float:
    return t_quantile(restarts - 1, 1 - 2 * error)
