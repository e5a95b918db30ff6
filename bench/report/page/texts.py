"""Names of records and of users as HTML."""

from __future__ import annotations

import re
from html import escape


def prose(text: str) -> str:
    """A sentence, in which what stands in backticks is code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def name(text: str) -> str:
    """In a direction of its own, so that one written from right to left doesn't turn what stands beside it."""
    return f"<bdi>{escape(text)}</bdi>"
