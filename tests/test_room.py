"""What a live case takes, and what there is: against what the compiler counted, and what was seen of workers."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from bench import lookup, room
from bench.cases import Case, Selection, expand
from bench.environment import Backend
from bench.record import read
from bench.room import Need, Room
from toynet.config import PRESETS
from toynet.errors import UsageError

ROOT = Path(__file__).parent.parent
CPU = Backend("cpu", "cpu", 1, True, {}, "3", {})
GPU = Backend("gpu", "a card", 8, False, {}, "3", {})
SINGLE = Case(workload="wide", mode="single", batch=512)
MANY = dataclasses.replace(SINGLE, mode="ensemble", members=64)
OVER_FOUR = dataclasses.replace(MANY, mode="ensemble_data", member_shards=2, data_shards=2)


def need(case: Case, of: Room) -> Need:
    """What a case needs in a room."""
    return of.need(case, lookup.shapes(case))


@pytest.mark.parametrize("name", ["baseline-cpu", "baseline-scaling-wide-cpu", "baseline-scaling-wide-4096-cpu"])
def test_what_a_step_takes_is_what_the_compiler_counted_or_more_but_not_twice_that(name: str) -> None:
    wide = [r for r in read(ROOT / "results" / f"{name}.json").cases if r.case.workload == "wide" and r.cost]
    assert wide
    for result in wide:
        assert result.cost is not None
        counted = result.cost.temporary_bytes * result.case.devices
        assert counted <= need(result.case, Room()).passing_bytes <= 2 * counted


def test_all_that_run_asks_of_wide_lasts_in_about_ten_gigabytes() -> None:
    cases = expand(Selection(workloads=("wide",)))
    assert sum(need(case, Room()).lasting_bytes for case in cases) == pytest.approx(10e9, rel=0.05)


@pytest.mark.parametrize(("case", "seen"), [(MANY, 1.24e9), (OVER_FOUR, 2.34e9)])
def test_a_worker_that_waits_takes_what_was_seen_of_one(case: Case, seen: float) -> None:
    # Its private memory (RssAnon) after it was checked and asked; jax 0.10.2 on Linux.
    assert need(case, Room()).lasting_bytes == pytest.approx(seen, rel=0.15)


def test_on_a_card_of_its_own_a_device_has_its_share_and_the_context_of_each_process() -> None:
    whole, shared = need(MANY, Room(on_host=False)), need(OVER_FOUR, Room(on_host=False))
    state = room.state_bytes(MANY, PRESETS["wide"].shapes)
    assert whole.lasting_bytes == room.CONTEXT_BYTES + state
    assert shared.lasting_bytes == room.CONTEXT_BYTES + state / 2  # the members of one of two shards
    assert shared.passing_bytes < whole.passing_bytes


def test_with_its_parts_a_case_takes_more() -> None:
    two = Case(workload="wide", mode="data_parallel", data_shards=2, batch=512)
    alone, apart = (need(two, Room(parts=parts, cores=2)) for parts in (False, True))
    state = room.state_bytes(two, PRESETS["wide"].shapes)
    assert apart.lasting_bytes == alone.lasting_bytes + state + 2 * room.PEAKS_BYTES


def test_a_workload_of_ones_own_counts_as_a_worker() -> None:
    own = Case(workload="own:workload", mode="single")
    assert need(own, Room()) == Need(room.WORKER_BYTES, 0.0)


def test_a_room_holds_so_many_workers_and_leaves_a_share_of_its_memory() -> None:
    small = Need(1.0, 0.0)
    assert Room(3).holds([small] * 3)
    assert not Room(3).holds([small] * 4)
    assert Room(100, 10.0).holds([small] * 8)
    assert not Room(100, 10.0).holds([small] * 9)


def test_as_many_compute_at_once_as_there_are_cores() -> None:
    needs = [Need(1.0, 1.0), Need(1.0, 3.0), Need(1.0, 2.0)]
    assert Room(free_bytes=8 / room.SHARE, cores=2).holds(needs)  # 3 and the two largest, 5
    assert not Room(free_bytes=8 / room.SHARE, cores=3).holds(needs)


def test_what_has_no_place_is_refused_with_what_it_takes_and_what_there_is() -> None:
    need = Need(9e9, 5e9)
    Room(free_bytes=9e9).check(SINGLE, need, [])  # what computing takes besides is known too roughly
    said = "wide/single-1/m1/b512 takes 9.0 GB at least, but 8.0 GB of memory are free here; take fewer members"
    with pytest.raises(UsageError, match=said):
        Room(free_bytes=8e9).check(SINGLE, need, [])
    with pytest.raises(UsageError, match=r"9\.0 GB at least, and 10\.0 GB with what it is compared with, but 9\.5 GB"):
        Room(free_bytes=9.5e9).check(SINGLE, need, [Need(1e9, 0.0)])
    with pytest.raises(UsageError, match=r"8\.0 GB of its device are free"):
        Room(free_bytes=8e9, on_host=False).check(SINGLE, need, [])


def test_the_room_is_the_hosts_for_simulated_devices_and_the_devices_else() -> None:
    assert Room.here(CPU, 4, 10**10, None, parts=False) == Room(free_bytes=1e10, cores=4)
    found = Room.here(GPU, 4, 10**11, 8 * 10**10, parts=True)
    assert found == Room(free_bytes=8e10, on_host=False, cores=4, parts=True)
    assert Room.here(GPU, 4, 10**9, None, parts=False).workers == 2  # the host holds no more processes


def test_where_memory_cannot_be_told_the_number_alone_is_bounded() -> None:
    for backend in (CPU, GPU):
        found = Room.here(backend, 4, None, None, parts=False)
        assert (found.workers, found.free_bytes) == (room.WORKERS_AT_ONCE, math.inf)


def test_several_processes_of_a_host_have_a_worker_each_there_and_together_the_arrays_of_their_devices() -> None:
    over = dataclasses.replace(OVER_FOUR, processes=2)
    state = room.state_bytes(OVER_FOUR, PRESETS["wide"].shapes)
    alone, sharing, apart = (
        need(of, Room(machines=machines)) for of, machines in [(OVER_FOUR, (0, 0)), (over, (0, 0)), (over, (0, 1))]
    )
    assert (alone.lasting_bytes, alone.workers) == (room.WORKER_BYTES + state, 1)
    assert (sharing.lasting_bytes, sharing.workers) == (2 * room.WORKER_BYTES + state, 2)
    assert (apart.lasting_bytes, apart.workers) == (room.WORKER_BYTES + state / 2, 1)
    assert sharing.passing_bytes == alone.passing_bytes == 2 * apart.passing_bytes
    on_cards = need(over, Room(on_host=False, machines=(0, 0)))
    assert on_cards.lasting_bytes == need(OVER_FOUR, Room(on_host=False)).lasting_bytes
    assert Room(2).holds([Need(1.0, 0.0, workers=2)])
    assert not Room(2).holds([Need(1.0, 0.0, workers=2), Need(1.0, 0.0)])


def test_the_host_that_has_most_processes_of_a_case_and_least_memory_decides() -> None:
    over = dataclasses.replace(SINGLE, mode="data_parallel", data_shards=3, processes=3)
    assert need(over, Room(machines=(0, 1, 1))).workers == 2
    assert need(dataclasses.replace(over, data_shards=2, processes=2), Room(machines=(0, 1, 1))).workers == 1
