"""Collectives read from XLA's text; lines as XLA for CPU, GPU and TPU prints them, sizes worked out by hand."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.sharding import PartitionSpec as P

from bench import cost
from bench.cost import Operation, Shape, operations
from bench.measured import Collective
from toynet import modes
from toynet.config import preset
from toynet.errors import UsageError
from toynet.mesh import DATA, make_mesh
from toynet.modes import Layout
from toynet.program import bind
from toynet.train import training_batches, workload


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(
            "%psum_invariant.7 = f32[55]{0} all-reduce(%fusion), channel_id=1, replica_groups={{0,1,2,3}}, "
            'use_global_device_ids=true, to_apply=%region_15.16, metadata={op_name="jit(step)/psum_invariant"}',
            Collective("all-reduce", 1, 220, 4, 1),  # 55 x 4 bytes
            id="listed groups",
        ),
        pytest.param(
            "  %all-reduce.5 = (f32[10]{0}, f32[2,10]{1,0}, f32[], s32[], f32[3]{0}, /*index=5*/f32[2]{0}) "
            "all-reduce(%a, %b, %c, %d, %e, /*index=5*/%f), channel_id=1, replica_groups=[1,4]<=[4], to_apply=%add",
            Collective("all-reduce", 1, 4 * (10 + 20 + 1 + 1 + 3 + 2), 4, 6),
            id="a tuple with counted elements, iota groups",
        ),
        pytest.param(
            "%r = bf16[16,8]{1,0:T(8,128)(2,1)} all-reduce(%x), replica_groups=[4,2]<=[2,4]T(1,0), to_apply=%add",
            Collective("all-reduce", 1, 2 * 16 * 8, 2, 1),
            id="transposed iota groups, a tiled layout",
        ),
        pytest.param(
            "%r = f32[8]{0} all-reduce(f32[8]{0} %x), replica_groups={{0,2},{1,3}}, to_apply=%add",
            Collective("all-reduce", 1, 32, 2, 1),
            id="several listed groups",
        ),
        pytest.param(
            "%r = f32[8]{0} all-reduce(%x), replica_groups={}, to_apply=%add",
            Collective("all-reduce", 1, 32, 0, 1),
            id="no groups named",
        ),
        pytest.param(
            "%s = f32[100]{0} all-reduce-start(%x), channel_id=1, replica_groups=[1,8]<=[8], to_apply=%add",
            Collective("all-reduce", 1, 400, 8, 1),
            id="a start that gives its results only",
        ),
        pytest.param(
            "%s = (f32[2,4]{1,0}, f32[8,4]{1,0}) all-gather-start(%x), replica_groups=[1,4]<=[4], dimensions={0}",
            Collective("all-gather", 1, 128, 4, 1),
            id="a start that gives its operand, then its result",
        ),
        pytest.param(
            "%s = ((f32[2]{0}, f16[3]{0}), (f32[8]{0}, f16[12]{0})) all-gather-start(%x, %y), "
            "replica_groups=[1,4]<=[4], dimensions={0}",
            Collective("all-gather", 1, 4 * 8 + 2 * 12, 4, 2),
            id="a start of several operands",
        ),
        pytest.param(
            "ROOT %s = f64[4]{0} reduce-scatter(%x), replica_groups={{0,1}}, dimensions={0}, to_apply=%add",
            Collective("reduce-scatter", 1, 32, 2, 1),
            id="the root of its computation",
        ),
        pytest.param(
            "%p = u8[6]{0} collective-permute(%x), source_target_pairs={{0,1},{1,0}}",
            Collective("collective-permute", 1, 6, 0, 1),
            id="pairs instead of groups",
        ),
    ],
)
def test_a_collective_is_read_with_its_bytes_and_its_group(line: str, expected: Collective) -> None:
    assert cost.collectives(f"ENTRY %main {{\n  {line}\n}}") == (expected,)


@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        ("pred", 1),
        ("s8", 1),
        ("u16", 2),
        ("bf16", 2),
        ("f16", 2),
        ("s32", 4),
        ("f32", 4),
        ("u64", 8),
        ("f64", 8),
        ("c64", 8),
        ("c128", 16),
        ("f8e4m3fn", 1),
        ("f8e5m2", 1),
        ("s4", 0.5),
    ],
)
def test_every_dtype_has_its_size(dtype: str, size: float) -> None:
    (found,) = cost.collectives(f"%x = {dtype}[6,2]{{1,0}} all-to-all(%y), replica_groups={{{{0,1}}}}")
    assert found.bytes == 12 * size


@pytest.mark.parametrize(
    "line",
    [
        "%get-tuple-element.3 = f32[2]{0} get-tuple-element(%all-reduce.5), index=1",
        "%done = f32[8]{0} all-reduce-done(%all-reduce-start.1)",
        "%done = f32[8,4]{1,0} all-gather-done(%all-gather-start)",
        "%fusion = f32[8]{0} fusion(%all-reduce.5), kind=kLoop, calls=%fused_computation",
        "%all-reduce-scatter.clone (p: f32[8]) -> f32[2] {",
        "%x = f32[8]{0} add(%a, %b)",
        "",
    ],
)
def test_what_only_uses_or_names_a_collective_is_not_counted(line: str) -> None:
    assert cost.collectives(line) == ()


def test_collectives_of_one_kind_and_group_are_added_up_and_others_kept_apart() -> None:
    hlo = """
    %a = f32[10]{0} all-reduce(%x), replica_groups={{0,1,2,3}}, to_apply=%add
    %b = f32[5]{0} all-reduce(%y), replica_groups=[1,4]<=[4], to_apply=%add
    %c = f32[5]{0} all-reduce(%z), replica_groups={{0,1},{2,3}}, to_apply=%add
    %d = f32[5]{0} all-gather(%z), replica_groups={{0,1},{2,3}}, dimensions={0}
    """
    assert cost.collectives(hlo) == (
        Collective("all-gather", 1, 20, 2, 1),
        Collective("all-reduce", 1, 20, 2, 1),
        Collective("all-reduce", 2, 60, 4, 2),
    )


def test_a_compiled_product_costs_what_it_must() -> None:
    # (8, 16) x (16, 4): 2 x 8 x 16 x 4 operations; arguments of 4 x (128 + 64) bytes, a result of 4 x 32.
    product = jax.jit(jnp.matmul).lower(jnp.ones((8, 16)), jnp.ones((16, 4))).compile()
    found = cost.of(product)
    assert found.flops == pytest.approx(1024, rel=0.05)  # XLA's count, of which some versions add a few
    assert (found.argument_bytes, found.output_bytes) == (768, 128)
    assert found.collectives == ()
    assert found.peak_bytes == 768 + 128 + found.temporary_bytes


def test_data_parallel_over_4_devices_reduces_each_gradient_and_the_metrics_once() -> None:
    # The tutorial's network (2-10-2) has 52 parameters; with them are reduced the loss, the accuracy and the
    # count of examples: 55 float32 at least, in one collective or a few.
    config = preset("tutorial", size=100)
    layout = Layout(batch=32, data_shards=4)
    program = bind(workload("tutorial", config), modes.MODES["data_parallel"], layout)
    batch = program.place(jax.tree.map(lambda leaf: leaf[0], training_batches(config)))
    step: Any = program.step
    compiled = step.lower(program.init(program.keys(0)), batch).compile()
    found = cost.of(compiled).collectives
    assert {(collective.kind, collective.group_size) for collective in found} == {("all-reduce", 4)}
    assert 4 * 52 <= sum(collective.bytes for collective in found) <= 4 * 60


def test_groups_named_by_the_axes_of_a_mesh_have_the_size_of_those_axes() -> None:
    # As jax 0.12 writes them, from the compiled step of ensemble_data on 4 x 2 devices.
    line = (
        "  %all-reduce = f32[2]{0} all-reduce(%a), channel_id=1, replica_groups=mesh['members'=4,'data'=2] {'data'}, x"
    )
    assert [(c.kind, c.group_size, c.bytes) for c in cost.collectives(line)] == [("all-reduce", 2, 8)]


F32 = functools.partial(Shape, "float32")


@pytest.mark.parametrize(
    ("line", "expected", "operands"),
    [
        pytest.param(
            "%r = (f32[2,3]{1,0}, /*index=1*/bf16[4]{0:T(8,128)(2,1)}, s32[]) all-reduce(%a, %b, %c), "
            "replica_groups={{0,1,2,3}}, to_apply=%add",
            Operation("all-reduce", 4, (F32((2, 3)), Shape("bfloat16", (4,)), Shape("int32", ()))),
            (F32((2, 3)), Shape("bfloat16", (4,)), Shape("int32", ())),
            id="several operands, tiled layouts",
        ),
        pytest.param(
            "%s = (f32[2]{0}, pred[3]{0}) all-reduce-start(%x, %y), replica_groups=[1,8]<=[8], to_apply=%add",
            Operation("all-reduce", 8, (F32((2,)), Shape("bool", (3,)))),
            (F32((2,)), Shape("bool", (3,))),
            id="a start that gives its results only",
        ),
        pytest.param(
            "%g = f32[2,8]{1,0} all-gather(f32[2,4]{1,0} %x), channel_id=1, "
            "replica_groups=mesh['members'=4,'data'=2] {'data'}, dimensions={1}, use_global_device_ids=true",
            Operation("all-gather", 2, (F32((2, 8)),), 1),
            (F32((2, 4)),),
            id="an operand in print, groups by a mesh's axes",
        ),
        pytest.param(
            "%s = (f32[2,4]{1,0}, f32[8,4]{1,0}) all-gather-start(%x), replica_groups=[1,4]<=[4], dimensions={0}, "
            'backend_config={"collective_backend_config":{"is_sync":false}}',
            Operation("all-gather", 4, (F32((8, 4)),), 0),
            (F32((2, 4)),),
            id="a GPU's start",
        ),
        pytest.param(
            "%s = ((f32[2]{0}, f16[3]{0}), (f32[8]{0}, f16[12]{0})) all-gather-start(%x, %y), "
            "replica_groups=[1,4]<=[4], dimensions={0}",
            Operation("all-gather", 4, (F32((8,)), Shape("float16", (12,))), 0),
            (F32((2,)), Shape("float16", (3,))),
            id="a start of several operands",
        ),
        pytest.param(
            "%s = ((f32[8,6]{1,0}), f32[8,3]{1,0}, u32[]) reduce-scatter-start(%x), replica_groups={{0,1},{2,3}}, "
            "dimensions={1}, to_apply=%add",
            Operation("reduce-scatter", 2, (F32((8, 3)),), 1),
            (F32((8, 6)),),
            id="a start with what its device needs",
        ),
        pytest.param(
            "%s = (u8[6]{0}, u8[6]{0}, u32[], u32[]) collective-permute-start(%x), source_target_pairs={{0,1},{1,0}}",
            Operation("collective-permute", 0, (Shape("uint8", (6,)),)),
            (Shape("uint8", (6,)),),
            id="a permutation with what its device needs",
        ),
        pytest.param(
            "%a = (f32[2]{0}, f32[2]{0}) all-to-all(%x, %y), replica_groups={{0,1}}",
            Operation("all-to-all", 2, (F32((2,)), F32((2,)))),
            (F32((2,)), F32((2,))),
            id="an operand for each device",
        ),
    ],
)
def test_an_operation_has_all_that_a_program_of_it_needs(
    line: str, expected: Operation, operands: tuple[Shape, ...]
) -> None:
    (found,) = operations(f"ENTRY %main {{\n  {line}\n}}")
    assert found == expected
    assert found.operands == operands


def test_operands_that_depend_on_unnamed_groups_are_refused() -> None:
    (found,) = operations("%g = f32[8]{0} all-gather(%x), replica_groups={}, dimensions={0}")
    with pytest.raises(UsageError, match="all-gather"):
        _ = found.operands


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint32", "bfloat16", "float16", "float32", "complex64", "float8_e4m3fn"]
)
def test_a_shape_has_numpys_name_of_its_dtype_and_its_bytes(dtype: str) -> None:
    compiled = jax.jit(lambda x: x).lower(jnp.zeros((6, 2), dtype)).compile()
    text = compiled.as_text()
    assert text is not None
    hlo = text.split("->")[1].split("{")[0]  # the layout of the result, as XLA writes it
    (found,) = operations(f"%x = {hlo} all-to-all(%y), replica_groups={{{{0,1}}}}")[0].results
    assert found == Shape(dtype, (6, 2))
    assert found.bytes == 12 * jnp.dtype(dtype).itemsize


def on_devices(devices: int, function: Callable, *args: Any) -> tuple[Operation, ...]:
    """The operations of a function that is run on the halves, quarters, ... of its arguments' first axis."""
    sharded = jax.shard_map(function, mesh=make_mesh(1, devices), in_specs=P(DATA), out_specs=P(DATA))
    return operations(jax.jit(sharded).lower(*args).compile().as_text() or "")


@pytest.mark.parametrize("n", [2, 4])
def test_the_sum_of_a_tree_is_read_from_a_compiled_program(n: int) -> None:
    tree = {"a": jnp.ones((4 * n, 3)), "b": jnp.ones(2 * n), "c": jnp.ones((n, 5), jnp.int32)}
    found = on_devices(n, lambda tree: jax.tree.map(lambda leaf: leaf + lax.psum(leaf, DATA), tree), tree)
    assert {(o.kind, o.group_size, o.dimension) for o in found} == {("all-reduce", n, None)}
    results = [result for o in found for result in o.results]  # in one operation or several, as XLA likes
    assert sorted(results, key=str) == sorted([F32((4, 3)), F32((2,)), Shape("int32", (1, 5))], key=str)
    assert [operand for o in found for operand in o.operands] == results


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("axis", [0, 1])
def test_what_is_gathered_and_scattered_is_read_from_a_compiled_program(n: int, axis: int) -> None:
    whole, part = [(8, 3 * n), (8, 3)] if axis else [(8 * n, 3), (8, 3)]
    x = jnp.ones((8 * n, 3))
    (gather,) = on_devices(n, lambda x: lax.all_gather(x, DATA, axis=axis, tiled=True), x)
    assert gather == Operation("all-gather", n, (F32(whole),), axis)
    assert gather.operands == (F32(part),)
    x = jnp.ones((n * whole[0], whole[1]))
    (scatter,) = on_devices(n, lambda x: lax.psum_scatter(x, DATA, scatter_dimension=axis, tiled=True), x)
    assert scatter == Operation("reduce-scatter", n, (F32(part),), axis)
    assert scatter.operands == (F32(whole),)


def test_instructions_are_what_the_entry_runs_and_not_what_names_it() -> None:
    hlo = """HloModule jit_step

%fused_computation (p: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  ROOT %exp = f32[8]{0} exponential(%p)
}

ENTRY %main.9 (a.1: f32[8], b.1: f32[8,8]) -> (f32[8], f32[8]) {
  %a.1 = f32[8]{0} parameter(0), metadata={op_name="call(x)"}
  %b.1 = f32[8,8]{1,0:T(8,128)} parameter(1)
  %zero = f32[] constant(0)
  %dot.1 = f32[8]{0} dot(%b.1, %a.1), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  %pair = (f32[8]{0}, /*index=1*/s32[8]{0}) fusion(%dot.1), kind=kLoop, calls=%fused_computation
  %first = f32[8]{0} get-tuple-element(%pair), index=0
  %sent = f32[8]{0} all-reduce-start(%first), replica_groups={{0,1}}, to_apply=%add
  %summed = f32[8]{0} all-reduce-done(%sent)
  %same = f32[8]{0} bitcast(%summed)
  ROOT %both = (f32[8]{0}, f32[8]{0}) tuple(%same, %first)
}
"""
    assert cost.instructions(hlo) == 3  # dot, fusion, all-reduce-start
    assert cost.instructions("") == 0


def test_a_compiled_step_has_instructions() -> None:
    compiled = jax.jit(lambda a, b: jnp.sin(a @ b) @ b).lower(jnp.ones((64, 64)), jnp.ones((64, 64))).compile()
    assert 2 <= cost.of(compiled).instructions <= 4  # two products and a sine, which may be fused into one of them
