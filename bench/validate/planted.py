"""A step whose work is known: a chain of matrix products, and more of them by a planted share.

Written as a module of its own into a tree for each side, so that a comparison of two trees meets it as
it would meet a user's code. Needs JAX only, so it starts quickly.
"""

from __future__ import annotations

import importlib
import math
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

SIZE = 64
# Of each step, and of these in a loop of their own, to which what is planted is added.
PRODUCTS = 400
APART = 20
STEP = "planted_step"
# A chunk of each side in turn, so many times: a quarter of a minute a side.
CHUNKS, CHUNK_STEPS = 100, 40

_MODULE = '''"""{products} + {apart} products of {size} x {size} matrices in every step."""

import jax
import jax.numpy as jnp
from jax import lax

from toynet.workload import Workload


def init(key):
    weights = jax.random.normal(key, ({size}, {size})) / {size} ** 0.5
    return {{"weights": weights, "extra": jnp.zeros(({size}, {size}))}}


def batch(key, n):
    return jax.random.normal(key, (n, {size}))


def chain(weights, matrix, count):
    return lax.fori_loop(0, count, lambda _, m: jnp.tanh(m @ weights), matrix)


def step(state, batch, axis_name=None):
    found = chain(state["weights"], batch, {products})
    extra = chain(state["weights"], batch, {apart})  # doesn't change the loss
    loss = jnp.mean(found**2)
    return {{"weights": state["weights"] * (1 - 1e-6 * loss), "extra": extra}}, {{"loss": loss}}


workload = Workload(name="planted", init=init, batch=batch, step=step, batch_size={size}, epoch_steps=4)
'''


def write_tree(folder: Path, share: float) -> Path:
    """A tree whose step does that share more products, 0.05 for 5%, of a multiple of 1 / PRODUCTS; its folder."""
    folder.mkdir(parents=True)
    apart = APART + round(share * PRODUCTS)
    module = _MODULE.format(size=SIZE, products=PRODUCTS - APART, apart=apart)
    (folder / f"{STEP}.py").write_text(module, encoding="utf-8")
    return folder


def flops(share: float) -> int:
    """Floating-point operations of a step's matrix products."""
    return 2 * SIZE**3 * (PRODUCTS + round(share * PRODUCTS))


def long_run(share: float) -> float:
    """The ratio of step times with and without that share, from thousands of steps of both in one process.

    Without the harness: a loop over both compiled steps, a chunk of each in turn, on one core.
    """
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_long_run, (share,))


def _long_run(share: float) -> float:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    import jax

    steps = []
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        for name, planted in (("a", 0.0), ("b", share)):
            sys.path.insert(0, str(write_tree(Path(folder, name), planted)))
            sys.modules.pop(STEP, None)
            importlib.invalidate_caches()
            steps.append(importlib.import_module(STEP).workload)
            sys.path.pop(0)
    runs = []
    for workload in steps:
        step = jax.jit(workload.step)
        state = workload.init(jax.random.PRNGKey(0))
        batch = workload.batch(jax.random.PRNGKey(1), SIZE)
        runs.append((jax.block_until_ready(step(state, batch)) and step, state, batch))
    logs = []
    for chunk in range(CHUNKS):
        took = {}
        for side in (0, 1) if chunk % 2 else (1, 0):
            step, state, batch = runs[side]
            began = time.perf_counter()
            for _ in range(CHUNK_STEPS):
                jax.block_until_ready(step(state, batch))
            took[side] = time.perf_counter() - began
        logs.append(math.log(took[1] / took[0]))
    return math.exp(statistics.median(logs))
