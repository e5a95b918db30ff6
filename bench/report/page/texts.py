"""Texts of records and of users as HTML."""

from __future__ import annotations

from html import escape

# What isn't allowed in HTML, and what turns the direction of all that follows in its line: shown as a question mark.
_UNSHOWN = dict.fromkeys(
    [*range(0x09), *range(0x0E, 0x20), 0x7F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)],
    "\N{REPLACEMENT CHARACTER}",
)


def plain(text: str) -> str:
    """As a text or an attribute's value: no character of it is markup."""
    return escape(text.translate(_UNSHOWN))


def name(text: str) -> str:
    """In a direction of its own, so that one written from right to left doesn't turn what stands beside it."""
    return f"<bdi>{plain(text)}</bdi>"
