"""Devices and meshes: simulating several on one CPU, taking the first n, arranging them."""

from __future__ import annotations

import functools
import os
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from toynet.errors import UsageError
from toynet.xla import MAX_SIMULATED, check_xla_flags

MEMBERS, DATA = "members", "data"


def simulate(count: int) -> None:
    """Makes the CPU backend have `count` devices; raises UsageError if JAX has started with fewer.

    Does nothing to a GPU or TPU, whose devices are what they are.
    """
    check_xla_flags()
    if not 1 <= count <= MAX_SIMULATED:
        raise UsageError(f"a CPU can be made to show 1 to {MAX_SIMULATED} devices, got {count}.")
    try:
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError:
        present = jax.local_device_count("cpu")
        if present < count:
            raise UsageError(
                f"{count} devices asked for, but JAX has already started with {present} in this process; "
                f"set JAX_NUM_CPU_DEVICES={count} before it starts."
            ) from None


def first_devices(count: int) -> list[Any]:
    """The first `count` devices of the default backend; raises UsageError if it has fewer."""
    try:
        present = jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter, without a word, for JAX_PLATFORMS=cuda and no GPU
        reason = str(error).partition("\n")[0] or "there are none of that kind"
        platforms = os.environ.get("JAX_PLATFORMS", "")
        raise UsageError(f"JAX can't start devices with JAX_PLATFORMS={platforms!r}: {reason}") from None
    if count > len(present):
        raise UsageError(
            f"{count} devices asked for, but the {jax.default_backend()} backend has {len(present)}; "
            "ask for fewer, or simulate them with JAX_PLATFORMS=cpu."
        )
    return present[:count]


def make_mesh(member_shards: int, data_shards: int) -> Mesh:
    """A mesh of members x data over the first devices; its axes are left to the compiler outside shard_map."""
    devices = np.array(first_devices(member_shards * data_shards)).reshape(member_shards, data_shards)
    return Mesh(devices, (MEMBERS, DATA), axis_types=(AxisType.Auto, AxisType.Auto))


@functools.cache
def small_sums() -> dict[str, Any]:
    """Compiler options for sums of few numbers: XLA's CPU backend gives those of large arrays to a library.

    It is made for long sums (a block of 256 members took 30 times as long with it, jaxlib 0.10.2). Nothing for a
    compiler that doesn't know the option.
    """
    options = {"xla_cpu_experimental_ynn_fusion_type": ""}
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:
        return {}
    return options
