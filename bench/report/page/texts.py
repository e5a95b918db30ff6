"""Names of records and of users as HTML."""

from __future__ import annotations

from html import escape


def name(text: str) -> str:
    """In a direction of its own, so that one written from right to left doesn't turn what stands beside it."""
    return f"<bdi>{escape(text)}</bdi>"
