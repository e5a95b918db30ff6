"""The lint of a workload: one tiny workload for each thing that it finds, and some in which it finds nothing."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import io_callback

from bench import imported, lookup
from bench.cases import Case
from bench.lint import checks, subject
from bench.lint.subject import Subject
from bench.measured import Finding
from toynet.workload import Workload

pytestmark = pytest.mark.usefixtures("compiled_once")

N = 6
WIDTH = 3
Step = Callable[..., Any]


def init(key: jax.Array) -> Any:
    return {"w": jax.random.normal(key, (WIDTH,))}


def batch(key: jax.Array, n: int) -> Any:
    return {"x": jax.random.normal(key, (n, WIDTH))}


def step(state: Any, batch: Any, axis_name: str | None = None) -> Any:
    """As every other step here does: the mean of all that comes of the batch, and the state moved by it."""
    return moved(state, mean(batch["x"] @ state["w"], axis_name))


def mean(values: jax.Array, axis_name: str | None) -> jax.Array:
    value = jnp.mean(values)
    return lax.pmean(value, axis_name) if axis_name else value


def moved(state: Any, loss: Any, **more: Any) -> Any:
    return state | {"w": state["w"] - 0.1 * loss}, {"loss": loss, **more}


def workload(**changed: Any) -> Workload:
    return Workload(**{"name": "tiny", "init": init, "batch": batch, "step": step, "batch_size": N} | changed)


def holding(**more: Any) -> Callable[[jax.Array], Any]:
    """An init whose state has more in it."""
    return lambda key: init(key) | more


def traced(of: Workload) -> list[Finding]:
    """What is found without running a step."""
    looked_at = Subject(of, of.batch_size)
    return [one for check in checks.TRACED for one in check(looked_at)]


def the(found: list[Finding], kind: str, severity: str = "warning") -> str:
    """What is said of the only finding, which is of that kind."""
    assert [(one.kind, one.severity) for one in found] == [(kind, severity)], found
    return found[0].said


def test_nothing_is_found_in_a_clean_workload() -> None:
    assert checks.findings(workload()) == ()


def test_nothing_is_found_where_the_state_has_a_typed_random_key() -> None:
    def stirring(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        key, drawn = jax.random.split(state["key"])
        return step(state | {"key": key, "w": state["w"] + jax.random.normal(drawn, (WIDTH,))}, batch, axis_name)

    of = workload(init=lambda key: init(key) | {"key": jax.random.wrap_key_data(key)}, step=stirring)
    assert checks.findings(of) == ()


def test_nothing_is_found_in_the_step_of_the_readme(tmp_path: Path) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    (tmp_path / "own_step_of_the_readme.py").write_text(code, encoding="utf-8")
    assert checks.findings(imported.workload(f"{tmp_path}/own_step_of_the_readme.py")) == ()


def test_nothing_is_found_in_a_preset() -> None:
    assert traced(lookup.workload(Case(workload="tutorial", mode="single"))) == []


def test_nothing_is_found_in_an_example_whose_dropout_has_keys_by_example() -> None:
    assert traced(imported.workload("examples/transformer.py")) == []


def test_a_mode_that_it_refuses_is_told_with_its_reason_and_needs_no_fix() -> None:
    found = traced(workload(refused={"data_parallel": "it sorts", "ensemble_data": "it sorts", "fsdp": "it must"}))
    assert the(found, "mode", "note") == "it isn't measured in data_parallel and ensemble_data: it sorts"


# What changes from step to step.


def test_a_leaf_that_is_weakly_typed_before_the_first_step_only_is_a_retrace() -> None:
    def counting(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        state, metrics = step(state, batch, axis_name)
        return state | {"count": (state["count"] + 1).astype(jnp.int32)}, metrics

    said = the(traced(workload(init=lambda key: init(key) | {"count": 0}, step=counting)), "retrace", "error")
    assert "state['count'] goes into the first step as weakly typed int32[] and comes out as int32[]" in said
    assert "jnp.zeros((), jnp.int32)" in said


def test_a_leaf_that_comes_out_in_another_dtype_is_a_retrace_that_cannot_be_measured() -> None:
    def widening(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        state, metrics = step(state, batch, axis_name)
        return state | {"m": state["m"] + state["w"]}, metrics

    found = traced(workload(init=holding(m=jnp.zeros(WIDTH, jnp.bfloat16)), step=widening))
    said = the(found, "retrace", "error")
    assert "state['m'] goes into the first step as bfloat16[3] and comes out as float32[3]" in said
    assert "buffer can't be used again" in said


def test_a_leaf_that_comes_out_in_another_shape_once_is_a_retrace_and_no_growth() -> None:
    def spreading(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        state, metrics = step(state, batch, axis_name)
        return state | {"m": jnp.full(WIDTH, jnp.mean(state["m"]))}, metrics

    said = the(traced(workload(init=holding(m=jnp.zeros(1)), step=spreading)), "retrace", "error")
    assert "state['m'] goes into the first step as float32[1] and comes out as float32[3]" in said


def test_a_leaf_that_comes_to_the_state_is_a_retrace() -> None:
    def adding(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        return step(state | {"new": state["w"]}, batch, axis_name)

    said = the(traced(workload(step=adding)), "retrace", "error")
    assert "state['new'] goes into the first step as not there and comes out as float32[3]" in said


@partial(jax.tree_util.register_dataclass, data_fields=["w"], meta_fields=["epoch"])
@dataclasses.dataclass
class Counted:
    w: Any
    epoch: int


def test_a_static_value_of_the_state_that_changes_is_a_retrace() -> None:
    def counting(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        after, metrics = step({"w": state["net"].w}, batch, axis_name)
        return {"net": Counted(after["w"], state["net"].epoch + 1)}, metrics

    found = traced(workload(init=lambda key: {"net": Counted(init(key)["w"], 41)}, step=counting))
    said = the(found, "retrace", "error")
    assert "a static value of the state goes into the first step as" in said
    assert "41" in said
    assert "42" in said


def test_leaves_that_change_alike_are_one_finding_that_names_the_first_of_them() -> None:
    def strong(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        state, metrics = step(state, batch, axis_name)
        return state | {name: jnp.asarray(leaf, jnp.int32) + 1 for name, leaf in state.items() if name != "w"}, metrics

    found = traced(workload(init=lambda key: init(key) | dict.fromkeys("abcdef", 0), step=strong))
    assert "state['a'] goes" in the(found, "retrace", "error")
    assert "(so do state['b'], state['c'], state['d'] and 2 more)" in found[0].said


def test_a_leaf_that_has_another_shape_after_every_step_grows() -> None:
    def remembering(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        state, metrics = step(state, batch, axis_name)
        return state | {"seen": jnp.append(state["seen"], metrics["loss"])}, metrics

    said = the(traced(workload(init=holding(seen=jnp.zeros(0)), step=remembering)), "growth", "error")
    assert "state['seen'] grows from step to step, from float32[0] to float32[1] to float32[2] to float32[3]" in said


def test_metrics_with_an_entry_for_each_example_are_large() -> None:
    def telling(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        each = batch["x"] @ state["w"]
        every = lax.all_gather(each, axis_name, tiled=True) if axis_name else each
        return moved(state, mean(each, axis_name), each=every)

    found = traced(workload(step=telling, refused={"data_parallel": "it tells of each example"}))
    said = the([one for one in found if one.kind != "mode"], "metrics")
    assert "metrics['each'] is float32[6], which has an entry for each example of the batch" in said


def test_metrics_as_large_as_the_state_are_large() -> None:
    def telling(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        return moved(state, mean(batch["x"] @ state["w"][:WIDTH], axis_name), gradients=state["w"] * 2)

    found = traced(workload(init=lambda key: {"w": jax.random.normal(key, (1000,))}, step=telling))
    assert "metrics['gradients'] is float32[1000], which is as large as the state" in the(found, "metrics")


def test_a_step_that_is_traced_again_for_no_reason_that_can_be_seen_is_told() -> None:
    of = Subject(workload(), N)
    of.__dict__["ran"] = dataclasses.replace(of.ran, traces=3)
    (found,) = checks.changing.traces(of)
    assert found.message.startswith("the first 3 steps were traced 3 times")


# The host and other devices.


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: jax.debug.print("loss {}", x), "jax.debug.print"),
        (lambda x: jax.debug.callback(print, x), "jax.debug.callback"),
        (lambda x: io_callback(print, None, x), "jax.experimental.io_callback"),
        (lambda x: jax.pure_callback(np.sin, jax.ShapeDtypeStruct((), jnp.float32), x), "jax.pure_callback"),
    ],
)
def test_a_host_callback_is_found_in_whatever_it_is_within_and_told_with_its_line(call: Step, name: str) -> None:
    def calling(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        state, metrics = step(state, batch, axis_name)
        lax.scan(jax.jit(lambda carry, _: (call(metrics["loss"]), carry)[::-1] and (carry, None)), 0, length=2)
        return state, metrics

    said = the(traced(workload(step=calling)), "callback")
    assert re.search(rf"the step calls the host by {name} \(test_lint\.py, line \d+\)", said)


def test_an_array_that_is_put_on_another_device_is_a_transfer() -> None:
    other = jax.devices()[1]
    said = the(traced(workload(init=lambda key: jax.device_put(init(key), other))), "transfer", "error")
    assert "init moves float32[3] to cpu:1 (test_lint.py, line " in said
    assert f"while it runs on {jax.devices()[0]}" in said


def test_an_array_that_is_put_where_the_step_runs_is_all_right() -> None:
    here = jax.devices()[0]
    for place in (None, here, jax.sharding.SingleDeviceSharding(here)):
        assert traced(workload(init=lambda key, place=place: jax.device_put(init(key), place))) == []


def test_an_array_of_another_device_that_the_step_closes_over_is_a_transfer() -> None:
    scale = jax.device_put(jnp.ones(WIDTH), jax.devices()[1])

    def scaled(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        return step(state, {"x": batch["x"] * scale[None]}, axis_name)

    found = traced(workload(step=scaled, refused={"data_parallel": "it lies elsewhere"}))
    said = the([one for one in found if one.kind != "mode"], "transfer")
    assert "step uses an array of float32[3] that lies on cpu:1" in said


@pytest.mark.parametrize("make", [np.ones, jnp.ones])
def test_a_large_array_that_the_step_closes_over_is_compiled_in(make: Any) -> None:
    table = make((250_000,), np.float32)

    def looking_up(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        return step(state, {"x": batch["x"] + jnp.asarray(table)[:WIDTH][None]}, axis_name)

    said = the(traced(workload(step=looking_up)), "constant")
    assert "the step closes over an array of float32[250000], 1.0 MB" in said


def test_a_jit_of_the_users_own_that_does_not_donate_the_state_is_told() -> None:
    jitted = jax.jit(step, static_argnames="axis_name")
    said = the(traced(workload(step=lambda state, batch, axis_name=None: jitted(state, batch, axis_name))), "donation")
    assert "the step is jitted without donating state['w']" in said
    assert "holds them twice (12 bytes more)" in said
    assert "donate_argnums=0" in said


def test_a_jit_of_the_users_own_that_donates_the_state_is_all_right() -> None:
    donating = jax.jit(step, static_argnames="axis_name", donate_argnums=0)
    assert traced(workload(step=lambda state, batch, axis_name=None: donating(state, batch, axis_name))) == []


# Numbers.


def test_an_array_of_numpy_that_jax_cuts_down_is_told() -> None:
    said = the(traced(workload(init=holding(scale=np.ones(WIDTH)))), "float64")
    assert "state['scale'] of init is an array of NumPy of float64[3], of which JAX makes float32, for x64" in said


def test_whole_numbers_that_do_not_fit_are_told_and_others_are_not() -> None:
    found = traced(workload(init=holding(small=np.arange(3), large=np.array([2**40]))))
    assert "state['large'] of init is an array of NumPy of int64[1], of which JAX makes int32" in the(found, "float64")


def test_float64_that_is_asked_for_and_not_to_be_had_is_told_with_its_line() -> None:
    found = traced(workload(batch=lambda key, n: {"x": jnp.ones((n, WIDTH), jnp.float64)}))
    assert re.search(r"batch asks for float64 \(test_lint\.py, line \d+\)", the(found, "float64"))


@pytest.fixture
def x64() -> Any:
    with jax.enable_x64(True):
        yield


@pytest.mark.usefixtures("x64")
def test_with_x64_a_leaf_of_float64_among_others_is_told() -> None:
    def plain(key: jax.Array) -> Any:
        return {"w": jax.random.normal(key, (WIDTH,), jnp.float32), "scale": jnp.ones(WIDTH)}

    narrow = workload(init=plain, batch=lambda key, n: {"x": jax.random.normal(key, (n, WIDTH), jnp.float32)})
    assert "state['scale'] is float64, and state['w'] less" in the(traced(narrow), "float64")


@pytest.mark.usefixtures("x64")
def test_with_x64_the_operation_that_brings_float64_in_is_told_with_its_line() -> None:
    def scaled(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        loss = mean((batch["x"] * np.float64(2.0)) @ state["w"], axis_name).astype(jnp.float32)
        return moved(state, loss)

    narrow = workload(
        init=lambda key: {"w": jax.random.normal(key, (WIDTH,), jnp.float32)},
        batch=lambda key, n: {"x": jax.random.normal(key, (n, WIDTH), jnp.float32)},
        step=scaled,
    )
    said = the(traced(narrow), "float64")
    assert re.search(r"the step makes float64\[6, 3\] of float32\[6, 3\] \(test_lint\.py, line \d+\)", said)


@pytest.mark.usefixtures("x64")
def test_with_x64_a_workload_in_float64_throughout_is_meant() -> None:
    assert traced(workload()) == []


@pytest.mark.parametrize("value", [jnp.nan, jnp.inf])
def test_a_loss_that_is_no_number_in_the_first_step_is_told_with_what_it_spoils(value: float) -> None:
    def failing(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        return moved(state, mean(batch["x"] @ state["w"], axis_name) * value)

    (found, *_) = checks.findings(workload(step=failing))
    said = the([found], "not finite", "error")
    assert re.match(
        r"the loss of the very first step is -?(nan|inf), and state\['w'\] is not finite after the first;", said
    )


def test_a_loss_that_is_no_number_in_the_second_step_is_told_with_what_the_first_spoilt() -> None:
    def spoiling(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        after, metrics = step(state, batch, axis_name)
        return after | {"w": after["w"] * jnp.nan}, metrics

    (found, *_) = checks.findings(workload(step=spoiling))
    said = the([found], "not finite", "error")
    assert "the loss of step 2 is nan, and state['w'] is not finite after the first" in said


# A second time.


def test_numbers_of_numpy_that_are_drawn_while_it_is_traced_are_others_the_next_time() -> None:
    drawn = np.random.default_rng(0)

    def noisy(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        return step(state, {"x": batch["x"] + drawn.standard_normal(WIDTH).astype(np.float32)[None]}, axis_name)

    said = the(traced(workload(step=noisy)), "not the same twice", "error")
    assert "step isn't the same when it is traced again: a constant of float32[1, 3] in it is another one" in said
    assert "jax.random" in said


def test_a_number_that_is_drawn_while_it_is_traced_is_another_the_next_time_within_a_jit_too() -> None:
    drawn = np.random.default_rng(0)

    @jax.jit
    def noise(x: jax.Array) -> jax.Array:
        return x * drawn.uniform()

    found = traced(workload(init=lambda key: {"w": noise(init(key)["w"])}))
    said = the(found, "not the same twice", "error")
    assert re.search(r"init isn't the same when it is traced again: `.*mul.*` has become `.*mul.*`", said)


def test_a_program_that_gives_other_bits_when_it_is_run_again_is_told() -> None:
    count = itertools.count()

    def counting(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        noise = io_callback(lambda: np.float32(next(count)), jax.ShapeDtypeStruct((), jnp.float32))
        return moved(state, mean(batch["x"] @ state["w"], axis_name) + noise)

    found = checks.findings(workload(step=counting, refused={"data_parallel": "it counts"}))
    said = the([one for one in found if one.kind not in ("callback", "mode")], "not the same twice")
    assert "the first step gives other bits for state['w'] and metrics['loss'] when it is run again" in said


def test_a_first_batch_that_is_shorter_than_the_next_is_told() -> None:
    lengths = itertools.chain([N - 2], itertools.repeat(N))
    found = traced(workload(batch=lambda key, n: batch(key, next(lengths))))
    assert {(one.kind, one.severity) for one in found} == {("batches", "error"), ("not the same twice", "warning")}
    assert "batch['x'] is float32[4, 3] in the first batch and float32[6, 3] in a later one" in found[0].said


def test_a_batch_that_has_another_dtype_for_another_key_is_told() -> None:
    def drawn(key: jax.Array, n: int) -> Any:
        return {"x": np.ones((n, WIDTH), np.float32 if np.asarray(key)[0] % 2 else np.float16)}

    parities = [int(np.asarray(key)[0]) % 2 for key in subject._keys()]
    assert len(set(parities)) == 2  # of the keys that the lint draws with
    assert "float16[6, 3]" in the(traced(workload(batch=drawn)), "batches", "error")


def test_a_batch_of_an_iterator_is_another_one_when_its_key_comes_again() -> None:
    numbers = itertools.count()
    found = traced(workload(batch=lambda key, n: {"x": np.full((n, WIDTH), next(numbers), np.float32)}))
    said = the(found, "not the same twice")
    assert "batch gives other bits for batch['x'] when it is called again with the same key" in said


def test_a_batch_that_numpy_draws_by_the_key_is_all_right() -> None:
    def drawn(key: jax.Array, n: int) -> Any:
        return {"x": np.random.default_rng(np.asarray(key)).standard_normal((n, WIDTH), np.float32)}

    assert checks.findings(workload(batch=drawn)) == ()


def test_a_batch_that_has_not_as_many_examples_as_were_asked_for_is_told() -> None:
    found = traced(workload(batch=lambda key, n: batch(key, n) | {"mask": jnp.ones(4)}, refused={"data_parallel": "-"}))
    said = the([one for one in found if one.kind != "mode"], "batches", "error")
    assert "batch['mask'] is float32[4] in a batch of 6 examples" in said


# Random numbers on several devices.


def dropping(keys: Callable[[jax.Array, int, str | None], jax.Array]) -> Workload:
    """With dropout, whose keys for each of a device's examples come of the state's."""

    def dropped(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        of_each = keys(state["key"], len(batch["x"]), axis_name)
        kept = jax.vmap(lambda key: jax.random.bernoulli(key, 0.5, (WIDTH,)))(of_each)
        return moved(state, mean(jnp.where(kept, batch["x"], 0) @ state["w"], axis_name))

    return workload(init=lambda key: init(key) | {"key": key}, step=dropped)


def by_example(key: jax.Array, n: int, axis_name: str | None) -> jax.Array:
    first = lax.axis_index(axis_name) * n if axis_name else 0
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, first + jnp.arange(n))


def by_device(key: jax.Array, n: int, axis_name: str | None) -> jax.Array:
    return jax.random.split(jax.random.fold_in(key, lax.axis_index(axis_name)) if axis_name else key, n)


def test_a_key_that_is_replicated_over_the_shards_is_told_with_the_line_that_draws_from_it() -> None:
    said = the(traced(dropping(lambda key, n, _: jax.random.split(key, n))), "key")
    assert re.search(r"draws the same random numbers for its part of the batch \(test_lint\.py, line \d+\)", said)
    assert "toynet.keys.example_keys" in said


def test_a_key_that_is_replicated_is_found_within_a_loop() -> None:
    def dropped(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        def again(key: jax.Array, _: Any) -> Any:
            key, own = jax.random.split(key)
            return key, mean(batch["x"] * jax.random.bernoulli(own, 0.5, batch["x"].shape), axis_name)

        key, losses = lax.scan(again, state["key"], length=2)
        return moved(state | {"key": key}, jnp.mean(losses))

    assert "replicated" in the(traced(workload(init=lambda key: init(key) | {"key": key}, step=dropped)), "key")


def test_a_key_that_is_made_of_the_devices_index_is_told() -> None:
    said = the(traced(dropping(by_device)), "key")
    assert re.search(r"a key is made of the index of the device \(test_lint\.py, line \d+\)", said)


def test_keys_by_global_example_index_are_all_right() -> None:
    assert traced(dropping(by_example)) == []


def test_noise_on_the_weights_that_all_devices_share_is_all_right() -> None:
    def noisy(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        noise = jax.random.normal(state["key"], (WIDTH, 2))[:, 0]
        return moved(state, mean(batch["x"] @ (state["w"] + noise), axis_name))

    assert traced(workload(init=lambda key: init(key) | {"key": key}, step=noisy)) == []


def test_a_step_that_cannot_be_traced_on_several_devices_is_told_with_what_jax_said() -> None:
    def alone(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        if axis_name:
            raise NotImplementedError("not on several")
        return step(state, batch)

    said = the(traced(workload(step=alone)), "mode")
    assert "in mode data_parallel the step can't be traced: NotImplementedError in tests/test_lint.py, line " in said
    assert ": not on several; take it out of --modes" in said


def test_a_loop_that_begins_with_what_all_devices_share_is_told_how_to_begin_it() -> None:
    def looping(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        total, _ = lax.scan(lambda total, x: (total + x @ state["w"], None), jnp.zeros(()), batch["x"])
        return moved(state, mean(total, axis_name))

    said = the(traced(workload(step=looping)), "mode")
    assert "they differ: The input carry total has type float32[]" in said
    assert 'begin it with `jax.lax.pcast(begin, axis_name, to="varying")`' in said
