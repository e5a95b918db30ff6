"""What a process prints is kept within bounds, and its last lines are told with how much there was."""

import os

import pytest

from toynet.printed import Printed


def test_what_is_printed_is_bounded_and_how_much_it_was_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toynet.printed.PRINTED_BYTES", 1000)
    printed = Printed()
    for _ in range(5):
        os.write(printed.file.fileno(), b"a line\n" * 100)
        printed.bound()
    assert os.fstat(printed.file.fileno()).st_size <= 1000
    os.write(printed.file.fileno(), b"and the last")
    assert printed.after("it ended") == "it ended; it last printed (of 0 MB): " + " | ".join(
        ["a line", "a line", "a line", "and the last"]
    )
    printed.file.close()
