"""The processes of a run have to be alike; a run over those that aren't is refused with what differs."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from bench.company import check_alike
from bench.environment import Backend, Host
from bench.record import Process
from toynet.errors import UsageError

BACKEND = Backend("cpu", "cpu", 1, True, {}, "3", {"jax_enable_x64": "False"})
HOST = Host("a CPU", 2, (0, 1), 1, "Linux", {}, "1234abc", dirty=False)


def process(rank: int, host: Host = HOST, **of_backend: Any) -> Process:
    return Process(rank, "ab"[rank], rank, host, dataclasses.replace(BACKEND, **of_backend))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (process(1, platform="gpu"), "rank 1 on b has platform gpu, and rank 0 on a cpu;"),
        (process(1, device_count=2), "rank 1 on b has devices 2, and rank 0 on a 1;"),
        (
            process(1, settings={"jax_enable_x64": "True"}),
            "rank 1 on b has jax_enable_x64 True, and rank 0 on a False;",
        ),
        (
            process(1, dataclasses.replace(HOST, commit="5678def")),
            "rank 1 on b has commit 5678def, and rank 0 on a 1234abc;",
        ),
        (
            process(1, dataclasses.replace(HOST, dirty=True)),
            "rank 1 on b has commit 1234abc with changes, and rank 0 on a 1234abc; all processes of a run need",
        ),
    ],
)
def test_a_process_that_runs_something_else_or_on_something_else_is_refused(other: Process, said: str) -> None:
    check_alike(process(0), process(1))
    with pytest.raises(UsageError, match=said):
        check_alike(process(0), other)
