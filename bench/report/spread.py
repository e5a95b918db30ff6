"""Over how many processes and hosts cases are, as reports show it: only where the run was in several."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from bench.cases import Case
from bench.hosts import hosts, level
from bench.record import Record
from bench.report import quantity
from bench.report.document import Column, Table

# After that of devices.
PROCESSES = Column("processes", expendable=6, tells=True)
HOSTS = Column("hosts", expendable=6, tells=True)
# After that of the whole efficiency.
WITHIN, OVER = Column("within a host", expendable=1), Column("over hosts", expendable=1)
# Where all processes are on one machine.
WITHIN_ONE, OVER_PROCESSES = Column("within a process", expendable=1), Column("over processes", expendable=1)


def counts(record: Record, case: Case) -> tuple[str, str]:
    """Cells of a case's processes and hosts."""
    return quantity.count(case.processes), quantity.count(hosts(record, case))


def shown(record: Record, title: str, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Table:
    """A table with columns of processes, of hosts and of efficiency over them, as far as these say something.

    Rows have all of them.
    """
    every = [one for column in columns for one in (column, *_AFTER.get(column.heading, ()))]
    absent: set[Column] = set()
    if not record.processes:
        absent = {PROCESSES, HOSTS, WITHIN, OVER}
    else:
        every = [_members_left_out_early(column) for column in every]
        if level(record) == "processes":
            absent = {HOSTS}
            every = [_ON_ONE_MACHINE.get(column, column) for column in every]
        elif all(row[every.index(PROCESSES)] == row[every.index(HOSTS)] for row in rows):  # hosts say it
            every = [dataclasses.replace(column, tells=False) if column == PROCESSES else column for column in every]
    places = [i for i, column in enumerate(every) if column not in absent]
    return Table(title, tuple(every[i] for i in places), tuple(tuple(row[i] for i in places) for row in rows))


_AFTER = {"devices": (PROCESSES, HOSTS), "efficiency": (WITHIN, OVER)}
_ON_ONE_MACHINE = {WITHIN: WITHIN_ONE, OVER: OVER_PROCESSES}


def _members_left_out_early(column: Column) -> Column:
    """There is less room where processes and hosts have columns."""
    return dataclasses.replace(column, expendable=6, tells=True) if column.heading == "members" else column


def over(record: Record, case: Case) -> str:
    """To go on with after a case's devices: in how many processes, and on how many hosts, where it is several."""
    if case.processes == 1:
        return ""
    on = hosts(record, case)
    return f" in {case.processes} processes on {f'{on} hosts' if on > 1 else 'one host'}"


def sentences(record: Record) -> list[str]:
    """Where there are several processes, and nothing was measured over them."""
    if not record.processes or any(result.case.processes > 1 for result in record.cases):
        return []
    return [
        f"No case is over several of the {len(record.processes)} processes: that takes a mode that divides something, "
        "and a number of devices that they share equally."
    ]


def legend(record: Record, *, scaled: bool) -> list[str]:
    """What processes and hosts are, and efficiency within one and over them."""
    if not record.processes:
        return []
    one, several = ("host", "hosts") if level(record) == "hosts" else ("process", "processes")
    said = (
        "processes: over which a case's devices are divided, as many in each; a block of steps takes as long as in the "
        "slowest of them, by its own clock."
    )
    if level(record) == "processes":
        said += " They are on one machine here, so what is between them is no network."
    columns = (
        f" within a {one}, over {several}: with d of its devices in each of h {several}, the efficiency is the product "
        f"of that of d devices in one {one}, and of T(d) / (h T(n)) (weak: T(d) / T(n)); empty where T(d) wasn't "
        "measured."
    )
    return [said + columns * scaled]
