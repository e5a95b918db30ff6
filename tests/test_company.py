"""The processes of a run have to be alike; a run over those that aren't is refused with what differs."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import pytest

from bench.cases import Case, Selection
from bench.company import Company, check_alike
from bench.environment import Backend, Host
from bench.record import Process
from toynet.errors import UsageError
from toynet.rendezvous import Circle

BACKEND = Backend("cpu", "cpu", 1, True, {}, "3", {"jax_enable_x64": "False"})
HOST = Host("a CPU", 2, (0, 1), 1, "Linux", {}, "1234abc", dirty=False)


def process(rank: int, host: Host = HOST, **of_backend: Any) -> Process:
    return Process(rank, "ab"[rank], rank, host, dataclasses.replace(BACKEND, **of_backend))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (process(1, platform="gpu"), "rank 1 on b has platform gpu, and rank 0 on a cpu;"),
        (process(1, device_count=2), "rank 1 on b has devices 2, and rank 0 on a 1;"),
        (
            process(1, settings={"jax_enable_x64": "True"}),
            "rank 1 on b has jax_enable_x64 True, and rank 0 on a False;",
        ),
        (
            process(1, dataclasses.replace(HOST, commit="5678def")),
            "rank 1 on b has commit 5678def, and rank 0 on a 1234abc;",
        ),
        (
            process(1, dataclasses.replace(HOST, dirty=True)),
            "rank 1 on b has commit 1234abc with changes, and rank 0 on a 1234abc; all processes of a run need",
        ),
    ],
)
def test_a_process_that_runs_something_else_or_on_something_else_is_refused(other: Process, said: str) -> None:
    check_alike(process(0), process(1))
    with pytest.raises(UsageError, match=said):
        check_alike(process(0), other)


def company(*machines: int, **of_backend: Any) -> Company:
    """Processes on those hosts."""
    backend = dataclasses.replace(BACKEND, **of_backend)
    processes = tuple(Process(rank, "ab"[machine], machine, HOST, backend) for rank, machine in enumerate(machines))
    return Company(cast("Circle", None), processes, (), (), (), machines)  # they aren't asked for anything


def test_by_itself_a_run_divides_cases_over_one_process_those_of_a_host_and_all() -> None:
    asked = Selection(workloads=("tutorial",))
    assert company(0, 0).selection(asked).across == (1, 2)
    assert company(0, 1).selection(asked).across == (1, 2)
    assert company(0, 0, 1, 1).selection(asked).across == (1, 2, 4)
    assert company(0, 0).selection(dataclasses.replace(asked, across=(2,))).across == (2,)


def test_by_itself_a_run_has_cases_on_all_devices_that_there_are() -> None:
    asked = Selection(workloads=("tutorial",))
    cards = company(0, 1, platform="gpu", device_count=8, simulated=False).selection(asked)
    assert (cards.devices, cards.devices_each) == ((1, 2, 4, 8, 16), 8)
    simulated = company(0, 0, 0).selection(asked)
    assert (simulated.devices, simulated.devices_each) == ((1, 2, 3, 4, 8), None)
    assert company(0, 0, 0).selection(dataclasses.replace(asked, devices=(6,))).devices == (6,)


def test_more_processes_than_there_are_are_refused() -> None:
    with pytest.raises(UsageError, match="--across must be at most 2, as many processes as there are, got 3;"):
        company(0, 0).selection(Selection(across=(1, 3)))


def test_cores_are_dealt_where_workers_are_kept_on_them() -> None:
    case = Case(workload="tutorial", mode="data_parallel", data_shards=2, processes=2)
    both = company(0, 0)
    assert both.deal(case, [1, 0], pinned=True) == [(1,), (0,)]
    assert both.deal(case, [1, 0], pinned=False) == [(0, 1), (0, 1)]
