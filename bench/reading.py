"""From a file to a struct; whatever else is in the file, or in its place, is said in a sentence with where it is."""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from bench.cases import Case
from bench.plausible import fault_of_case, narrowed
from toynet.errors import UsageError

T = TypeVar("T", bound=msgspec.Struct)

Fault = tuple[str, str]
"""A place in a record, such as `cases[3].starts`, and what can't be there."""

# A case takes 12 to 42 kB, by whether it is taken apart, and 110 kB where a budget of 700 s is for a few: what 1,000
# of them take. Decoded, that is 0.5 GB of memory.
SIZE_AT_MOST = 128 * 10**6
SHOWN_AT_MOST = 40
# What is written beside a record.
REPORTS = (".md", ".png")
NOT_ONE = "not a record of `python -m bench`"

# What other files than plain UTF-8 begin with, and what to do about it.
_BEGINNINGS = {
    b"\x1f\x8b": "it is compressed by gzip; unpack it first",
    b"\xef\xbb\xbf": "it begins with a byte order mark; save it as UTF-8 without one",
    b"\xff\xfe": "it is UTF-16; save it as UTF-8",
    b"\xfe\xff": "it is UTF-16; save it as UTF-8",
}
# What Python writes for numbers that JSON hasn't got.
_NOT_FINITE = re.compile(b"NaN|Infinity")
_WORDS = {
    "float": "a number",
    "int": "a whole number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


def read_as(path: Path, kind: type[T], schema: int) -> T:
    """The struct of that kind in a file, of that schema at most; raises UsageError, in one sentence."""
    content = content_of(path)
    try:
        version = msgspec.json.decode(content, type=_Version).schema
        if version > schema:
            raise UsageError(f"{path}: its schema is {version}, and this version reads up to {schema}; update bench.")
        msgspec.json.decode(content, type=narrowed(kind))
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise refused(path, _said(str(error), content)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if path.suffix in REPORTS and (beside := path.with_suffix(".json")).is_file():
            raise UsageError(f"{path} is a report; name the record beside it, {beside}.") from None
        raise refused(path, _malformed(error, content)) from None


class Reused:
    """Memory for the content of one file after another: to be given fresh pages takes longer than to read into them."""

    def __init__(self) -> None:
        self._held = bytearray()

    def of(self, size: int) -> memoryview:
        """So many bytes; what they held before is lost."""
        if size > len(self._held):
            self._held = bytearray(2 * size)
        return memoryview(self._held)[:size]


def content_of(path: Path) -> bytes:
    """What is in a regular file that isn't too large; raises UsageError, in one sentence."""
    with _opened(path) as (file, _):
        return file.read(SIZE_AT_MOST)


def content_in(memory: Reused, path: Path) -> memoryview:
    """The same, until the next file is read into that memory."""
    with _opened(path) as (file, size):
        held = memory.of(size)
        return held[: file.readinto(held)]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[io.BufferedReader, int]]:
    """The file and its size."""
    try:
        with open(path, "rb", opener=_at_once) as file:
            told = os.fstat(file.fileno())
            if not stat.S_ISREG(told.st_mode):
                raise UsageError(f"{path} is no regular file; a record that `python -m bench run` wrote was expected.")
            if told.st_size > SIZE_AT_MOST:
                raise UsageError(
                    f"{path} has {told.st_size / 1e6:,.0f} MB, and a record has {SIZE_AT_MOST / 1e6:.0f} MB at most; "
                    "measure fewer cases at once."
                )
            yield file, told.st_size
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; a record that `python -m bench run` wrote was expected.") from None


def _at_once(path: str, flags: int) -> int:
    """Opens without waiting for who writes into a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def refused(path: Path, *faults: str) -> UsageError:
    """The error for a file that can't be used as a record."""
    return UsageError(f"{path}: {NOT_ONE}: {': '.join(faults)}.")


def check(path: Path, faults: Iterable[Fault]) -> None:
    """Raises UsageError, with the place, for the first of the faults that were found in a file."""
    for place, what in faults:
        raise refused(path, place, what)


def _said(error: str, content: bytes) -> str:
    """An error of msgspec, in words: `cases[1].samples[0] (tutorial/single-1/m1/b32): the field block is missing`."""
    what, _, at = error.partition(" - at `$.")
    what = re.sub(r"^Object missing required field (`.*`)$", r"the field \1 is missing", what)
    what = re.sub(r"^Object contains unknown field (`.*`)$", r"there is a field \1, which isn't known", what)
    what = re.sub(r"`([a-z]+(?: \| [a-z]+)*)`", _in_words, what) if what.startswith("Expected") else what
    what = what[:1].lower() + what[1:]
    place = at.rstrip("`")
    name, found = _at(place, content)
    if what.startswith("expected") and ", got" not in what and isinstance(found, int | float | str):
        shown = str(found)
        what += f", got {shown if len(shown) <= SHOWN_AT_MOST else shown[:SHOWN_AT_MOST] + '...'}"
    return f"{place}{f' ({name})' if name else ''}: {what}" if place else what


def _in_words(types: re.Match[str]) -> str:
    return " or ".join(_WORDS.get(name, f"`{name}`") for name in types[1].split(" | "))


def _at(place: str, content: bytes) -> tuple[str, Any]:
    """The name of the case that a place is in, empty if it can't be told, and what stands there."""
    name = ""
    try:
        found: Any = msgspec.json.decode(content)
        for key in re.findall(r"[^.\[\]]+", place):
            found = found[int(key) if isinstance(found, list) else key]
            if isinstance(found, dict) and not name:
                name = _name(found)
    except (ValueError, LookupError, TypeError, RecursionError):  # the rest of the file can be broken, too
        return name, None
    return name, found


def _name(found: dict[str, Any]) -> str:
    if isinstance(found.get("name"), str):
        return found["name"]
    try:
        case = msgspec.convert(found.get("case"), Case)
    except msgspec.ValidationError:
        return ""
    return "" if fault_of_case(case) else case.name


def _malformed(error: Exception, content: bytes) -> str:
    """What is wrong with a file that isn't JSON, and where."""
    if not content:
        return "it is empty"
    for beginning, what in _BEGINNINGS.items():
        if content.startswith(beginning):
            return what
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"it isn't UTF-8 in {_line(content, _first_undecodable(content))}"
    if found := re.fullmatch(r"JSON is malformed: (.*) \(byte (\d+)\)", str(error)):
        at = int(found[2])
        if word := _NOT_FINITE.match(content, at):
            sign = "-" if content[at - 1 : at] == b"-" else ""
            return f"{sign}{word[0].decode()}, which is no number of JSON, in {_line(content, at - len(sign))}"
        return f"{found[1]} in {_line(content, at)}"
    return f"it ends too early, in {_line(content, len(content))}"


def _first_undecodable(content: bytes) -> int:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _line(content: bytes, at: int) -> str:
    """Where a byte is, as editors count."""
    before = content[:at]
    return f"line {before.count(10) + 1}, column {at - before.rfind(10)}"


class _Version(msgspec.Struct):
    schema: Annotated[int, msgspec.Meta(ge=1)]
