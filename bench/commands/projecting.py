"""`bench project`: the fitted model of a record, beyond what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from bench.arguments import Bandwidth, Counts, Names, Seconds, Switch, own
from bench.commands.reporting import while_read
from bench.commands.status import DONE
from toynet.errors import UsageError

if TYPE_CHECKING:
    from bench.cost_model import Term


@dataclass(frozen=True, kw_only=True)
class Project:
    """Say what a record's steps would take on more devices: time, throughput, efficiency, with intervals.

    Example: python -m bench project results/latest.json --devices 16,64,256 --link-latency 5us --link-bandwidth 50GB/s
    """

    record: Annotated[Path, tyro.conf.Positional]
    """A file that `run` wrote, of cases on one device and on more; --scaling strong,weak has most of them."""
    devices: Counts = (16, 64, 256)
    """How many devices."""
    batch: Annotated[Counts, own("those measured on one device")] = ()
    """Global batch."""
    workloads: Annotated[Names, own("all in the record")] = ()
    """Of those in the record."""
    modes: Annotated[Names, own("all in the record that divide work")] = ()
    """Of those in the record."""
    link_latency: Annotated[Seconds, own("as measured")] = 0.0
    """Of one message from device to device, such as 5us: what if the link were another?"""
    link_bandwidth: Annotated[Bandwidth, own("as measured")] = 0.0
    """Bytes a second that a link carries, such as 50GB/s."""
    devices_per_host: Annotated[int | None, own("as measured over several; else all on one", "N")] = None
    """How many devices share a host: more of them are on several hosts, with another link between those."""
    host_link_latency: Annotated[Seconds, own("as measured")] = 0.0
    """Of one message from host to host, one way, such as 20us."""
    host_link_bandwidth: Annotated[Bandwidth, own("as measured")] = 0.0
    """Bytes a second that the link of a host carries, such as 3GB/s."""
    waited: Switch = False
    """Project steps that are waited for; without it those of one program, where they were measured."""

    def execute(self) -> int:
        from bench import record
        from bench.links import BETWEEN, WITHIN
        from bench.report import projections, terminal

        given: dict[Term, float] = {
            **projections.link(WITHIN, self.link_latency, self.link_bandwidth),
            **projections.link(BETWEEN, self.host_link_latency, self.host_link_bandwidth),
        }
        wanted = projections.Wanted(
            self.devices, self.batch, self.workloads, self.modes, given, self.waited, self.devices_per_host
        )
        report = projections.build(record.read(_a_run(self.record)), wanted)
        with while_read():
            terminal.show(report, terminal.console())
        return DONE


def _a_run(path: Path) -> Path:
    """Raises UsageError for the file of another command."""
    from bench import record

    if (kind := record.tag(path)) is not None:
        raise UsageError(f"{path} is {record.called(kind)}, and a record of `python -m bench run` was expected.")
    return path
