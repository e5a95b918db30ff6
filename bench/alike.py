"""What a step gives that isn't equal on all devices, where its batch is divided over them: traced, and nothing run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.sharding import AbstractMesh, AxisType, PartitionSpec

from toynet.mesh import DATA
from toynet.workload import Workload

P = PartitionSpec
SHARDS = 2
# Outputs that are named; the first few tell what is wrong.
NAMED = 3


def unlike(workload: Workload, state: Any, batch: Any) -> str:
    """Which outputs of the step, or of the gradients, differ from device to device, and what to do: the end of a
    sentence about the workload. Empty if none does, or if it can't be traced so, which a run of it says.

    `state` and `batch` are trees of shapes and dtypes; the devices needn't be there.
    """
    try:
        found = _varying(workload, state, batch)
    except Exception:  # noqa: BLE001, it is the user's code
        return ""
    if not found:
        return ""
    more = [f"{len(found) - NAMED} more"] if len(found) > NAMED else []
    said = " and ".join([*found[:NAMED], *more])
    loss = any(path in ("metrics", "metrics['loss']", "metrics.loss") for path in found)
    differ, each = ("differ", "each") if len(found) > 1 else ("differs", "it")
    fix = f"take the mean of {each} over the devices, `jax.lax.pmean(x, axis_name)`"
    if loss:
        fix = "take the mean of the loss over the devices before its gradient, `jax.lax.pmean(loss, axis_name)`"
    return f"its {said} {differ} from device to device; {fix} where there is an axis_name"


def varies(leaf: jax.Array, axis_name: str) -> bool:
    """Whether shard_map takes it that devices have a leaf each of their own."""
    return axis_name in jax.typeof(leaf).manual_axis_type.varying


def divided(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a state and a batch as SHARDS devices would trace it, each with its part; they needn't be there."""
    mesh = AbstractMesh((SHARDS,), (DATA,), axis_types=(AxisType.Auto,))  # explicit by itself from JAX 0.12 on
    return jax.shard_map(function, mesh=mesh, in_specs=(P(), P(DATA)), out_specs=P())


def _varying(workload: Workload, state: Any, batch: Any) -> Sequence[str]:
    """The paths of those outputs."""
    found: dict[str, None] = {}

    def look(state: Any, batch: Any) -> tuple[()]:
        after, metrics = workload.step(state, batch, DATA)
        outputs = {"metrics": metrics, "state": after}
        if workload.gradients is not None:
            outputs["gradients"] = workload.gradients(state, batch, DATA)
        for root, tree in outputs.items():
            for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
                if isinstance(leaf, jax.Array) and varies(leaf, DATA):
                    found[root + jax.tree_util.keystr(path)] = None
        return ()

    whole = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((_even(leaf.shape[0]), *leaf.shape[1:]), leaf.dtype), batch)
    jax.eval_shape(divided(look), state, whole)
    return list(found)


def _even(examples: int) -> int:
    return -(-examples // SHARDS) * SHARDS
