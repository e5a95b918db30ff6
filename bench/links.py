"""The links that the collectives of a step go over: within a host and between hosts, how often, with how many bytes.

Algorithms of Thakur, Rabenseifner and Gropp (2005): of an all-reduce over n devices 2 log2(n) messages one after
another, and 2 (n - 1) / n of its size on a link; of an all-gather or a reduce-scatter half of each. Over several hosts
in two levels: within each host over its own devices, and between the hosts, whose link carries what all of them send.

A CPU's devices in several processes talk by Gloo, which knows no hosts. Its all-reduce and its all-gather are one ring
of all n devices, each step of which is as slow as its slowest link; the array of an all-reduce goes round it twice.
Each message waits for a word of its receiver's that it is ready: so one step takes two latencies, one way each. Several
arrays go one after another. (Measured by hand, between network namespaces with a delay of 2 ms and one of 12 ms: an
all-reduce over 2, 4 and 6 devices, half of them on each host, takes 4.0, 12.7 and 20.9 latencies.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.breakdown import bus_factor, moved_bytes
from bench.cases import Case
from bench.hosts import groups, hosts, in_each
from bench.measured import Collective
from bench.record import Record

LinkTerm = Literal["latency", "bytes", "host latency", "host bytes"]
WITHIN: tuple[LinkTerm, LinkTerm] = ("latency", "bytes")
BETWEEN: tuple[LinkTerm, LinkTerm] = ("host latency", "host bytes")


@dataclass(frozen=True)
class Spread:
    """How the devices of a case are divided over hosts, as many on each."""

    devices: int
    hosts: int = 1
    """Where all processes are on one machine: processes."""
    ring: bool = False
    """Whether they talk by Gloo, which no devices of one process do."""

    @property
    def each(self) -> int:
        return -(-self.devices // self.hosts)

    @property
    def links(self) -> tuple[LinkTerm, ...]:
        """The terms of the links that it needs."""
        within = WITHIN if self.each > 1 and not self.ring else ()
        return (*within, *(BETWEEN if self.hosts > 1 else ()))


def spread(record: Record, case: Case) -> Spread | None:
    """Of a case that was measured; None where hosts have different numbers of its devices, and for processes of a CPU
    that share a host in a run on several, whose link is neither of the two."""
    if not record.backend.simulated:
        over = hosts(record, case)
        return Spread(case.devices, over) if over == 1 or in_each(record, case) else None
    over = groups(record, case)
    if (over == 1 and case.processes > 1) or in_each(record, case) is None:
        return None
    return Spread(case.devices, over, ring=over > 1)


def amounts(collectives: Sequence[Collective], over: Spread) -> dict[LinkTerm, float]:
    """The messages one after another, and the bytes, that those collectives need on each link."""
    if over.ring:
        return {
            "host latency": sum((one.arrays or one.count) * latencies(one.kind, over.devices) for one in collectives),
            "host bytes": _carried(collectives, over.devices),
        }
    found: dict[LinkTerm, float] = {}
    for (latency, size), count in ((WITHIN, over.each), (BETWEEN, over.hosts)):
        if count > 1:
            found[latency] = sum(one.count * hops(one.kind, count) for one in collectives)
            found[size] = _carried(collectives, count)
    return found


def hops(kind: str, devices: int) -> float:
    """Messages one after another: a logarithm of the devices for each direction."""
    return (2.0 if kind == "all-reduce" else 1.0) * math.log2(devices)


def latencies(kind: str, devices: int) -> float:
    """Of Gloo, one way, one after another, for one array."""
    steps = {"all-reduce": 2.0 * (devices - 1), "all-gather": devices - 1.0, "reduce-scatter": math.log2(devices)}
    return 2 * steps.get(kind, 1.0)


def _carried(collectives: Sequence[Collective], count: int) -> float:
    return sum(moved_bytes(one) * bus_factor(one.kind, count) for one in collectives)
