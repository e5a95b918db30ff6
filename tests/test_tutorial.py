"""Every number that the tutorial prints, from tests/golden/tutorial.json (copied from its published page)."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from programs import first_batch, program

from toynet import fit, paths, train
from toynet.config import PRESETS, preset
from toynet.data import nested_classes, split, torch_permutation, train_and_test

GOLDEN = json.loads((Path(__file__).parent / "golden" / "tutorial.json").read_text())
TUTORIAL = PRESETS["tutorial"]


@pytest.fixture(
    scope="module",
    params=[
        ("single", paths.PLAIN),
        ("single", paths.Path(product="broadcast")),
        ("ensemble", paths.Path(block=1, chunk=8)),
    ],
    ids=["plain", "broadcast", "lanes"],
)
def run(request: pytest.FixtureRequest) -> tuple[list[train.Metrics], float]:
    """Metrics of each epoch's last batch, and the accuracy on the test set, on every path."""
    mode, path = request.param
    bound = program(TUTORIAL, mode, path=path)
    test = train_and_test(TUTORIAL)[1]
    metrics, state = [], None
    with train.threefry(TUTORIAL):
        batches = train.training_batches(TUTORIAL)
        for latest, last in fit.epochs(bound, TUTORIAL.seed, batches, TUTORIAL.epochs, at_once=30):
            metrics += [train.Metrics(*each) for each in zip(*map(np.ravel, last), strict=True)]
            state = latest
    assert state is not None
    decision = fit.decide(TUTORIAL, fit.trained(bound, state), test.inputs)
    return metrics, float((decision.mean == test.labels).mean())


def first_loss(config: Any) -> tuple[train.Metrics, np.ndarray]:
    """Metrics and log-probabilities of the first batch before the first step."""
    batch = first_batch(config)
    with train.threefry(config):
        state = train.init(config, jax.random.PRNGKey(config.seed))
    return train.evaluate(config, state, batch), np.array(train.log_probabilities(config, state.params, batch.inputs))


def test_the_preset_has_the_tutorials_settings() -> None:
    expected = dict(GOLDEN["settings"])
    assert expected.pop("train") == TUTORIAL.train_size
    assert expected.pop("test") == TUTORIAL.size - TUTORIAL.train_size
    assert expected.pop("optimizer") == "adam"
    assert expected.pop("shuffle") is False
    assert expected.pop("jax_threefry_partitionable") is (TUTORIAL.threefry == "partitionable")
    config = dataclasses.asdict(TUTORIAL)
    assert {name: config[name] for name in expected} == expected


def test_the_permutation_is_torchs() -> None:
    assert torch_permutation(1000, 42)[:10].tolist() == GOLDEN["permutation_head"]
    inputs, _ = nested_classes(1000, 42)
    np.testing.assert_array_equal(
        split(nested_classes(1000, 42), 42)[0].inputs[:10], inputs[GOLDEN["permutation_head"]]
    )


def test_the_first_batch_gives_the_printed_loss_accuracy_labels_predictions_and_logits() -> None:
    golden = GOLDEN["first_batch"]
    metrics, logits = first_loss(TUTORIAL)
    assert f"{metrics.loss:.4f}" == f"{golden['loss']:.4f}"
    assert f"{metrics.accuracy:.4f}" == f"{golden['accuracy']:.4f}"
    assert first_batch(TUTORIAL).labels.tolist() == golden["labels"]
    assert logits.argmax(axis=1).tolist() == golden["predicted"]
    # They are printed to 8 digits, and another machine's float32 rounds otherwise.
    np.testing.assert_allclose(logits, golden["logits"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("golden", GOLDEN["epochs"], ids=lambda golden: f"epoch {golden['epoch']}")
def test_each_printed_epoch_comes_out_to_four_decimals(
    run: tuple[list[train.Metrics], float], golden: dict[str, Any]
) -> None:
    metrics = run[0][golden["epoch"]]
    assert f"{metrics.loss:.4f}" == f"{golden['last_batch_loss']:.4f}"
    assert f"{metrics.accuracy:.4f}" == f"{golden['last_batch_accuracy']:.4f}"


def test_the_accuracy_on_the_test_set_comes_out(run: tuple[list[train.Metrics], float]) -> None:
    assert len(run[0]) == GOLDEN["settings"]["epochs"]
    assert f"{run[1]:.4f}" == f"{GOLDEN['test_accuracy']:.4f}"


def test_todays_random_bits_give_other_weights() -> None:
    """0.4922 is what the tutorial's code gives on the first batch with JAX's present default."""
    metrics, _ = first_loss(preset("tutorial", threefry="partitionable"))
    assert f"{metrics.loss:.4f}" == "0.4922"


@pytest.mark.parametrize("before", [True, False])
def test_the_random_bits_are_chosen_for_a_block_only(before: bool) -> None:
    with jax.threefry_partitionable(before):
        for name in ("legacy", "partitionable"):
            with train.threefry(preset("tutorial", threefry=name)):
                assert jax.threefry_partitionable.value is (name == "partitionable")
            assert jax.threefry_partitionable.value is before
