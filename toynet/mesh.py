"""Devices and meshes: simulating several on one CPU, taking the first n, arranging them."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

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
    """The first `count` devices of this process, on the default backend; raises UsageError if it has fewer."""
    try:
        present = jax.local_devices()
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


def devices_of_all(count: int, processes: int) -> list[list[Any]]:
    """Of each of so many processes as many devices, `count` in all; raises UsageError where one has fewer.

    The processes are the first of those that JAX knows; raises it, too, where this isn't one of them.
    """
    each = count // processes
    first_devices(1)  # says why there are none
    held: dict[int, list[Any]] = {}
    for device in jax.devices():
        held.setdefault(device.process_index, []).append(device)
    if len(held) < processes:
        raise UsageError(f"{processes} processes asked for, but JAX knows {len(held)}.")
    first = sorted(held)[:processes]
    if (own := jax.process_index()) not in first:
        raise UsageError(f"JAX counts this process as {own}, and the first {processes} are asked for.")
    chosen = [held[index] for index in first]
    if (fewest := min(map(len, chosen))) < each:
        raise UsageError(f"{each} devices of each process asked for, but one has {fewest}.")
    return [devices[:each] for devices in chosen]


def make_mesh(member_shards: int, data_shards: int, processes: int = 1) -> Mesh:
    """A mesh of members x data over the first devices; its axes are left to the compiler outside shard_map.

    Over several processes the data axis is the outermost: neighbours along it are in one process as far as they can,
    and so are all shards of the members; what data shards can't be divided by, members are.
    """
    count = member_shards * data_shards
    if processes == 1:
        devices = np.array(first_devices(count)).reshape(member_shards, data_shards)
    else:
        outer = math.gcd(data_shards, processes)
        held = np.array(devices_of_all(count, processes))
        blocks = held.reshape(outer, processes // outer, member_shards * outer // processes, data_shards // outer)
        devices = blocks.transpose(1, 2, 0, 3).reshape(member_shards, data_shards)
    return Mesh(devices, (MEMBERS, DATA), axis_types=(AxisType.Auto, AxisType.Auto))


def own(sharding: Any, shape: Sequence[int], axis: int) -> slice:
    """The part of an axis that the devices of this process hold of an array, which is in one piece."""
    held = sharding.addressable_devices_indices_map(tuple(shape)).values()
    bounds = [index[axis].indices(shape[axis]) for index in held]
    return slice(min(first for first, _, _ in bounds), max(last for _, last, _ in bounds))


def put(tree: Any, sharding: Any) -> Any:
    """Arrays of the host on their devices; where those are in several processes, each has and puts its `own` part."""
    if all(one.is_fully_addressable for one in jax.tree.leaves(sharding)):
        return jax.device_put(tree, sharding)
    return jax.make_array_from_process_local_data(sharding, tree)


def fetched(leaf: jax.Array) -> np.ndarray:
    """An array on the host, as a copy; where other processes have parts of it, they have to fetch it, too."""
    if isinstance(leaf, jax.Array) and not (leaf.is_fully_addressable or leaf.is_fully_replicated):
        return np.array(multihost_utils.process_allgather(leaf, tiled=True))
    return np.array(leaf)


@functools.cache
def rows_everywhere(mesh: Mesh) -> Callable[[Any, np.ndarray], Any]:
    """What gives rows of a tree's arrays, whose first axis is divided over a mesh, on all of its devices."""

    def gathered(tree: Any, which: jax.Array) -> Any:
        return jax.tree.map(lambda leaf: jnp.take(leaf, which, axis=0, mode="clip"), tree)

    return jax.jit(gathered, out_shardings=NamedSharding(mesh, PartitionSpec()))


def largest(mesh: Mesh) -> Callable[[float], float]:
    """What gives the largest of the values that the processes of a mesh have, all of which must ask.

    By it they choose alike by what was timed in each.
    """
    sharding, found = _one_each(mesh, jnp.max)
    each = len(mesh.local_devices)
    return lambda value: float(found(put(np.full(each, value, np.float32), sharding)))


def meeting(mesh: Mesh) -> Callable[[], None]:
    """What returns once all processes of a mesh have called it, within about a message's time of each other."""
    sharding, summed = _one_each(mesh, jnp.sum)
    ones = put(np.ones(len(mesh.local_devices), np.float32), sharding)

    def meet() -> None:
        summed(ones).block_until_ready()

    return meet


def _one_each(mesh: Mesh, reduced: Callable[[jax.Array], jax.Array]) -> tuple[NamedSharding, Any]:
    """Where one number of each device of a mesh lies, and what reduces them on all, compiled."""
    sharding = NamedSharding(mesh, PartitionSpec((MEMBERS, DATA)))
    numbers = jax.ShapeDtypeStruct((mesh.size,), np.float32, sharding=sharding)
    return sharding, jax.jit(reduced, out_shardings=NamedSharding(mesh, PartitionSpec())).lower(numbers).compile()


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
