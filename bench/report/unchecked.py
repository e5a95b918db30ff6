"""What the checks of a workload can't show, said beside what they did."""

from __future__ import annotations

from collections.abc import Sequence

from bench.cases import Case, is_own
from bench.measured import Certificate, Check
from bench.tolerance import ASKED

EXACT = ("", "float32", "float64")

Certified = Sequence[tuple[Case, Certificate]]


def unchecked_sentences(certified: Certified) -> list[str]:
    """A sentence for each thing that isn't known of a workload, its cases having been found right."""
    said: list[str] = []
    for workload in dict.fromkeys(case.workload for case, _ in certified):
        of = [(case, certificate) for case, certificate in certified if case.workload == workload]
        said += _without_gradients(workload, of)
        said += _asked(workload, of)
        if is_own(workload):
            said += [*_alone(workload, of), *_without_curve(workload, of), *_coarse(workload, of)]
            said += _refused(workload, of)
    return said


def _without_gradients(workload: str, of: Certified) -> list[str]:
    if all(any(check.name == "raw gradients" for check in certificate.checks) for _, certificate in of):
        return []
    return [f"{workload}: a factor in the gradient that the optimizer hides can't be seen without `gradients`."]


def _asked(workload: str, of: Certified) -> list[str]:
    checks = [check for _, certificate in of for check in certificate.checks if ASKED in check.allowed]
    return [f"{workload}: {_found(checks)} passed by a tolerance of its own: {checks[0].allowed}."] if checks else []


def _found(checks: Sequence[Check]) -> str:
    *names, last = dict.fromkeys(check.name for check in checks)
    return f"{', '.join(names)} and {last}" if names else last


def _alone(workload: str, of: Certified) -> list[str]:
    if any(case.mode != "single" for case, _ in of):
        return []
    return [
        f"{workload}: single was held against its own step alone, without jit or without XLA's optimisation, so a "
        "mistake in that step isn't found."
    ]


def _without_curve(workload: str, of: Certified) -> list[str]:
    if any(len(certificate.losses) > 1 for _, certificate in of):
        return []
    return [f"{workload}: an epoch of one batch has no curve of losses, so what goes wrong after a while isn't found."]


def _coarse(workload: str, of: Certified) -> list[str]:
    """Such as products in bfloat16, which hide what is as small as their roundings."""
    coarse = sorted({certificate.products for _, certificate in of} - {*EXACT})
    return [
        f"{workload}: products in {name} are rounded so much that a smaller mistake can't be told from it, such as "
        "means of parts of unequal size."
        for name in coarse
    ]


def _refused(workload: str, of: Certified) -> list[str]:
    """The modes that it can't be run in, with what they have in common."""
    refused = dict(pair for _, certificate in of for pair in certificate.refused)
    reasons = dict.fromkeys(refused.values())
    said = [f"{', '.join(mode for mode in refused if refused[mode] == why)}, for {why}" for why in reasons]
    return [f"{workload}: not run, and not checked: {'; '.join(said)}."] if said else []
