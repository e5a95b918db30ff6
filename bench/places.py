"""Where files go: whether they can be written into a folder, and what they are called after a case."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path


def try_writing(folder: Path) -> None:
    """Raises OSError if nothing could be written into a folder, which needn't be there; leaves all as it was."""
    absolute = folder.absolute()
    with tempfile.TemporaryFile(dir=next(one for one in (absolute, *absolute.parents) if one.exists())):
        pass


# Of a file's name; most systems take 255 bytes, and something is put behind it.
NAME_BYTES = 160


def file_name(name: str) -> str:
    """What a file or a folder is called that belongs to a case of that name, which may have a path in it."""
    plain = name.replace("/", ".").lstrip(".")
    if plain == name.replace("/", ".") and len(plain.encode()) <= NAME_BYTES:
        return plain
    told = hashlib.sha256(name.encode()).hexdigest()[:12]  # what was left out tells it from others
    kept = plain.encode()[-NAME_BYTES:].decode(errors="ignore").lstrip(".")
    return f"{kept}.{told}"
