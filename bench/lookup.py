"""Finds a workload by its preset's name, or by "module:attribute"."""

from __future__ import annotations

import importlib

from bench import cases
from bench.cases import Case, Own
from toynet.config import PRESETS, preset
from toynet.errors import UsageError, unknown
from toynet.workload import Workload


def workload(case: Case) -> Workload:
    """The workload of a case, computed as its path says here; raises UsageError for a name that leads to none."""
    if ":" in case.workload:
        return _imported(case.workload)
    from toynet import train  # Flax and optax load only where a preset is trained

    if case.path == "plain":
        return train.workload(case.workload, cases.config(case))  # a side's toynet may be older, and know of no paths
    import jax

    return train.workload(case.workload, cases.config(case), cases.path_of(case, jax.default_backend()))


def shapes(case: Case) -> tuple[tuple[int, ...], ...] | None:
    """Of one member's weights and biases; None for a workload that isn't a preset."""
    return cases.config(case).shapes if case.workload in PRESETS else None


def own(name: str) -> Own:
    """What a workload says of itself; raises UsageError for a name that leads to none."""
    if ":" not in name:
        return Own(name=name, batch_size=preset(name).batch_size, masked=True, virtual_shards=0, has_parts=True)
    found = _imported(name)
    return Own(
        name=found.name,
        batch_size=found.batch_size,
        masked=found.masked,
        virtual_shards=found.virtual_shards,
        has_parts=getattr(found, "parts", None) is not None,  # a side's toynet may be older
    )


def _imported(name: str) -> Workload:
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there, and fails to import what it needs
        raise UsageError(f"{name!r}: there is no module {error.name!r} on the path.") from None
    if not hasattr(module, attribute):
        raise unknown(f"attribute of {module_name!r}", attribute, [n for n in vars(module) if not n.startswith("_")])
    found = getattr(module, attribute)
    if not isinstance(found, Workload):
        raise UsageError(f"{name!r} is a {type(found).__name__}, and a toynet.workload.Workload was expected.")
    return found
