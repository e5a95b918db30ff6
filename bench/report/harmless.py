"""Text that someone else wrote, such as the names in a record, so that it does nothing where it is shown."""

from __future__ import annotations

import re

# What ends a line; what moves a terminal's cursor, or turns the direction of the text around it; and halves of
# characters, which can't be printed. Letters of any script stay.
_ACTS = re.compile(
    "(?P<ends>[\t-\r\x85\u2028\u2029]+)|[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)


def harmless(text: str) -> str:
    """The text on one line, with what acts in it spelled out, such as `\\x1b`; itself if nothing does."""
    return _ACTS.sub(_spelled_out, text) if _ACTS.search(text) else text


def _spelled_out(found: re.Match[str]) -> str:
    return " " if found["ends"] else found[0].encode("unicode_escape").decode()
