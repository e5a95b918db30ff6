"""What the link between hosts does, told by the collectives of one case alone, without a fit.

Collectives of next to nothing take its latency as often as `bench.links` counts; those of a step take that, too, and
carry its bytes. `bench project` fits both beside all else, which should come to the same.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from bench.hosts import oversubscribed
from bench.links import LinkTerm, Spread, amounts, spread
from bench.record import CaseResult, Record
from bench.stats import Estimate, over_restarts
from bench.summary import by_round, medians

# Where the bytes take less of the collectives' time, it says nothing of the bandwidth.
TELLING = 0.1


@dataclass(frozen=True)
class HostLink:
    """Where all processes are on one machine, between these."""

    latency_s: Estimate
    """One way."""
    bytes_per_s: Estimate | None
    """None where too little was carried to tell."""


def host_link(record: Record) -> HostLink | None:
    """By the case whose collectives carry most, of those with one device on each host if there are any: a ring of more
    goes through their hosts, too. None where none has them timed alone, on nothing but that link."""
    found = [
        (result, amounts(result.cost.collectives, over), over.each)
        for result, over in _over_hosts(record)
        if result.cost
    ]
    if not found:
        return None
    result, needed, _ = max(found, key=lambda one: (one[2] == 1, one[1]["host bytes"]))
    small, whole = by_round(result, "rendezvous"), by_round(result, "collectives")
    latency_s = over_restarts(medians(small)).times(1 / needed["host latency"])
    carrying = {at: seconds - small[at] for at, seconds in whole.items() if at in small}
    return HostLink(latency_s, _bandwidth(needed, carrying, statistics.median(whole.values())))


def _over_hosts(record: Record) -> Iterator[tuple[CaseResult, Spread]]:
    """The cases whose collectives were timed alone, and go over no other link."""
    for result in record.cases:
        timed = by_round(result, "rendezvous").keys() & by_round(result, "collectives").keys()
        if result.status == "measured" and timed and not oversubscribed(record, result.case):
            over = spread(record, result.case)
            if over and over.hosts > 1 and (over.ring or over.each == 1):
                yield result, over


def _bandwidth(needed: dict[LinkTerm, float], seconds: dict[tuple[int, int], float], whole_s: float) -> Estimate | None:
    of_restarts = medians(seconds)
    if min(of_restarts) <= 0 or statistics.median(of_restarts) < TELLING * whole_s:
        return None
    return over_restarts(of_restarts).inverse().times(needed["host bytes"])
