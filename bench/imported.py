"""Imports a user's module, and finds in it the workload that a name stands for."""

from __future__ import annotations

import difflib
import importlib
import importlib.machinery
import importlib.util
import inspect
import os
import re
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from bench import foreign
from bench.cases import divided
from bench.sound import check_takes
from toynet.errors import UsageError, unknown
from toynet.modes import MODES
from toynet.workload import Workload

# What a name without an attribute stands for; else the functions of a workload, by their own names.
ATTRIBUTE = "workload"
FUNCTIONS = ("init", "batch", "step")
_OF_STEP = (
    "A step as it is, with one state and one batch, becomes one by `workload = bench.adapters.step.workload(step, "
    "state=state, batch=batch)`"
)
# Settings of JAX that a record tells, and that whoever measures makes: by what.
SETTINGS = {
    "jax_num_cpu_devices": "--devices",
    "jax_platforms": "JAX_PLATFORMS in the environment",
    "jax_enable_x64": "JAX_ENABLE_X64 in the environment",
}


def workload(name: str, until: float | None = None) -> Workload:
    """The workload of `package.module:attribute`, `path/to/file.py:attribute` or `path/to/file.py`.

    The attribute is a Workload, a function without parameters that makes one, or a step in a module that has the
    functions `init(key)` and `batch(key, n)`, too. Without one it is the module's `workload`, or else its `step`.
    Raises UsageError for a name that leads to none, for a module that can't be imported, and for one that isn't by
    `until` on the monotonic clock.
    """
    source, attribute = divided(name)
    module = _module(source, name, until)
    with foreign.running(f"{name!r}: what makes it", until):
        attribute = attribute or _usual(name, module)
        if not hasattr(module, attribute):
            raise unknown(f"attribute of {source!r}", attribute, _attributes(module))
        return _made(name, getattr(module, attribute), module)


def _usual(name: str, module: ModuleType) -> str:
    if found := [known for known in (ATTRIBUTE, FUNCTIONS[-1]) if hasattr(module, known)]:
        return found[0]
    raise UsageError(
        f"{name!r} has neither a `{ATTRIBUTE}` nor functions `init`, `batch` and `step`, and says no other name, as "
        f"{name + ':name'!r} does; it has: {', '.join(_candidate_steps(module)) or 'no function'}. {_OF_STEP}."
    )


def _candidate_steps(module: ModuleType) -> list[str]:
    """The workloads of a module, and functions of its own."""
    return [
        name
        for name in _attributes(module)
        if isinstance(found := getattr(module, name), Workload)
        or (callable(found) and not isinstance(found, type) and getattr(found, "__module__", "") == module.__name__)
    ]


def _attributes(module: ModuleType) -> list[str]:
    return [name for name in vars(module) if not name.startswith("_")]


def _made(name: str, found: Any, module: ModuleType) -> Workload:
    if callable(found) and not isinstance(found, (type, Workload)) and _parameters(found) == {}:
        found = found()
    if isinstance(found, Workload):
        return found
    if callable(found) and not isinstance(found, type):
        return _of_functions(name, found, module)
    what = f"the class {found.__name__}" if isinstance(found, type) else f"of type {type(found).__name__}"
    raise UsageError(
        f"{name!r} is {what}, and a Workload was expected, or a step; bench.adapters makes a Workload of a module."
    )


def _module(source: str, name: str, until: float | None) -> ModuleType:
    import jax  # before a user's module is, so that what it changes is seen

    before = {setting: getattr(jax.config, setting) for setting in SETTINGS}
    flags = os.environ.get("XLA_FLAGS")
    module = (_of_file if source.endswith(".py") else _of_package)(source, name, until)
    made = {setting: getattr(jax.config, setting) for setting in SETTINGS}
    found = [(setting, made[setting], SETTINGS[setting]) for setting in SETTINGS if made[setting] != before[setting]]
    if (after := os.environ.get("XLA_FLAGS")) != flags:
        found.append(("XLA_FLAGS", after, "XLA_FLAGS in the environment, or devices by --devices"))
    if found:
        setting, value, instead = found[0]
        raise UsageError(
            f"{name!r} sets {setting} to {value!r} as it is imported{_where(setting, module)}; it is for whoever "
            f"measures to set, so that the record has it: take that out, and say it by {instead}."
        )
    return module


def _where(text: str, module: ModuleType) -> str:
    """The line of the module that has the text; empty if none has."""
    path = Path(module.__file__ or "")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    return next((f" (line {i} of {path.name})" for i, line in enumerate(lines, start=1) if text in line), "")


def _of_package(source: str, name: str, until: float | None) -> ModuleType:
    if not source or source.startswith("."):
        raise UsageError(
            f"{name!r} names no module; package.module:attribute was expected, or a file, path/to/file.py."
        )
    with foreign.running(f"{name!r}: its import", until):
        try:
            return importlib.import_module(source)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{source}.".startswith(f"{error.name}."):
                raise  # the module is there, and fails to import what it needs
            raise UsageError(
                f"{name!r}: there is no module {error.name!r} on the path; it is looked for here and in PYTHONPATH, "
                "and a file is named as path/to/file.py."
            ) from None


def _of_file(source: str, name: str, until: float | None) -> ModuleType:
    """A file as a module; what lies beside it can be imported, as where it is run as a script."""
    path = Path(source)
    if not path.is_file():
        raise UsageError(f"{name!r}: there is no file {str(path)!r}{_candidates(path)}.")
    _check_hides_nothing(path, name)
    # A name that no import asks for. It has to be there by that name, for values of its types are pickled.
    own = f"workload_of_{re.sub(r'[^a-zA-Z0-9_]', '_', path.stem)}"
    spec = importlib.util.spec_from_file_location(own, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[own] = module
    with foreign.running(f"{name!r}: its import", until):
        spec.loader.exec_module(module)
    return module


def _candidates(path: Path) -> str:
    """Files beside one that isn't there, the most alike first."""
    beside = [other.name for other in path.parent.glob("*.py")] if path.parent.is_dir() else []
    nearest = difflib.get_close_matches(path.name, sorted(beside), n=5, cutoff=0.0)
    if not path.parent.is_dir():
        return f", for there is no folder {str(path.parent)!r}"
    return f"; {str(path.parent)!r} has {', '.join(nearest)}{' and more' * (len(beside) > 5)}" if beside else ""


def _check_hides_nothing(path: Path, name: str) -> None:
    """Raises UsageError for a file that others would get in place of a module: its folder comes first on the path."""
    installed = [sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib")]
    loaded = sys.modules.get(path.stem)
    other = loaded or (path.stem.isidentifier() and importlib.machinery.PathFinder.find_spec(path.stem, installed))
    if other and Path(getattr(loaded, "__file__", None) or "") != path.resolve():
        raise UsageError(
            f"{name!r}: a file called {path.name} hides the module {path.stem!r} from whoever imports it; give it "
            "another name."
        )


def _parameters(function: Callable[..., Any]) -> dict[str, Any] | None:
    """By name; None if the function doesn't tell, as some built-in ones."""
    try:
        return dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return None


def _of_functions(name: str, step: Callable[..., Any], module: ModuleType) -> Workload:
    """A step with its module's `init` and `batch`; without an axis name it can't reduce over one."""
    lacking = [function for function in FUNCTIONS[:2] if not callable(getattr(module, function, None))]
    if lacking:
        raise UsageError(
            f"{name!r}: a step was found, and no {' and no '.join(lacking)} beside it; write `init(key)`, which gives "
            f"a state, and `batch(key, n)`. {_OF_STEP}."
        )
    takes_axis = "axis_name" in (_parameters(step) or {})
    check_takes(name, "step", step, ("state", "batch"), named=("axis_name",) * takes_axis)
    why = "its step has no parameter `axis_name`, so it can't take means over devices"
    return Workload(
        name=name,
        init=getattr(module, "init"),  # noqa: B009, it was looked for
        batch=getattr(module, "batch"),  # noqa: B009
        step=_by_name(step) if takes_axis else _alone(step),
        refused={} if takes_axis else {mode.name: why for mode in MODES.values() if mode.shards_batch},
    )


def _by_name(step: Callable[..., Any]) -> Callable[..., Any]:
    """A step whose axis name may be a parameter that has to be named."""

    def named(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        return step(state, batch, axis_name=axis_name)

    return named


def _alone(step: Callable[..., Any]) -> Callable[..., Any]:
    """A step that knows of no axis."""

    def alone(state: Any, batch: Any, axis_name: str | None = None) -> Any:
        return step(state, batch)

    return alone
