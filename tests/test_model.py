import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toynet.config import Config
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
