"""Imports a user's module, and finds in it the workload that a name stands for."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from toynet.errors import UsageError, unknown
from toynet.modes import MODES
from toynet.workload import Workload

# What a name without an attribute stands for; else the functions of a workload, by their own names.
ATTRIBUTE = "workload"
FUNCTIONS = ("init", "batch", "step")


def workload(name: str) -> Workload:
    """The workload of `package.module:attribute`, `path/to/file.py:attribute` or `path/to/file.py`.

    The attribute is a Workload, or a step in a module that has the functions `init(key)` and `batch(key, n)`, too.
    Without one it is the module's `workload`, or else its `step`. Raises UsageError for a name that leads to none.
    """
    source, _, attribute = name.partition(":")
    module = _module(source, name)
    if not attribute:
        attribute = ATTRIBUTE if hasattr(module, ATTRIBUTE) else "step"
    if not hasattr(module, attribute):
        raise unknown(f"attribute of {source!r}", attribute, [n for n in vars(module) if not n.startswith("_")])
    found = getattr(module, attribute)
    if isinstance(found, Workload):
        return found
    if inspect.isroutine(found):
        return _of_functions(name, found, module)
    raise UsageError(f"{name!r} is a {type(found).__name__}, and a Workload or a step was expected.")


def _module(source: str, name: str) -> ModuleType:
    if source.endswith(".py"):
        return _of_file(Path(source), name)
    try:
        return importlib.import_module(source)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{source}.".startswith(f"{error.name}."):
            raise  # the module is there, and fails to import what it needs
        raise UsageError(f"{name!r}: there is no module {error.name!r} on the path.") from None


def _of_file(path: Path, name: str) -> ModuleType:
    """A file as a module; what lies beside it can be imported, as where it is run as a script."""
    if not path.is_file():
        raise UsageError(f"{name!r}: there is no file {str(path)!r}.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _of_functions(name: str, step: Callable[..., Any], module: ModuleType) -> Workload:
    """A step with its module's `init` and `batch`; without an axis name it can't reduce over one."""
    lacking = [function for function in FUNCTIONS[:2] if not callable(getattr(module, function, None))]
    if lacking:
        raise UsageError(
            f"{name!r} is a function, and its module has no {' and no '.join(lacking)}; a step needs `init(key)`, "
            "which gives a state, and `batch(key, n)` beside it, or else make a Workload of it."
        )
    takes_axis = "axis_name" in inspect.signature(step).parameters
    why = "its step has no parameter `axis_name`, so it can't take means over devices"
    return Workload(
        name=name,
        init=getattr(module, "init"),  # noqa: B009, it was looked for
        batch=getattr(module, "batch"),  # noqa: B009
        step=step if takes_axis else lambda state, batch, axis_name=None: step(state, batch),
        refused={} if takes_axis else {mode.name: why for mode in MODES.values() if mode.shards_batch},
    )
