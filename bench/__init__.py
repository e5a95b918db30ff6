"""Measures how a JAX training step scales over modes and devices, and whether it became slower.

As a library: `measure`, `compare` and `assert_not_slower`, which are loaded when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.asserts import assert_not_slower
    from bench.library import measure
    from bench.pairing import compare

__all__ = ["assert_not_slower", "compare", "measure"]

_MODULES = {"assert_not_slower": "asserts", "compare": "pairing", "measure": "library"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
