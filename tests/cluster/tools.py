"""What the tests of this folder need of the machine that has them."""

from __future__ import annotations

import os
import shutil

import pytest


def needed(package: str, *programs: str, root: bool = False) -> None:
    """Skips a test where a Debian package isn't installed, or fails it in CI, which has installed it."""
    lacks = [program for program in programs if shutil.which(program) is None]
    if lacks:
        without(f"{' and '.join(lacks)} (Debian: apt-get install {package}) {'are' if lacks[1:] else 'is'} missing")
    if root and os.geteuid() != 0:
        without("only root can start it")


def without(why: str) -> None:
    """Skips a test for that, or fails it in CI."""
    pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
