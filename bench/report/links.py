"""What the link between hosts does, from the collectives of a record, in a sentence."""

from __future__ import annotations

from bench.host_link import host_link
from bench.hosts import level
from bench.record import Record
from bench.report import quantity


def sentences(record: Record) -> list[str]:
    """None where no collectives between hosts were timed alone."""
    if not record.processes or not record.schedule.parts:
        return []
    found = host_link(record)
    if found is None:
        return []
    one_machine = level(record) == "processes"
    where = "processes, which are on one machine" if one_machine else "hosts"
    said = f"Between {where}: a message takes {quantity.seconds(found.latency_s)} one way"
    if found.bytes_per_s is not None:
        said += f", and the link carries {quantity.bandwidth(found.bytes_per_s)}"
    once = "; one restart, so no interval" * (found.latency_s.low is None)
    return [f"{said}, by the time of the collectives alone (docs/scaling.md has the formula{once})."]
