"""Whether an optimizer's update of an entry looks at that entry alone, so that a device can do a part of each leaf."""

from __future__ import annotations

from typing import Any

import jax
import optax

from bench.flops import equations

# What makes a number of several, or draws numbers by the shape of a leaf, by the beginnings of names. An operation that
# isn't among them goes unnoticed here; the certificate finds what it does.
MIXING = (
    "reduce_sum",
    "reduce_m",
    "reduce_prod",
    "reduce_and",
    "reduce_or",
    "reduce_xor",
    "argm",
    "cum",
    "dot_general",
    "conv_general",
    "sort",
    "fft",
    "top_k",
    "gather",
    "scatter",
)
MIXING += (
    "random_bits",
    "threefry",
    "rng_bit",
    "cholesky",
    "eig",
    "svd",
    "qr",
    "householder",
    "lu",
    "triangular_solve",
)


def mixing(optimizer: optax.GradientTransformation, params: Any) -> str:
    """The first operation of an update that makes a number of several entries, such as `reduce_sum`; "" if none does.

    The update is traced for parameters of those shapes, and not run. Clipping by the global norm, LAMB, adafactor and
    muon have such operations, SGD, momentum, adam and adamw none.
    """
    traced = jax.make_jaxpr(optimizer.update)(params, jax.eval_shape(optimizer.init, params), params)
    for eqn in equations(traced):
        if eqn.primitive.name.startswith(MIXING) and any(_size(var) > 1 for var in (*eqn.invars, *eqn.outvars)):
            return eqn.primitive.name
    return ""


def _size(var: Any) -> int:
    return getattr(var.aval, "size", 1)
