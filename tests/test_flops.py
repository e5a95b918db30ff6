"""FLOPs of traced programs: the network's by hand, loops by their iterations, and XLA's count, which sees them once.

By hand, a layer from a to b features takes 2ab operations (a multiplication and an addition for each weight) an
example forward, 2ab more for its weights' gradients, and 2ab more for its inputs', which the first layer has no use
for: 2 * batch * (3 * sum(ab) - ab of the first layer). Biases, activations and the optimizer are no products.
"""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from programs import first_batch, program

from bench import cost
from bench.flops import Flops, counted, factor_dtypes
from toynet.config import Config, preset

WIDE = Config(
    points="gaussian", size=125, features=64, hidden_layers=2, hidden_dim=128, n_classes=10, batch_size=100, epochs=1
)
TUTORIAL = preset("tutorial")
X, W = jnp.ones((8, 16)), jnp.ones((16, 16))
ONCE = 2 * 8 * 16 * 16  # X @ W: 2 operations for each of 8 x 16 results and 16 contracted entries


def by_hand(config: Config) -> int:
    """Products of one step on the whole batch, as at the top of this file."""
    widths = [config.features, *[config.hidden_dim] * config.hidden_layers, config.n_classes]
    layers = [a * b for a, b in itertools.pairwise(widths)]
    return 2 * config.batch_size * (3 * sum(layers) - layers[0])


def of_step(config: Config, mode: str = "single", members: int = 1, mesh: tuple[int, int] = (1, 1)) -> Flops:
    """What is counted of one training step, on one device."""
    bound = program(config, mode, members, mesh)
    step: Any = bound.step
    state = jax.eval_shape(bound.init, bound.keys(0))
    return counted(step.trace(state, bound.padded(first_batch(config))).jaxpr, loops=True)


def of(function: Callable, *args: Any, loops: bool = True) -> Flops:
    """What is counted of a function of arrays."""
    return counted(jax.jit(function).trace(*args).jaxpr, loops=loops)


def xla(function: Callable, *args: Any) -> float:
    """XLA's own count of the same."""
    return (jax.jit(function).lower(*args).compile().cost_analysis() or {}).get("flops", 0.0)


def product(x: jax.Array) -> jax.Array:
    return x @ W


def repeated(x: jax.Array, length: int, unroll: int = 1) -> jax.Array:
    return lax.scan(lambda carry, _: (product(carry), None), x, length=length, unroll=unroll)[0]


@pytest.mark.parametrize(("config", "expected"), [(TUTORIAL, 6400), (WIDE, 13_875_200)], ids=["2-10-2", "wide"])
def test_a_training_step_has_the_products_that_are_counted_by_hand(config: Config, expected: int) -> None:
    # 2-10-2, 32 examples: 64 x (3 x 40 - 20). 64-128-128-10, 100 examples: 200 x (3 x 25,856 - 8,192).
    found = of_step(config)
    assert found.products == by_hand(config) == expected
    assert found.unknown_loops == 0


def test_a_step_divided_over_2_devices_has_half_the_products_on_each() -> None:
    assert of_step(WIDE, "data_parallel", mesh=(1, 2)).products == by_hand(WIDE) / 2


def test_8_members_have_8_times_the_products_and_a_mesh_divides_them() -> None:
    assert of_step(WIDE, "ensemble", 8).products == 8 * by_hand(WIDE)
    assert of_step(WIDE, "ensemble_data", 8, (2, 2)).products == 8 * by_hand(WIDE) / 4


@pytest.mark.parametrize("devices", [1, 2])
def test_the_deterministic_sums_have_the_products_of_the_plain_step(devices: int) -> None:
    # lax.map over 8 chunks of 4 examples, of which each device has its share
    config = preset("tutorial", virtual_shards=8)
    assert of_step(config, "data_parallel", mesh=(1, devices)).products == by_hand(config) / devices


def test_products_and_additions_are_counted_apart() -> None:
    assert of(lambda x: x @ W + 1, X) == Flops(products=ONCE, others=8 * 16)
    assert of(lambda x: x @ W + 1, X).total == ONCE + 8 * 16 == pytest.approx(xla(lambda x: x @ W + 1, X), rel=0.01)


def test_a_scan_counts_as_often_as_it_runs_and_once_for_xla() -> None:
    assert of(lambda x: repeated(x, 10), X) == Flops(products=10 * ONCE)
    assert of(lambda x: repeated(x, 10), X, loops=False) == Flops(products=ONCE)
    # If this fails XLA has begun to count loops, and `cost.of` must no longer add what they leave out.
    assert xla(lambda x: repeated(x, 10), X) == pytest.approx(ONCE, rel=0.01)


@pytest.mark.parametrize(("length", "unroll"), [(0, 1), (1, 1), (3, 2), (4, 4), (4, 8), (10, 3), (10, 0)])
def test_iterations_that_are_unrolled_are_counted_as_xla_sees_them(length: int, unroll: int) -> None:
    assert of(lambda x: repeated(x, length, unroll), X).products == length * ONCE
    once = of(lambda x: repeated(x, length, unroll), X, loops=False).products
    assert once == pytest.approx(xla(lambda x: repeated(x, length, unroll), X), rel=0.01)


def test_scans_within_scans_multiply() -> None:
    def nested(x: jax.Array) -> jax.Array:
        return lax.scan(lambda carry, _: (repeated(carry, 3), None), x, length=5)[0]

    assert of(nested, X).products == 15 * ONCE
    assert of(nested, X, loops=False).products == ONCE == pytest.approx(xla(nested, X), rel=0.01)


def test_the_gradient_of_a_scan_has_a_product_forward_and_one_backward_in_each_iteration() -> None:
    gradient = jax.grad(lambda x: repeated(jnp.tanh(x), 10).sum())
    assert of(gradient, X).products == 10 * ONCE  # linear in x: only the transposed products are needed
    curved = jax.grad(lambda x: lax.scan(lambda c, _: (jnp.tanh(c @ W), None), x, length=10)[0].sum())
    assert of(curved, X).products == 20 * ONCE


def test_a_loop_of_known_length_counts_all_iterations_and_one_of_unknown_length_is_flagged() -> None:
    known = of(lambda x: lax.fori_loop(0, 10, lambda _, y: product(y), x), X)
    assert (known.products, known.unknown_loops) == (10 * ONCE, 0)
    bounded = of(lambda x, n: lax.fori_loop(0, n, lambda _, y: product(y), x), X, 10)
    assert (bounded.products, bounded.unknown_loops) == (ONCE, 1)
    open_ended = of(lambda x: lax.while_loop(lambda y: y.sum() < 9, lambda y: repeated(y, 4), x), X)
    assert (open_ended.products, open_ended.unknown_loops) == (4 * ONCE, 1)
    assert open_ended.others == 8 * 16 - 1 + 1  # the condition: a sum of 128 elements, a comparison


def test_of_branches_the_dearest_counts_and_every_unknown_loop_is_flagged() -> None:
    def loop(x: jax.Array) -> jax.Array:
        return lax.while_loop(lambda y: y.sum() < 9, lambda y: y + 1, x)

    def switched(i: int, x: jax.Array) -> jax.Array:
        return lax.switch(i, [loop, product, lambda y: product(product(y))], x)

    found = of(switched, 0, X)
    assert (found.products, found.unknown_loops) == (2 * ONCE, 1)


@jax.custom_vjp
def with_a_rule(x: jax.Array) -> jax.Array:
    return product(x)


with_a_rule.defvjp(lambda x: (product(x), None), lambda _, g: (product(product(g)),))


@jax.custom_jvp
def with_a_tangent(x: jax.Array) -> jax.Array:
    return product(x)


with_a_tangent.defjvp(lambda x, t: (product(*x), product(*t)))


@pytest.mark.parametrize(
    ("function", "times"),
    [
        pytest.param(jax.jit(product), 1, id="jit"),
        pytest.param(lambda x: jax.jit(product)(jax.jit(product)(x)), 2, id="jit twice"),
        pytest.param(with_a_rule, 1, id="custom_vjp"),
        pytest.param(jax.grad(lambda x: with_a_rule(x).sum()), 2, id="its gradient"),
        pytest.param(jax.grad(lambda x: jnp.tanh(with_a_rule(x)).sum()), 3, id="its value and gradient"),
        pytest.param(with_a_tangent, 1, id="custom_jvp"),
        pytest.param(jax.checkpoint(product), 1, id="checkpoint"),
        # forward, again, and backward; the last result need not be made again
        pytest.param(jax.grad(lambda x: jax.checkpoint(lambda y: jnp.sin(jnp.sin(y @ W) @ W))(x).sum()), 4, id="remat"),
        pytest.param(lambda x: lax.map(lambda row: row @ W, x), 1, id="map over rows"),
        pytest.param(jax.vmap(lambda row: row @ W), 1, id="vmap over rows"),
        pytest.param(lambda x: (product(x), product(product(x)))[0], 1, id="without what nothing depends on"),
        pytest.param(lambda x: jax.jit(lambda y: (y @ W, y @ (W + 1)))(x)[0], 1, id="nor in what is called"),
    ],
)
def test_products_are_found_wherever_they_are(function: Callable, times: int) -> None:
    assert of(function, X).products == times * ONCE


@pytest.mark.parametrize(
    ("sizes", "options"),
    [
        pytest.param((3, 3), {"window_strides": (1, 1), "padding": "SAME"}, id="padded"),
        pytest.param((3, 3), {"window_strides": (2, 2), "padding": "VALID"}, id="with strides"),
        pytest.param((3, 3), {"window_strides": (2, 1), "padding": "SAME", "rhs_dilation": (2, 2)}, id="dilated"),
        pytest.param(
            (1, 6), {"window_strides": (1, 1), "padding": "SAME", "feature_group_count": 3}, id="of feature groups"
        ),
    ],
)
def test_a_convolution_and_its_gradients_cost_what_xla_counts(sizes: tuple[int, int], options: dict[str, Any]) -> None:
    def convolved(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(x, kernel, **options)

    args = jnp.ones((2, 3, 9, 8)), jnp.ones((sizes[1], sizes[0], 3, 3))
    gradients = jax.grad(lambda *args: convolved(*args).sum(), (0, 1))
    for function in (convolved, gradients):
        found = of(function, *args)
        assert found == Flops(products=found.total)
        assert found.total == pytest.approx(xla(function, *args), rel=0.01)


def test_a_convolution_is_counted_by_hand() -> None:
    # 2 images, 4 filters of 3 channels; of 7 x 6 results each takes 3 x 3 entries of the input.
    args = jnp.ones((2, 3, 9, 8)), jnp.ones((4, 3, 3, 3))
    found = of(lambda x, kernel: lax.conv_general_dilated(x, kernel, (1, 1), "VALID"), *args)
    assert found == Flops(products=2 * (2 * 4 * 3) * (7 * 3) * (6 * 3))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * 2,
        lambda x: jnp.where(x > 0, x, 3 - x),
        lambda x: x.sum(0),
        lambda x: x.max(1),
        lambda x: lax.reduce(x, jnp.float32(0), lambda a, b: a * b + a, (1,)),
        lambda x: x.astype(jnp.int32),
        jnp.exp,  # transcendental: none
        jnp.transpose,
    ],
)
def test_other_arithmetic_is_counted_as_xla_counts_it(function: Callable) -> None:
    found = of(function, X + 1)
    assert found == Flops(others=found.total)
    assert found.total == pytest.approx(xla(function, X + 1), rel=0.01)


def test_a_power_takes_squares_and_their_products() -> None:
    assert of(lambda x: x**7, X).others == 4 * 128  # x^2, x^4, x * x^2, * x^4
    assert of(lambda x: x**-3, X).others == 3 * 128  # x^2, x * x^2, and the inverse


def test_corrected_flops_of_a_scanned_program_are_those_of_its_steps() -> None:
    bound = program(WIDE)
    state = jax.eval_shape(bound.init, bound.keys(0))
    batches = jax.tree.map(lambda leaf: np.stack([leaf] * 10), first_batch(WIDE))
    step = jax.jit(bound.workload.step).trace(state, first_batch(WIDE))
    scan = jax.jit(lambda state, batches: lax.scan(bound.workload.step, state, batches)).trace(state, batches)
    once = cost.of(step.lower().compile(), step.jaxpr)
    compiled = scan.lower().compile()
    corrected = cost.of(compiled, scan.jaxpr)
    # XLA adds arithmetic where it fuses, in a loop as outside, that a jaxpr doesn't show: 0.2% on jax 0.10.
    assert corrected.flops == pytest.approx(10 * once.flops, rel=0.02)
    assert cost.of(compiled).flops == pytest.approx(once.flops, rel=0.02)  # uncorrected
    assert corrected.product_flops == 10 * once.product_flops == 10 * by_hand(WIDE)


def test_a_cost_without_a_jaxpr_or_without_loops_is_xlas() -> None:
    traced = jax.jit(product).trace(X)
    compiled = traced.lower().compile()
    assert cost.of(compiled).flops == cost.of(compiled, traced.jaxpr).flops == pytest.approx(ONCE, rel=0.01)
    assert cost.of(compiled).product_flops == 0
    assert cost.of(compiled, traced.jaxpr).product_flops == ONCE


def test_a_loop_of_unknown_length_is_in_the_cost() -> None:
    traced = jax.jit(lambda x: lax.while_loop(lambda y: y.sum() < 9, product, x)).trace(X)
    assert cost.of(traced.lower().compile(), traced.jaxpr).unknown_loops == 1


def test_the_dtypes_of_factors_are_found_in_inner_programs_too() -> None:
    def mixed(x: jax.Array) -> jax.Array:
        def coarse(carry: jax.Array, _: None) -> tuple[jax.Array, None]:
            return (carry.astype(jnp.bfloat16) @ W.astype(jnp.bfloat16)).astype(jnp.float32), None

        return jax.lax.scan(coarse, x, length=2)[0] @ W + jnp.ones((), jnp.float16)

    assert factor_dtypes(jax.jit(mixed).trace(X).jaxpr) == {"bfloat16", "float32"}
    assert factor_dtypes(jax.jit(jnp.sin).trace(X).jaxpr) == set()
