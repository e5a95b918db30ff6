"""Blocks of two sides in turn."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from bench.measured import Block
from bench.rounds import Round, alternating


class Sides:
    """Whose blocks take that long; the clock is theirs."""

    def __init__(self, *seconds: float) -> None:
        self.now = 0.0
        self.seconds = seconds
        self.asked: list[int] = []

    def ask(self, side: int) -> Block:
        self.asked.append(side)
        self.now += self.seconds[side]
        return Block(10, self.seconds[side])

    def rounds(self, *, fewest: int, seconds: float) -> list[Round]:
        return list(alternating(self.ask, 1, lambda: self.now, fewest=fewest, seconds=seconds))


def test_the_order_is_reversed_each_round_and_the_blocks_stay_with_their_sides() -> None:
    sides = Sides(1.0, 2.0)
    rounds = sides.rounds(fewest=4, seconds=0.0)
    assert sides.asked == [1, 0, 0, 1, 1, 0, 0, 1]
    assert all(one.first != other.first for one, other in pairwise(rounds))
    assert {one.blocks for one in rounds} == {(Block(10, 1.0), Block(10, 2.0))}
    assert {one.asked_s for one in rounds} == {3.0}


@pytest.mark.parametrize(("fewest", "seconds", "count"), [(6, 0.0, 6), (5, 0.0, 6), (2, 30.5, 10), (2, 20.5, 6)])
def test_rounds_are_an_even_number_a_few_at_least_and_more_while_two_fit_in_their_time(
    fewest: int, seconds: float, count: int
) -> None:
    assert len(Sides(1.0, 2.0).rounds(fewest=fewest, seconds=seconds)) == count


def test_the_log_ratio_of_a_round_is_of_step_times_b_over_a() -> None:
    assert Round(0, (Block(10, 1.0), Block(20, 4.0)), 5.0).log == pytest.approx(math.log(2))
