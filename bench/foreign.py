"""Runs what a user wrote, and says in one sentence how it failed, and in which line."""

from __future__ import annotations

import contextlib
import re
import signal
import sysconfig
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from toynet import errors
from toynet.errors import UsageError

# Of a message: those of JAX go on for a page.
SHOWN = 300
_TRACEBACK = "Traceback (most recent call last):"
_FRAME = re.compile(r'File "(.+?)", line (\d+)')
# Files that a user didn't write.
_LIBRARIES = tuple(
    f"{folder}/"
    for folder in (
        *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
        Path(__file__).resolve().parent,
        Path(errors.__file__).resolve().parent,
    )
)


class _TooLong(BaseException):
    """Time is up. No Exception, which the code that takes so long might catch."""


@contextlib.contextmanager
def running(what: str, until: float | None = None) -> Iterator[None]:
    """A block that runs what a user wrote, `what` being the subject of a sentence about it, in the singular.

    Whatever it raises becomes a UsageError, sys.exit's and an interruption too: a worker gets none from outside.
    At `until` on the monotonic clock it is ended, as far as Python has a say in it.
    """
    try:
        with _ended_at(until):
            yield
    except UsageError:
        raise
    except _TooLong as error:
        raise UsageError(
            f"{what} takes too long: its time was up in {_line(error)}; make it quicker, or give it more by "
            "--time-limit."
        ) from None
    except SystemExit as error:
        raise UsageError(
            f"{what} ends the program by sys.exit({'' if error.code is None else error.code!r}) in {_line(error)}; "
            'keep what a script does under `if __name__ == "__main__":`.'
        ) from None
    except BaseException as error:  # noqa: BLE001, a user's code may raise anything
        raise UsageError(f"{what} raises {raised(error)}.") from None


def raised(error: BaseException) -> str:
    """An exception in words: its type, the user's line that it comes from, the first line of its message."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{type(error).__name__} in {_near(error.filename)}, line {error.lineno}: {error.msg}"
    if isinstance(error, SyntaxError):  # of what isn't text
        return f"{type(error).__name__}: {error.msg}"
    message, line = _message(error), _line_of_host(str(error)) or _line(error)
    message = message if len(message) <= SHOWN else f"{message[:SHOWN]}..."
    return f"{type(error).__name__} in {line}" + f": {message.rstrip('.')}" * bool(message)


def _message(error: BaseException) -> str:
    """The first line of what it says; two where the first only leads to the second. Where that has the traceback of a
    callback in it, what was raised there."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    if lines[0].endswith(_TRACEBACK):
        return lines[-1]
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1])


def _line(error: BaseException) -> str:
    """The innermost line of a user's that an exception went through; where there is none, the innermost."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(frame.filename)]
    if not frames:
        return "no line"
    return f"{_near((own or frames)[-1].filename)}, line {(own or frames)[-1].lineno}"


def _line_of_host(message: str) -> str:
    """The innermost line of a user's in the traceback of a callback, as XLA tells it; empty if it has none."""
    _, _, told = message.partition(_TRACEBACK)
    own = [found for found in _FRAME.findall(told) if _is_own(found[0])]
    return f"{_near(own[-1][0])}, line {own[-1][1]}" if own else ""


def _is_own(file: str) -> bool:
    return not file.startswith(("<", *_LIBRARIES))


def _near(file: str) -> str:
    """A file as one would name it from here."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


@contextlib.contextmanager
def _ended_at(until: float | None) -> Iterator[None]:
    if until is None or threading.current_thread() is not threading.main_thread():  # others get no signal
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, end)
    try:
        # Again and again, for what catches everything goes on.
        signal.setitimer(signal.ITIMER_REAL, max(1e-3, until - time.monotonic()), 1.0)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
