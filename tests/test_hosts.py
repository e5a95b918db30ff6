"""Where a case's devices are, and whether they have cores of their own."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest
from records import case, elsewhere, over, record

from bench import hosts
from bench.cases import Case
from bench.record import Record


def divided(devices: int, processes: int) -> Case:
    return dataclasses.replace(case("data_parallel", devices), processes=processes)


def run(*machines: int, cores: int = 2) -> Record:
    return over(record(cores=cores), *machines)


def test_in_one_process_devices_share_what_that_may_use() -> None:
    alone = record(cores=2)
    assert [hosts.oversubscribed(alone, divided(n, 1)) for n in (1, 2, 4)] == [False, False, True]
    assert (hosts.hosts(alone, divided(2, 1)), hosts.cores(alone, divided(2, 1))) == (1, 2)


@pytest.mark.parametrize(
    ("machines", "fair", "crowded"),
    [
        ((0, 0), divided(2, 2), divided(4, 2)),  # two processes share two cores
        ((0, 1), divided(4, 2), divided(8, 2)),  # two each
        ((0, 0, 1, 1), divided(4, 4), divided(8, 4)),
    ],
)
def test_processes_of_one_host_share_its_cores_and_hosts_have_their_own(
    machines: tuple[int, ...], fair: Case, crowded: Case
) -> None:
    found = run(*machines)
    assert not hosts.oversubscribed(found, fair)
    assert hosts.oversubscribed(found, crowded)


def test_cores_of_their_own_add_up_on_one_host() -> None:
    found = run(0, 0)
    second = msgspec.structs.replace(found.processes[1], host=dataclasses.replace(found.host, usable_cores=(2, 3)))
    apart = msgspec.structs.replace(found, processes=(found.processes[0], second))
    assert hosts.cores(apart, divided(4, 2)) == 4
    assert not hosts.oversubscribed(apart, divided(4, 2))


def test_where_workers_cannot_be_kept_on_cores_one_device_a_host_is_fair() -> None:
    found = elsewhere(run(0, 1), pinned=False)
    assert not hosts.oversubscribed(found, divided(2, 2))
    assert hosts.oversubscribed(found, divided(4, 2))


def test_accelerators_share_no_core() -> None:
    assert not hosts.oversubscribed(over(record(platform="gpu"), 0, 0), divided(16, 2))


def test_hosts_are_counted_where_there_are_several_and_else_processes() -> None:
    here, apart = run(0, 0), run(0, 0, 1, 1)
    assert (hosts.level(here), hosts.level(apart)) == ("processes", "hosts")
    assert [hosts.groups(here, divided(8, n)) for n in (1, 2)] == [1, 2]
    assert [hosts.groups(apart, divided(8, n)) for n in (1, 2, 4)] == [1, 1, 2]
    assert [hosts.in_each(apart, divided(8, n)) for n in (1, 2, 4)] == [8, 8, 4]
    assert hosts.in_each(run(0, 0, 1), divided(6, 3)) is None
