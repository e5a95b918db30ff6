"""The report of a comparison: a row and a sentence a pair, and apart from the times what can be counted exactly."""

from __future__ import annotations

from collections.abc import Sequence

from bench import noise
from bench.cases import Case
from bench.comparison import Comparison, PairResult, SideResult, shares_cores
from bench.measured import Certificate, Collective
from bench.report import quantity
from bench.report.document import Column, Report, Table
from bench.report.unchecked import unchecked_sentences
from bench.report.words import host_line
from bench.verdict import LOOKS, need

COLUMNS = (
    Column("case", numeric=False),
    Column("verdict", numeric=False),
    Column("B / A"),
    Column("A", expendable=1),
    Column("B", expendable=1),
    Column("restarts", expendable=2),
    Column("remarks", numeric=False),
)
LEGEND = (
    "B / A: the time of a step of B over that of A, asked in turn while both are alive; the 95% interval comes from "
    "restarts of both. slower, faster: by more than the threshold, and confirmed by restarts of its own. same: within "
    "the threshold. inconclusive: neither is shown. A, B: a step; these two can't be compared as well as their ratio.",
)


def build(comparison: Comparison) -> Report:
    """The report of a comparison."""
    return Report(
        title=f"A against B, by a threshold of {quantity.plain_percent(comparison.rule.threshold)}",
        environment=_environment(comparison),
        tables=(Table(_kinds(comparison), COLUMNS, tuple(_row(comparison, pair) for pair in comparison.pairs)),),
        sentences=_sentences(comparison),
        legend=LEGEND,
    )


def _environment(comparison: Comparison) -> tuple[str, ...]:
    return (
        host_line(comparison.host),
        f"A: {_side(comparison.a)}",
        f"B: {_side(comparison.b)}",
        f"{comparison.created}; {comparison.seconds:.0f} s; load {comparison.load_at_start:g} before, "
        f"{comparison.load_at_end:g} after",
    )


def _side(side: SideResult) -> str:
    packages = " ".join(f"{name} {version}" for name, version in side.backend.packages.items())
    tree = "not a git checkout" if side.commit is None else side.commit[:12] + " (dirty)" * side.dirty
    written = "the working tree" if side.text == "." else side.text
    return f"{written}; {tree}; {side.backend.platform}: Python {side.backend.python} {packages}"


def _kinds(comparison: Comparison) -> str:
    kind = comparison.pairs[0].kind
    return {"latency": "steps that are waited for", "throughput": "steps in a chain", "fused": "fused steps"}[kind]


def _row(comparison: Comparison, pair: PairResult) -> tuple[str, ...]:
    ratio = pair.trial.ratio if pair.verdict not in ("broken", "not comparable") else None
    return (
        pair.name,
        pair.verdict.upper() if pair.verdict == "broken" else pair.verdict,
        "" if ratio is None else quantity.between(ratio),
        quantity.seconds(pair.step_s("A")) if ratio else "",
        quantity.seconds(pair.step_s("B")) if ratio else "",
        quantity.count(len(pair.trial.logs)) if ratio else "",
        _remarks(comparison, pair),
    )


def _remarks(comparison: Comparison, pair: PairResult) -> str:
    remarks = ["BROKEN"] if pair.verdict == "broken" else []
    if pair.verdict == "not comparable" and pair.why:
        remarks.append(pair.why.partition(":")[0])
    for name, side, case in (("A", comparison.a, pair.a), ("B", comparison.b, pair.b)):
        if case is not None and shares_cores(comparison, side, case):
            remarks.append(f"{name} oversubscribed")
    return ", ".join(remarks)


def _sentences(comparison: Comparison) -> tuple[str, ...]:
    said = [_said(comparison, pair) for pair in comparison.pairs]
    said += [
        f"{pair.name}: results differ, which was allowed: {pair.unlike}." for pair in comparison.pairs if pair.unlike
    ]
    said += _counts(comparison.pairs)
    said += unchecked_sentences(_certified(comparison.pairs))
    said += _caches(comparison.pairs)
    for name, side in (("A", comparison.a), ("B", comparison.b)):
        if side.dirty:
            said.append(f"{name} has changes that aren't committed; its commit alone doesn't say what was measured.")
    said += _floors(comparison)
    if not comparison.complete:
        said.append("The comparison was ended before its verdicts: what stands here is what there was by then.")
    return tuple(said)


def _said(comparison: Comparison, pair: PairResult) -> str:
    """The verdict of a pair in a sentence."""
    trial, threshold = pair.trial, quantity.plain_percent(comparison.rule.threshold)
    if pair.verdict in ("broken", "not comparable") or trial.ratio is None:
        return f"{pair.name} is {pair.verdict}: {pair.why or 'it was not measured'}."
    took = f"a step of B takes {quantity.between(trial.ratio)} the time of A's"
    match pair.verdict:
        case "slower" | "faster" as verdict:
            return f"{pair.name}: B is {verdict} than A by more than {threshold}: {took}."
        case "same" if comparison.rule.only_slower:
            return f"{pair.name}: B is not slower than A by more than {threshold}: {took}."
        case "same":
            return f"{pair.name}: B is the same as A within {threshold}: {took}."
    lacks = need(trial, comparison.rule)
    if lacks is None:
        return f"{pair.name} is inconclusive: {took}; one restart says nothing, {_least_budget(comparison)}."
    claim = f" {trial.claim.direction} so far, but not confirmed:" if trial.claim else ""
    more = f"about {lacks.restarts} more restarts" if lacks.restarts else "a quieter machine"
    return (
        f"{pair.name} is inconclusive after {len(trial.logs)} restarts:{claim} {took}; it would take {more}, or a "
        f"threshold of {quantity.plain_percent(lacks.threshold)} to call it the same."
    )


def _least_budget(comparison: Comparison) -> str:
    """What the first test takes, at the pace of the restarts that there were."""
    restarts = max(len(pair.trial.logs) for pair in comparison.pairs)
    seconds = quantity.rounded(comparison.seconds * LOOKS[0] / restarts, 2)
    return f"and the {LOOKS[0]} that a test needs would take a --budget of about {seconds} s"


def _counts(pairs: Sequence[PairResult]) -> list[str]:
    """What can be counted is compared exactly, however small the change."""
    counted = [pair for pair in pairs if pair.costs is not None]
    counts = [(pair.name, *row) for pair in counted for row in _counted(pair)]
    changes = [f"{name}: {what} {a} in A, {b} in B." for name, what, a, b in counts if a != b]
    if counted and not changes:
        return ["Exact counts (FLOPs, bytes, peak memory, collectives, traces) are the same on both sides."]
    return changes


def _counted(pair: PairResult) -> list[tuple[str, str, str]]:
    assert pair.costs is not None
    a, b = pair.costs
    return [
        ("FLOPs of a step are", f"{a.flops:,.0f}", f"{b.flops:,.0f}"),
        ("bytes accessed by a step are", f"{a.accessed_bytes:,.0f}", f"{b.accessed_bytes:,.0f}"),
        ("peak memory is", f"{a.peak_bytes:,} B", f"{b.peak_bytes:,} B"),
        ("collectives are", collectives(a.collectives), collectives(b.collectives)),
        ("traces of a step are", str(pair.traces[0]), str(pair.traces[1])),
    ]


def collectives(found: Sequence[Collective]) -> str:
    """In words."""
    said = [f"{c.count} {c.kind} of {c.bytes:,} B over {c.group_size}" for c in found]
    return ", ".join(said) or "none"


def _certified(pairs: Sequence[PairResult]) -> list[tuple[Case, Certificate]]:
    """The cases that were found right, of both sides."""
    return [
        (case, certificate)
        for pair in pairs
        for case, certificate in zip((pair.a, pair.b), pair.certificates or (), strict=False)
        if case is not None
    ]


def _caches(pairs: Sequence[PairResult]) -> list[str]:
    """A cold compilation cache against a warm one: said, since it looks like a change of compile time."""
    said = []
    for pair in pairs:
        if pair.stages is not None:
            a, b = (stages.compile_cached for stages in pair.stages)
            if a != b:
                warm, cold = ("A", "B") if a else ("B", "A")
                said.append(f"{pair.name}: {warm}'s step came from a compilation cache, {cold}'s was compiled.")
    return said


def _floors(comparison: Comparison) -> list[str]:
    known = [
        f"{pair.name} {quantity.plain_percent(floor)}"
        for pair in comparison.pairs
        if (floor := comparison.floors.get(noise.key(pair.name, pair.kind))) is not None
    ]
    if known:
        return [f"Noise floors measured on this machine before: {', '.join(known)}."]
    return ["No noise floor is known for these cases on this machine; `python -m bench doctor --noise` measures it."]
