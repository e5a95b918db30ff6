"""The common core of the adapters: a model's pure functions, a loss, an optimizer and examples make a Workload."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.core import Tracer

from bench.adapters import losses
from bench.adapters.elementwise import mixing
from bench.adapters.losses import Batch, Loss, Sums
from bench.alike import varies
from toynet.errors import UsageError
from toynet.exchange import added
from toynet.keys import example_keys
from toynet.modes import MODES
from toynet.workload import Params, Parts, Workload


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model as pure functions."""

    init: Callable[[jax.Array], tuple[Params, Any]]
    """From a key: parameters, all of floating point, and auxiliary state, such as batch statistics (() if none)."""
    apply: Callable[[Params, Any, Any, jax.Array | None, str | None], tuple[Any, Any]]
    """Of parameters, auxiliary state, a batch of n examples, a key for each of them, (n, ...) (None: it isn't random),
    and the name of the axis that batches are divided over (None: they aren't): outputs, and auxiliary state."""
    random: bool = False
    """Whether `apply` needs keys."""
    undivided: str = ""
    """Why its batch can't be divided over devices, and what to do: the end of a sentence, or nothing if it can."""


class State(NamedTuple):
    """What is carried from step to step: arrays only."""

    params: Params
    aux: Any
    opt_state: optax.OptState
    step: jax.Array
    key: jax.Array | None
    """What every step's random keys are made of; None for a model that isn't random."""


def workload(
    model: Model,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    examples: Any,
    *,
    name: str,
    batch_size: int = 32,
    epoch_steps: int = 8,
) -> Workload:
    """The training of a model, in every mode that it can be run in; the others are refused, with the reason.

    `examples` is a tree of arrays whose leading axis is the example; batches are drawn from it with a key. Nothing is
    computed here, shapes alone are: JAX isn't started. Raises UsageError for a loss of another shape, for what is no
    loss, and for an optimizer that isn't of optax.
    """
    if hasattr(loss, "update") or not callable(loss):
        found = "an optimizer" if hasattr(loss, "update") else f"of type {type(loss).__name__}"
        raise UsageError(
            f"the loss is {found}, and a function was expected; the order is module, loss, optimizer, examples."
        )
    _check_is_of_optax(optimizer)
    training = _Training(model, loss, optimizer, examples, losses.size(examples))
    params, aux = training.described
    stateful = bool(jax.tree.leaves(aux))
    training = dataclasses.replace(training, masked=training.loss_is_of_each(batch_size) and not stateful)
    refused = _refused(model, stateful, mixing(optimizer, params))
    return Workload(
        name=name,
        init=training.init,
        batch=training.draw,
        step=training.step,
        gradients=lambda state, batch, axis_name=None: training.mean_gradients(state, batch, axis_name)[0],
        parts=None if any(MODES[mode].shards_state for mode in refused) else training.parts(aux),
        batch_size=batch_size,
        epoch_steps=epoch_steps,
        masked=training.masked,
        refused=refused,
    )


@dataclass(frozen=True)
class _Training:
    model: Model
    loss: Loss
    optimizer: optax.GradientTransformation
    examples: Any
    size: int
    masked: bool = False

    @property
    def described(self) -> tuple[Params, Any]:
        """Shapes and dtypes of parameters and of auxiliary state."""
        return jax.eval_shape(lambda: self.model.init(jax.random.PRNGKey(0)))

    def init(self, key: jax.Array) -> State:
        of_params, of_steps = jax.random.split(key)
        params, aux = self.model.init(of_params)
        opt_state = self.optimizer.init(params)
        return State(params, aux, opt_state, jnp.zeros((), jnp.int32), of_steps if self.model.random else None)

    def draw(self, key: jax.Array, n: int) -> Batch:
        """n examples, drawn with replacement."""
        chosen: Any = jax.random.randint(key, (n,), 0, self.size)
        traced = isinstance(chosen, Tracer)
        # Else what is chosen alone goes to a device, and not all examples for each batch.
        chosen = chosen if traced else np.asarray(chosen)

        def drawn(leaf: Any) -> jax.Array:
            return jnp.asarray(leaf)[chosen] if traced else jnp.asarray(leaf[chosen])

        return Batch(jax.tree.map(drawn, self.examples), jnp.ones(n) if self.masked else None)

    def keyed(self, state: State, batch: Batch, axis_name: str | None) -> Batch:
        """A device's part of the batch, with the keys of its examples in this step."""
        if state.key is None:
            return batch
        key = jax.random.fold_in(state.key, state.step)
        return batch._replace(keys=example_keys(key, losses.size(batch.examples), axis_name))

    def sums(self, params: Params, aux: Any, batch: Batch, axis_name: str | None = None) -> tuple[Params, Sums, Any]:
        """Over the examples given: gradients of the losses' sum, and sums; and auxiliary state."""

        def total(params: Params) -> tuple[jax.Array, tuple[Sums, Any]]:
            outputs, after = self.model.apply(params, aux, batch.examples, batch.keys, axis_name)
            sums = losses.sums(self.loss(outputs, batch.examples), batch)
            return sums.metrics["loss"], (sums, after)

        grads, (sums, after) = jax.grad(total, has_aux=True)(params)
        return grads, sums, after

    def mean_gradients(
        self, state: State, batch: Batch, axis_name: str | None = None
    ) -> tuple[Params, dict[str, jax.Array], Any]:
        """Gradients of the global batch's mean loss, its metrics, and auxiliary state that is equal on all devices."""
        batch, params = self.keyed(state, batch, axis_name), state.params
        if axis_name:
            # A gradient for parameters that are equal on all devices would be summed over them unasked.
            params = lax.pcast(params, axis_name, to="varying")
        grads, sums, aux = self.sums(params, state.aux, batch, axis_name)
        if axis_name:
            (grads, sums), aux = added((grads, sums), axis_name), _synchronised(aux, axis_name)
        return *losses.means(grads, sums), aux

    def update(self, state: State, grads: Params) -> State:
        updates, opt_state = self.optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        return state._replace(params=params, opt_state=opt_state, step=state.step + 1)

    def step(self, state: State, batch: Batch, axis_name: str | None = None) -> tuple[State, dict[str, jax.Array]]:
        grads, metrics, aux = self.mean_gradients(state, batch, axis_name)
        return self.update(state, grads)._replace(aux=aux), metrics

    def parts(self, aux: Any) -> Parts:
        """The step taken apart, of a model whose auxiliary state is a tree without leaves."""

        def sums(params: Params, batch: Batch) -> tuple[Params, Sums]:
            return self.sums(params, aux, batch)[:2]

        return Parts(
            params=lambda state: state.params, sums=sums, means=losses.means, update=self.update, keyed=self.keyed
        )

    def loss_is_of_each(self, n: int) -> bool:
        """Whether the loss of n examples is one of each, not the mean of them; raises UsageError if it's neither."""

        def found(params: Params, aux: Any, examples: Any) -> dict[str, jax.Array]:
            keys = example_keys(jax.random.PRNGKey(0), n) if self.model.random else None
            return losses.named(self.loss(self.model.apply(params, aux, examples, keys, None)[0], examples))

        examples = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((n, *leaf.shape[1:]), leaf.dtype), self.examples)
        shapes = {what: leaf.shape for what, leaf in jax.eval_shape(found, *self.described, examples).items()}
        for what, shape in shapes.items():
            if shape not in ((n,), ()):
                raise UsageError(
                    f"the {what} of {n} examples must be an array ({n},) of one for each, or a scalar, their mean; "
                    f"got an array {shape}."
                )
        return all(shape == (n,) for shape in shapes.values())


def named_inputs(batch: Any) -> Any:
    """What a module is called with unless the user says otherwise; raises UsageError if the examples don't name it."""
    if isinstance(batch, Mapping) and "inputs" in batch:
        return batch["inputs"]
    raise UsageError(
        "a module is called with batch['inputs'], which these examples don't have; say what else it takes of them by "
        "`inputs=lambda batch: ...`."
    )


def _check_is_of_optax(optimizer: Any) -> None:
    if isinstance(optimizer, optax.GradientTransformation):
        return
    made = ", which `.gradient_transformation()` makes one" if hasattr(optimizer, "gradient_transformation") else ""
    raise UsageError(
        "the optimizer must be an optax transformation, as `optax.adam(1e-3)`, for each member has a state of its own; "
        f"got a {type(optimizer).__name__}{made}."
    )


def _synchronised(aux: Any, axis_name: str) -> Any:
    """Auxiliary state, the mean over the axis of what differs along it; raises UsageError if that has no mean."""

    def equal(leaf: jax.Array) -> jax.Array:
        if not varies(leaf, axis_name):
            return leaf
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            raise UsageError(
                f"auxiliary state of dtype {leaf.dtype} differs from device to device, and has no mean; make it from "
                "the whole batch, by `lax.psum` over the axis's name, or leave it out."
            )
        return lax.pmean(leaf, axis_name)

    return jax.tree.map(equal, aux)


def _refused(model: Model, stateful: bool, mixing: str) -> Mapping[str, str]:
    """The modes that the training can't be run in; `mixing` is what its optimizer does to whole leaves, if anything."""
    if model.undivided:
        return {mode.name: model.undivided for mode in MODES.values() if mode.shards_batch}
    if stateful:
        why = "it has auxiliary state besides its parameters, which a step on parts of them doesn't carry"
    elif mixing:
        why = f"its optimizer takes whole leaves together ({mixing}), and a device would give it its part of them"
    else:
        return {}
    return {mode.name: why for mode in MODES.values() if mode.shards_state}
