"""What one worker of a run has computed, kept for the others: trees on the host, in a folder of the run's own."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bench.places import file_name
from toynet.errors import UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class Memo:
    """Computes each named thing once a folder; without a folder, every time."""

    folder: Path | None = None

    def __call__(self, name: str, compute: Callable[[], T]) -> T:
        """What was kept under that name, or else what `compute` gives, kept from now on."""
        if self.folder is None:
            return compute()
        path = self.folder / file_name(name)
        if path.exists():
            return pickle.loads(path.read_bytes())
        value = compute()
        kept = _pickled(value)
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=self.folder)
        with os.fdopen(handle, "wb") as file:
            file.write(kept)
        os.replace(unfinished, path)
        return value


def _pickled(value: Any) -> bytes:
    try:
        return pickle.dumps(value)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UsageError(
            f"a batch is kept in a file for all workers of a run, and this one can't be ({error}); let it be of dicts "
            "and tuples of arrays, or of classes at the top of a module."
        ) from None
