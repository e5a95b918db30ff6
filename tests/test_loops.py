"""Programs of collectives alone: that they hold what they should, and can't be optimised away."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

from bench import cost, loops
from bench.cost import Operation, Shape
from toynet.mesh import make_mesh

REDUCE = Operation("all-reduce", 2, (Shape("float32", (5, 3)), Shape("float32", ())))
GATHER = Operation("all-gather", 2, (Shape("float32", (6, 4)),), 0)
SCATTER = Operation("reduce-scatter", 2, (Shape("float32", (3, 4)),), 0)
TO_ALL = Operation("all-to-all", 2, (Shape("float32", (4, 3)),), 0)


@pytest.mark.parametrize("operations", [[REDUCE], [GATHER], [SCATTER], [TO_ALL], [REDUCE, GATHER, SCATTER]])
def test_a_program_of_collectives_has_those_and_no_others(operations: list[Operation]) -> None:
    loop = loops.collectives(operations, make_mesh(1, 2))
    there, wanted = (cost.summed(found) for found in (cost.operations(loop.compiled.as_text()), operations))
    # An array to all may be compiled as a tuple of its parts.
    assert [dataclasses.replace(one, arrays=0) for one in there] == [
        dataclasses.replace(one, arrays=0) for one in wanted
    ]


def test_beside_another_axis_the_groups_are_those_of_the_data() -> None:
    loop = loops.collectives([REDUCE], make_mesh(2, 2))
    assert [one.group_size for one in cost.operations(loop.compiled.as_text())] == [2]


@pytest.mark.parametrize("operation", [REDUCE, GATHER, SCATTER, TO_ALL])
def test_small_ones_have_next_to_nothing_to_carry(operation: Operation) -> None:
    loop = loops.collectives(loops.small([operation]), make_mesh(1, 2))
    (found,) = cost.operations(loop.compiled.as_text())
    assert found.kind == operation.kind
    assert all(result.bytes <= 16 for result in found.results)
    assert len(found.results) >= len(operation.results)


def test_what_comes_out_goes_in_again() -> None:
    loop = loops.collectives([REDUCE, GATHER, SCATTER], make_mesh(1, 2))
    shapes = jax.tree.map(lambda leaf: leaf.shape, loop.first)
    once = loop.run(loop.first, 3)
    twice = loop.run(once, 1)
    assert jax.tree.map(lambda leaf: leaf.shape, twice) == shapes
    assert all(np.all(np.asarray(leaf) == 0) for leaf in jax.tree.leaves(twice))


def test_products_neither_grow_nor_vanish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(loops.PRODUCT_SIDE, "cpu", 64)
    loop, flops = loops.product(make_mesh(1, 2), "float32")
    values, _ = jax.block_until_ready(loop.run(loop.first, 1000))
    assert flops == 2 * 64**3
    assert np.linalg.norm(values[0]) == pytest.approx(8, rel=1e-3)  # of an orthogonal matrix with 64 rows


def test_a_stream_reads_and_writes_every_number_on_every_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(loops.STREAM_ENTRIES, "cpu", 1000)
    loop, moved = loops.stream(make_mesh(1, 2))
    values, _ = loop.run(loop.first, 3)
    assert values.shape == (2, 1000)
    assert moved == 2 * 4 * 1000
    assert np.all(np.asarray(values) == 1)
