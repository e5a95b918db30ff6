"""Whether files can be written into a folder, asked before there is something to write."""

from __future__ import annotations

import tempfile
from pathlib import Path


def try_writing(folder: Path) -> None:
    """Raises OSError if nothing could be written into a folder, which needn't be there; leaves all as it was."""
    absolute = folder.absolute()
    with tempfile.TemporaryFile(dir=next(one for one in (absolute, *absolute.parents) if one.exists())):
        pass
