"""Which cases are alive at once: each with what it is compared with."""

from __future__ import annotations

import dataclasses
import random

import pytest

from bench.cases import Case, Selection, expand
from bench.room import Room
from bench.turns import Turns, references
from toynet.errors import UsageError

SINGLE = Case(workload="tutorial", mode="single")
ENSEMBLE = Case(workload="tutorial", mode="ensemble", members=8)
TWO = Case(workload="tutorial", mode="data_parallel", data_shards=2)
TWO_EQUAL = dataclasses.replace(TWO, deterministic=True)
MESH = Case(workload="tutorial", mode="ensemble_data", member_shards=2, members=8)


def test_a_case_is_compared_with_single_of_its_batch_and_with_the_plain_sums() -> None:
    other = dataclasses.replace(SINGLE, batch=64)
    found = references([other, TWO_EQUAL, TWO, ENSEMBLE, SINGLE, MESH], scaling=False)
    assert found == {
        SINGLE: (),
        other: (),
        ENSEMBLE: (SINGLE,),
        TWO: (SINGLE,),
        TWO_EQUAL: (SINGLE, TWO),
        MESH: (SINGLE,),
    }


def test_what_was_not_chosen_is_no_reference() -> None:
    assert references([TWO, ENSEMBLE], scaling=False) == {TWO: (), ENSEMBLE: ()}


def test_with_scaling_a_case_comes_with_the_one_device_it_scales_from_and_that_with_its_single() -> None:
    weak = dataclasses.replace(TWO, batch=64)
    wider = dataclasses.replace(MESH, members=16)
    found = references([SINGLE, ENSEMBLE, TWO, weak, MESH, wider], scaling=True)
    assert found[TWO] == found[weak] == (SINGLE,)
    assert found[MESH] == found[wider] == (SINGLE, ENSEMBLE)


def test_where_all_fit_there_is_one_turn() -> None:
    cases = expand(Selection(workloads=("tutorial",)))
    (turn,) = Turns(cases, Room())(cases)
    assert set(turn) == set(cases)


@pytest.mark.parametrize("seed", range(5))
def test_each_case_has_one_turn_with_its_references_within_the_bound(seed: int) -> None:
    cases = expand(Selection(workloads=("wide",), batch=(512, 1024, 2048, 4096), deterministic=True))
    drawn = random.Random(seed).sample(cases, len(cases))
    turns = Turns(cases, room := Room(10, 12e9, cores=2))
    wanted = references(cases, scaling=False)
    found = turns(drawn)
    brought = {other for others in wanted.values() for other in others}
    for case in cases:
        having = [turn for turn in found if case in turn]
        assert len(having) == 1 or case in brought
        assert any(set(wanted[case]) <= set(turn) for turn in having)
    for turn in found:
        assert len(turn) == len(set(turn))
        assert room.holds([turns._needs[case] for case in turn])
    # 4 batches of 17 cases and one `single` again in each turn: 68 in turns of 9 others are 8, and a few are large.
    assert len(found) <= 14


def test_another_order_gives_other_neighbours() -> None:
    cases = [SINGLE, *(dataclasses.replace(ENSEMBLE, members=n) for n in range(2, 12))]
    turns = Turns(cases, Room(4))
    drawn = [turns(random.Random(seed).sample(cases, len(cases))) for seed in range(5)]
    assert len({frozenset(map(frozenset, turn)) for turn in drawn}) > 1
    assert all(SINGLE in turn for one in drawn for turn in one)


def test_what_fits_only_alone_has_a_turn_of_its_own_with_its_references() -> None:
    large = Case(workload="wide", mode="ensemble", members=64, batch=512)
    cases = [dataclasses.replace(large, mode="single", members=1), large, dataclasses.replace(large, members=8)]
    # 1.5 GB last and 1.4 GB pass: more than the share of 3 GB that may be used.
    found = Turns(cases, Room(free_bytes=3e9))(cases)
    assert [cases[0], large] in [sorted(turn, key=cases.index) for turn in found]
    assert len(found) == 2


def test_what_cannot_lie_beside_its_references_is_refused_unless_it_need_not() -> None:
    large = Case(workload="wide", mode="ensemble", members=64, batch=512)  # 1.2 GB last, and 0.3 GB of `single`
    cases = [dataclasses.replace(large, mode="single", members=1), large]
    with pytest.raises(UsageError, match=r"ensemble-1/m64/b512 takes 1\.2 GB at least, and 1\.5 GB with what"):
        Turns(cases, Room(free_bytes=1.3e9))
    Turns(cases, Room(free_bytes=1.3e9), exclusive=True)


def test_cases_that_are_left_take_turns_among_themselves() -> None:
    turns = Turns([SINGLE, ENSEMBLE, TWO], Room(2))
    assert turns([ENSEMBLE, TWO]) == [[ENSEMBLE, TWO]]
