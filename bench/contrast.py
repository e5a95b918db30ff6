"""Records of runs held against the first of them: what they may be compared as, and by how much they differ.

Their processes never met, so nothing here is paired: an interval has what restarts scatter by, not what a machine does
differently from one hour to the next. JAX-free.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.likeness import Relation, Unlike, has_losses, products, relation, unlike_losses, unlike_spread, unlike_work
from bench.measured import REFERENCE, Kind
from bench.record import Record
from bench.stats import Estimate, independent
from bench.summary import Summary, by_round, medians, single_of, summaries

COMPARED: tuple[Kind, ...] = ("latency", "fused")


@dataclass(frozen=True)
class Held:
    """A record, and what it is called beside others."""

    name: str
    record: Record
    cases: dict[str, Summary]
    """By name."""


@dataclass(frozen=True)
class Match:
    """A case that the base and another record both measured; without ratios where it isn't the same computation, or its
    processes are on other numbers of hosts."""

    base: Summary
    other: Summary
    unlike: tuple[Unlike, ...]
    ratio: dict[Kind, Estimate]
    """The base's step time over the other's, for each of COMPARED that both have: how many times as fast it is."""
    rate: Estimate | None
    """The other's examples a second over the base's, each by its own best kind of block."""
    products: tuple[str, str]
    """What each may round the factors of its layers' products to."""
    checked: bool
    """Whether the losses of both are known, of the same steps."""
    spread: tuple[Unlike, ...] = ()
    """How its processes are on other numbers of hosts."""

    @property
    def comparable(self) -> bool:
        return not (self.unlike or self.spread)

    @property
    def oversubscribed(self) -> bool:
        return self.base.oversubscribed or self.other.oversubscribed


@dataclass(frozen=True)
class Best:
    """The way of training a workload that does most examples a second in each of two records, whichever it is."""

    base: Summary
    other: Summary
    rate: Estimate
    """The other's examples a second over the base's."""


@dataclass(frozen=True)
class Contrast:
    """A record against the base, and what of the two can be compared."""

    other: Held
    relation: Relation
    unlike: tuple[Unlike, ...]
    """Why they aren't comparable."""
    matches: dict[str, Match]
    """By name, in the base's order; none where records aren't comparable."""
    unmeasured: tuple[tuple[Summary, Summary], ...]
    """Cases of both, the base's and the other's, that one of them has no time of."""
    missing: tuple[tuple[str, ...], tuple[str, ...]]
    """Names of cases that are in the base alone, and in the other alone."""
    bests: tuple[Best, ...]
    """Of hardware: for each training that both have, of any ways, and then of those that train one member."""
    reference: dict[str, Estimate]
    """How many times as fast the reference workload was in the other, which no commit changes, in the rounds of each
    workload's cases that timed it in both in workers of as many devices."""

    @property
    def whole(self) -> bool:
        """Whether everything that both have could be compared, and there was something."""
        return bool(self.matches) and not self.unmeasured and all(match.comparable for match in self.matches.values())


@dataclass(frozen=True)
class Compared:
    """The first record, and the others against it."""

    base: Held
    contrasts: tuple[Contrast, ...]

    @property
    def records(self) -> tuple[Held, ...]:
        return (self.base, *(contrast.other for contrast in self.contrasts))


def compared(records: Sequence[tuple[str, Record]]) -> Compared:
    """Each of the named records, of which there are two at least, against the first."""
    base, *others = (Held(name, record, {s.case.name: s for s in summaries(record)}) for name, record in records)
    return Compared(base, tuple(_contrast(base, other) for other in others))


def names(paths: Sequence[Path]) -> list[str]:
    """What records of different files are called: the stem, with as many folders as tell it from the others."""
    depth = max((len(path.parts) for path in paths), default=1)
    return [_told(path, set(paths) - {path}, depth) for path in paths]


def _told(path: Path, others: set[Path], depth: int) -> str:
    stems = (_tail(path, n) for n in range(1, depth + 1))
    return next((stem for n, stem in enumerate(stems, 1) if all(stem != _tail(o, n) for o in others)), str(path))


def _tail(path: Path, parts: int) -> str:
    return str(Path(*path.with_suffix("").parts[-parts:]))


def _contrast(base: Held, other: Held) -> Contrast:
    found, unlike = relation(base.record, other.record)
    pairs = {name: (of_base, other.cases[name]) for name, of_base in base.cases.items() if name in other.cases}
    timed = {name: pair for name, pair in pairs.items() if pair[0].step_s and pair[1].step_s}
    apart = found == "not comparable"
    matches = {} if apart else {name: _match(base, other, name, found) for name in timed}
    return Contrast(
        other,
        found,
        unlike,
        matches=matches,
        unmeasured=() if apart else tuple(pair for name, pair in pairs.items() if name not in timed),
        missing=(
            tuple(name for name in base.cases if name not in pairs),
            tuple(name for name in other.cases if name not in pairs),
        ),
        bests=tuple(_bests(base, other, matches)) if found == "hardware" else (),
        reference=_reference(base.record, other.record),
    )


def _match(base: Held, other: Held, name: str, found: Relation) -> Match:
    a, b = base.cases[name], other.cases[name]
    rounded = products(base.record, a.case), products(other.record, b.case)
    checked = has_losses(a.result, b.result)
    spread = tuple(unlike_spread(base.record, other.record, a.case))
    unlike = [*unlike_losses(a.result, b.result, rounded)] if checked else []
    if found == "hardware":  # of versions, a count that changed is a finding
        unlike += unlike_work(a.result.cost, b.result.cost)
    if unlike or spread:
        return Match(a, b, tuple(unlike), {}, None, rounded, checked, spread)
    ratio: dict[Kind, Estimate] = {
        kind: _ratio(a, b, kind, kind) for kind in COMPARED if kind in a.step_s and kind in b.step_s
    }
    assert a.best
    assert b.best
    return Match(a, b, (), ratio, _ratio(a, b, a.best, b.best), rounded, checked)


def _bests(base: Held, other: Held, matches: dict[str, Match]) -> Iterator[Best]:
    """Of each training that some case shows to be the same in both: another batch or network is another one."""
    for training in dict.fromkeys(single_of(match.base.case) for match in matches.values()):
        if any(match.unlike for match in matches.values() if single_of(match.base.case) == training):
            continue
        a, b = ([s for s in held.cases.values() if single_of(s.case) == training] for held in (base, other))
        best, alone = _best(a, b), _best(*([s for s in ways if s.case.members == 1] for ways in (a, b)))
        yield from filter(None, (best, alone if alone != best else None))


def _best(of_base: Sequence[Summary], of_other: Sequence[Summary]) -> Best | None:
    """None where one of them has none that shows hardware."""
    a, b = _quickest(of_base), _quickest(of_other)
    if a is None or b is None:
        return None
    assert a.best
    assert b.best
    work = b.case.batch * b.case.members / (a.case.batch * a.case.members)
    return Best(a, b, _ratio(a, b, a.best, b.best).times(work))


def _quickest(ways: Sequence[Summary]) -> Summary | None:
    rates = [(rate.value, s) for s in ways if not s.oversubscribed and (rate := s.samples_per_s) is not None]
    return max(rates, key=lambda pair: pair[0])[1] if rates else None


def _ratio(base: Summary, other: Summary, kind: Kind, of_other: Kind) -> Estimate:
    """The time of a step of the base's, of a kind of block, over that of the other's, which may be of another."""
    return independent(medians(by_round(base.result, kind)), medians(by_round(other.result, of_other)))


def _reference(base: Record, other: Record) -> dict[str, Estimate]:
    """By workload; of several numbers of devices, with the fewest. With other cores, it is another program."""
    a, b = _reference_s(base), _reference_s(other)
    both = sorted(a.keys() & b.keys(), reverse=True)  # the fewest devices last
    return {workload: independent(medians(a[workload, n]), medians(b[workload, n])) for workload, n in both}


def _reference_s(record: Record) -> dict[tuple[str, int], dict[tuple[int, int], float]]:
    """Seconds of the reference workload in each of its blocks by (restart, number), by the workload in whose rounds
    they were and the devices of the worker that ran them: of several, the first one's."""
    found: dict[tuple[str, int], dict[tuple[int, int], float]] = defaultdict(dict)
    for result in record.cases:
        blocks = found[result.case.workload, result.case.devices // result.case.processes]
        blocks |= {(at[0], len(blocks) + i): s for i, (at, s) in enumerate(by_round(result, REFERENCE).items())}
    return {beside: blocks for beside, blocks in found.items() if blocks}
