"""The cases of a selection, presets' or a user's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from bench.cases import PRESET_BATCH, Case, Own, Selection, check_divides, expand, is_own
from bench.workers import WorkerFailed
from toynet.errors import UsageError


def chosen(selection: Selection, limit_s: float, look: Callable[[], None] = lambda: None) -> list[Case]:
    """The cases of a selection, a user's workloads being looked up in processes of their own; `look` as nurseries have.

    Raises UsageError for a name that leads to no workload, whose module fails, or whose batch can't be divided so.
    """
    own = {name: _own(name, limit_s, selection.batch or (), look) for name in selection.workloads if is_own(name)}
    batches = {name: found.batch_size for name, found in own.items()}
    cases = expand(selection, {**PRESET_BATCH, **batches}, {name: found.refused for name, found in own.items()})
    check_divides(cases, own)
    return cases


def _own(name: str, limit_s: float, sizes: Sequence[int], look: Callable[[], None]) -> Own:
    from bench.live import nursery  # presets need no process to be listed

    try:
        with nursery(limit_s, None, (), look=look) as start, contextlib.closing(start()) as worker:
            return worker.own(name, sizes)
    except WorkerFailed as error:
        raise UsageError(f"{name!r} can't be loaded: no worker starts: {error}.") from None
