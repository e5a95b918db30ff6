"""Finds a workload by its name: a preset's, or that of one of the user's own."""

from __future__ import annotations

from collections.abc import Iterable

from bench import cases
from bench.cases import Case, Own
from toynet.config import PRESETS, preset
from toynet.workload import Workload


def workload(case: Case, until: float | None = None) -> Workload:
    """The workload of a case, computed as its path says here; raises UsageError for a name that leads to none, or not
    by `until` on the monotonic clock."""
    if cases.is_own(case.workload):
        from bench import imported, keydata  # they load JAX

        return keydata.raw(imported.workload(case.workload, until))
    from toynet import train  # Flax and optax load only where a preset is trained

    if case.path == "plain":
        return train.workload(case.workload, cases.config(case))  # a side's toynet may be older, and know of no paths
    import jax

    return train.workload(case.workload, cases.config(case), cases.path_of(case, jax.default_backend()))


def shapes(case: Case) -> tuple[tuple[int, ...], ...] | None:
    """Of one member's weights and biases; None for a workload that isn't a preset."""
    return cases.config(case).shapes if case.workload in PRESETS else None


def own(name: str, until: float | None = None, sizes: Iterable[int] = ()) -> Own:
    """What a workload says of itself.

    Raises UsageError for a name that leads to none, for one whose functions don't take or give what they should, also
    with batches of those `sizes`, and for what isn't known by `until` on the monotonic clock.
    """
    if not cases.is_own(name):
        return Own(name=name, batch_size=preset(name).batch_size, masked=True, virtual_shards=0, has_parts=True)
    from bench import alike, foreign, imported, sound

    found = imported.workload(name, until)
    traced = sound.check(found, name, until, sizes=sizes)
    refused = getattr(found, "refused", {})
    with foreign.running(f"{name!r}: its step with an axis_name", until):
        unlike = "" if "data_parallel" in refused else alike.unlike(found, traced.state, traced.batch)
    return Own(
        name=found.name,
        batch_size=found.batch_size,
        masked=found.masked,
        virtual_shards=found.virtual_shards,
        has_parts=getattr(found, "parts", None) is not None,  # a side's toynet may be older, and know of neither
        refused=refused,
        unlike=unlike,
    )
