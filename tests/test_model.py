import functools
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toynet import train
from toynet.config import PRESETS, Config, preset
from toynet.data import Batch
from toynet.model import MLPClassifier
from toynet.train import model


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_any_depth_gives_log_probabilities_of_any_leading_shape(layers: int) -> None:
    network = MLPClassifier(hidden_layers=layers, hidden_dim=5, n_classes=3)
    inputs = jax.random.normal(jax.random.key(0), (4, 6, 2))
    params = network.init(jax.random.key(1), inputs)
    log_probs = network.apply(params, inputs)
    assert isinstance(log_probs, jax.Array)
    chex.assert_shape(log_probs, (4, 6, 3))
    # Softmax in float32: a few roundings of 6e-8.
    np.testing.assert_allclose(jnp.exp(log_probs).sum(axis=-1), 1, atol=1e-6)
    assert set(params["params"]) == {f"Dense_{i}" for i in range(layers + 1)}


@pytest.mark.parametrize("config", [Config(), Config(hidden_layers=0), Config(hidden_layers=3, hidden_dim=7)])
def test_the_configuration_counts_the_parameters_of_its_network(config: Config) -> None:
    params = model(config).init(jax.random.key(0), jnp.zeros((1, config.features)))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == config.parameters


def test_parameters_and_outputs_are_float64_where_asked_for() -> None:
    with jax.enable_x64(True):
        network = model(Config(dtype="float64"))
        params = network.init(jax.random.key(0), jnp.zeros((1, 2)))
        chex.assert_type(jax.tree.leaves((params, network.apply(params, jnp.zeros((1, 2))))), jnp.float64)


def lowered(config: Config) -> str:
    """A training step on 4 examples as JAX hands it to the compiler; nothing is computed."""
    shape = jax.ShapeDtypeStruct
    batch = Batch(shape((4, config.features), config.dtype), shape((4,), "int32"), shape((4,), config.dtype))
    return jax.jit(functools.partial(train.step, config)).lower(abstract_state(config), batch).as_text()


def abstract_state(config: Config) -> train.TrainState:
    """Shapes and dtypes of the state before the first step."""
    return jax.eval_shape(lambda: train.init(config, jax.random.PRNGKey(0)))


def dtypes(operation: str, text: str) -> list[set[str]]:
    """The dtypes of operands and results of each such operation."""
    lines = re.findall(rf"stablehlo\.{operation} .* : (.*)", text)
    return [set(re.findall(r"[x<]([a-z]+\d+)>", line)) for line in lines]


@pytest.mark.parametrize(("products", "short"), [("bfloat16", "bf16"), ("float32", "f32")])
def test_layers_multiply_in_the_compute_dtype_and_the_loss_stays_in_float32(products: str, short: str) -> None:
    text = lowered(preset("xl", compute_dtype=products))
    # Of 5 layers: forward, the gradient of the weights, and of the inputs but the first layer's.
    assert dtypes("dot_general", text) == [{short}] * 14
    assert dtypes("exponential", text)
    assert all(found == {"f32"} for name in ("exponential", "log", "sqrt") for found in dtypes(name, text))


def test_xl_has_float32_parameters_and_moments_of_its_layers_shapes() -> None:
    state = abstract_state(PRESETS["xl"])
    kernels = [leaf for leaf in jax.tree.leaves(state.params) if len(leaf.shape) == 2]
    assert [kernel.shape for kernel in kernels] == [(1024, 8192), *[(8192, 8192)] * 3, (8192, 10)]
    assert sum(leaf.size for leaf in jax.tree.leaves(state.params)) == PRESETS["xl"].parameters
    assert {leaf.dtype for leaf in jax.tree.leaves((state.params, state.opt_state)) if leaf.shape} == {
        jnp.dtype("float32")
    }


def test_bfloat16_products_give_float32_log_probabilities_a_few_of_its_roundings_away() -> None:
    exact, coarse = (preset("small", compute_dtype=dtype) for dtype in ("float32", "bfloat16"))
    params = train.init(exact, jax.random.PRNGKey(0)).params
    chex.assert_trees_all_equal(params, train.init(coarse, jax.random.PRNGKey(0)).params)
    inputs = train.training_batches(exact).inputs[0]
    expected, found = (train.log_probabilities(config, params, inputs) for config in (exact, coarse))
    assert found.dtype == jnp.float32
    off = float(jnp.abs(found - expected).max() / jnp.abs(expected).max())
    assert 1e-4 < off < 4 * 2**-8  # a rounding to 8 bits in each of two layers
