"""Functions made ready for their stages by jit, and what JAX compiles meanwhile."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from toynet.errors import UsageError


@contextlib.contextmanager
def compilations() -> Iterator[list[str]]:
    """The names of what JAX compiles meanwhile, in this process."""
    found: list[str] = []

    def listen(event: str, duration_secs: float, **of: str | int) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            found.append(str(of.get("fun_name", "")))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def jitted(function: Callable[..., Any], args: Sequence[Any], *, anew: bool) -> Any:
    """The function, jitted if it has no `lower` of its own; `anew` as in `Calls`.

    Raises UsageError for what is no function, and for arguments that can't be traced.
    """
    if not callable(function):
        raise UsageError(f"a function was expected, and then its arguments, got {function!r} as the function.")
    if hasattr(function, "lower"):
        forget = getattr(function, "clear_cache", None)
        if anew and forget is not None:
            forget()
        return function
    for path, leaf in jax.tree_util.tree_flatten_with_path(args)[0]:
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float | complex):
            raise UsageError(
                f"args{jax.tree_util.keystr(path)} is a {type(leaf).__name__}, which jit can't trace: bind it with "
                "functools.partial, or hand over a function that is jitted with it in `static_argnums`."
            )

    @functools.wraps(function)
    def fresh(*args: Any) -> Any:
        return function(*args)

    return jax.jit(fresh)
