"""What records that are held against the first of them mean, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.contrast import COMPARED, Best, Compared, Contrast, Held, Match
from bench.likeness import Unlike
from bench.measured import Kind
from bench.report import caveats, counts, names, quantity
from bench.stats import Estimate
from bench.summary import Summary

# Of cases that a sentence says the same of.
NAMED = 3
_STEPS = {"latency": "steps that are waited for", "fused": "fused steps"}
# Of versions, less is claimed: the moment may have made the difference.
_FASTER = {"hardware": "is faster than", "versions": "took less time than"}
_SLOWER = {"hardware": "is slower than", "versions": "took more time than"}


def sentences(found: Compared) -> tuple[str, ...]:
    """As what records compare, which is faster at its best and in which cases, what isn't comparable or is missing,
    and what that is worth."""
    said = [_relation(found.base, contrast) for contrast in found.contrasts]
    for contrast in found.contrasts:
        said += [_at_best(found.base, contrast.other, best) for best in contrast.bests]
        said += _findings(found.base, contrast)
    for contrast in found.contrasts:
        said += counts.sentences(found.base, contrast)
        said += _not_comparable(found.base, contrast)
        said += _unmeasured(found.base, contrast)
        said += _nothing_in_common(found.base, contrast)
    said += caveats.sentences(found)
    return (*said, *(one for contrast in found.contrasts for one in _missing(found.base, contrast)))


def _relation(base: Held, contrast: Contrast) -> str:
    other = contrast.other
    match contrast.relation:
        case "hardware":
            return f"{other.name} and {base.name} compare as hardware: {_machine(other)}, against {_machine(base)}."
        case "versions":
            return f"{other.name} and {base.name} compare as versions on machines of one kind: {_machine(base)}."
    return f"{other.name} is not comparable with {base.name}: {_in_both(contrast.unlike, base, other)}."


def _machine(held: Held) -> str:
    """What its kind is made of."""
    backend, host = held.record.backend, held.record.host
    if backend.platform != "cpu":
        return f"{backend.platform} {backend.device_kind}"
    return f"{host.cpu_model} with {len(host.usable_cores)} usable core{'s' * (len(host.usable_cores) > 1)}"


def _in_both(unlike: Sequence[Unlike], base: Held, other: Held) -> str:
    return "; ".join(f"{u.key} is {u.base} in {base.name} and {u.other} in {other.name}" for u in unlike)


def _at_best(base: Held, other: Held, best: Best) -> str:
    """Which hardware is faster for a training, whichever way each has of it."""
    of_base, of_other = (f"{held.name} ({_way(s)})" for held, s in ((base, best.base), (other, best.other)))
    alone = ", one member" * (best.base.case.members == best.other.case.members == 1)
    rate, doer, beside = best.rate, of_other, of_base
    if rate.high is not None and rate.high < 1:
        rate, doer, beside = rate.inverse(), of_base, of_other
    unclear = rate.low is not None and rate.low <= 1
    times = f"{quantity.between(rate)} the samples a second of"
    return (
        f"{best.base.case.workload}{alone}, each at its best: {doer} does {times} {beside}"
        f"{': no clear difference' * unclear}."
    )


def _way(summary: Summary) -> str:
    how = {"fused": "fused", "latency": "each step waited for", "throughput": "in a chain"}
    return f"{names.in_prose(summary.case)}, {how[summary.best or 'latency']}"


def _findings(base: Held, contrast: Contrast) -> Iterator[str]:
    """For each workload and way of running steps, of which cases the interval says which record is faster."""
    for workload in dict.fromkeys(match.base.case.workload for match in contrast.matches.values()):
        matches = [m for m in contrast.matches.values() if m.base.case.workload == workload]
        for kind in reversed(COMPARED):
            fair = [m for m in matches if kind in m.ratio and (contrast.relation == "versions" or not m.oversubscribed)]
            if fair:
                yield f"{workload}, {_STEPS[kind]}: {_finding(base, contrast, fair, kind)}."


def _finding(base: Held, contrast: Contrast, fair: Sequence[Match], kind: Kind) -> str:
    """The cases that are faster, those that are slower, those of which it isn't clear; the largest ratios first."""
    other, n = contrast.other.name, f"of {len(fair)} case{'s' * (len(fair) > 1)}"
    ratios = sorted(((m, m.ratio[kind]) for m in fair), key=lambda pair: -pair[1].value)
    faster = [(m, r) for m, r in ratios if r.low is not None and r.low > 1]
    slower = [(m, r.inverse()) for m, r in reversed(ratios) if r.high is not None and r.high < 1]
    unclear = [(m, r) for m, r in ratios if r.low is not None and r.high is not None and r.low <= 1 <= r.high]
    told = (
        (faster, f"{other} {_FASTER[contrast.relation]} {base.name}", "as fast"),
        (slower, f"{other} {_SLOWER[contrast.relation]} {base.name}", "as long"),
        (unclear, f"{other} and {base.name} show no clear difference", "as fast"),
    )
    said = [f"{what} in {len(cases)} {n}: {_named(cases, times)}" for cases, what, times in told if cases]
    alone = sum(ratio.low is None for _, ratio in ratios)
    return "; ".join(
        [*said, *[f"{alone} {n} had one restart in {other} or {base.name}: nothing is claimed"] * (alone > 0)]
    )


def _named(cases: Sequence[tuple[Match, Estimate]], times: str) -> str:
    return _shortened([f"{names.in_prose(m.base.case)} {quantity.between(ratio)} {times}" for m, ratio in cases])


def _not_comparable(base: Held, contrast: Contrast) -> list[str]:
    return [
        f"{name} is not comparable, since it {why}: {_in_both(unlike, base, contrast.other)}."
        for name, match in contrast.matches.items()
        for why, unlike in (
            ("doesn't compute the same in both", match.unlike),
            ("isn't over as many hosts in both", match.spread),
        )
        if unlike
    ]


def _unmeasured(base: Held, contrast: Contrast) -> list[str]:
    return [
        f"{summary.case.name} is not compared: it {_why(summary)} in {held.name}."
        for pair in contrast.unmeasured
        for held, summary in zip((base, contrast.other), pair, strict=True)
        if not summary.step_s
    ]


def _why(summary: Summary) -> str:
    if summary.result.status == "broken":
        return f"is broken ({(summary.result.why or '').rstrip('.')})"
    return "wasn't measured"


def _nothing_in_common(base: Held, contrast: Contrast) -> list[str]:
    if contrast.relation == "not comparable" or contrast.matches or contrast.unmeasured:
        return []
    return [f"{base.name} and {contrast.other.name} have no case in common."]


def _missing(base: Held, contrast: Contrast) -> list[str]:
    if contrast.relation == "not comparable":
        return []
    return [
        f"{len(missing)} case{'s are' if len(missing) > 1 else ' is'} in {held.name} alone, and so without "
        f"a ratio to {beside.name}: {_shortened(missing)}."
        for held, beside, missing in zip((base, contrast.other), (contrast.other, base), contrast.missing, strict=True)
        if missing
    ]


def _shortened(named: Sequence[str]) -> str:
    return ", ".join([*named[:NAMED], *[f"{len(named) - NAMED} more"] * (len(named) > NAMED)])
