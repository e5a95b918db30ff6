"""The flags by which processes find each other, and what of them doesn't go together."""

import dataclasses
from typing import Any

import pytest

from toynet.cluster import LAUNCHERS, Place
from toynet.errors import UsageError
from toynet.joining import LIMIT_S, Joining

BY_HAND = {"coordinator": "node1:8476", "processes": 4, "process_id": 2}


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*LAUNCHERS, "JAX_COORDINATOR_ADDRESS", "JAX_LOCAL_DEVICE_IDS"):
        monkeypatch.delenv(name, raising=False)


def place(**flags: Any) -> Place | None:
    return Joining(**flags).place(LIMIT_S)


def test_without_flags_a_process_runs_alone() -> None:
    assert place() is None
    assert place(distributed="off") is None
    assert all(field.default is None for field in dataclasses.fields(Joining))


def test_a_place_is_told_by_hand() -> None:
    assert place(**BY_HAND) == Place("node1", 8476, 4, 2)
    assert place(**{**BY_HAND, "coordinator": "[fd00::1]:80"}) == Place("fd00::1", 80, 4, 2)


def test_with_auto_what_is_told_by_hand_needs_no_launcher() -> None:
    assert place(distributed="auto", **BY_HAND) == Place("node1", 8476, 4, 2)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]"])
def test_a_coordinator_on_this_machine_is_on_loopback_however_it_is_written(name: str) -> None:
    found = place(**{**BY_HAND, "coordinator": f"{name}:80"})
    assert found == Place("127.0.0.1", 80, 4, 2)


def test_one_process_of_one_runs_alone() -> None:
    assert place(coordinator="node1:80", processes=1, process_id=0) is None
    assert place(distributed="auto", coordinator="node1:80", processes=1, process_id=0) is None
    assert place(local_processes=1) is None


def test_local_processes_have_rank_0_here_and_a_port_that_is_free_then() -> None:
    assert place(local_processes=3) == Place("127.0.0.1", 0, 3, 0)


def test_an_address_names_a_host_and_a_port_of_either_family() -> None:
    assert Place("node1", 80, 2, 0).address == "node1:80"
    assert Place("fd00::1", 80, 2, 0).address == "[fd00::1]:80"


@pytest.mark.parametrize("part", BY_HAND)
def test_a_part_of_what_is_told_by_hand_lacks_the_others(part: str) -> None:
    others = [f"--{name.replace('_', '-')}" for name in BY_HAND if name != part]
    with pytest.raises(UsageError) as raised:
        place(**{part: BY_HAND[part]})
    assert str(raised.value) == f"{' and '.join(others)} must be given as well, or found by --distributed auto."


@pytest.mark.parametrize("more", [{name: value} for name, value in {**BY_HAND, "distributed": "auto"}.items()])
def test_local_processes_take_no_other_flag(more: dict[str, Any]) -> None:
    said = (
        "--local-processes starts processes by itself; leave --distributed, --coordinator, --processes and "
        "--process-id out."
    )
    with pytest.raises(UsageError) as raised:
        place(local_processes=2, **more)
    assert str(raised.value) == said


def test_local_processes_that_were_told_to_run_alone_are_refused() -> None:
    with pytest.raises(UsageError, match="--local-processes starts processes by itself"):
        place(local_processes=2, distributed="off")


@pytest.mark.parametrize("count", [0, -1])
def test_fewer_local_processes_than_one_are_refused(count: int) -> None:
    with pytest.raises(UsageError, match=f"--local-processes must be at least 1, got {count}"):
        place(local_processes=count)


def test_off_runs_alone_and_takes_nothing_that_is_told_by_hand() -> None:
    with pytest.raises(UsageError, match="--distributed off runs alone; leave --coordinator, --processes and "):
        place(distributed="off", **BY_HAND)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"coordinator": "node1"}, "--coordinator is written as HOST:PORT, such as node1:8476, got 'node1'"),
        ({"coordinator": ":80"}, "got ':80'"),
        ({"coordinator": "node1:"}, "got 'node1:'"),
        ({"coordinator": "node1:0"}, "got 'node1:0'"),
        ({"coordinator": "node1:65536"}, "got 'node1:65536'"),
        ({"coordinator": "node1:http"}, "got 'node1:http'"),
        ({"processes": 0}, "--processes must be at least 1, got 0"),
        ({"process_id": 4}, "--process-id must be from 0 to 3 for 4 processes, got 4"),
        ({"process_id": -1}, "got -1"),
    ],
)
def test_what_cannot_be_a_place_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        place(**{**BY_HAND, **wrong})


@pytest.mark.parametrize(("variable", "launcher"), LAUNCHERS.items())
@pytest.mark.parametrize("flags", [{}, {"local_processes": 2}])
def test_one_of_several_that_a_launcher_started_is_refused_unless_it_says_how(
    variable: str, launcher: str, flags: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "2")
    with pytest.raises(UsageError, match=f"{launcher} started 2 processes together, .*--distributed auto joins them"):
        place(**flags)
    assert place(distributed="off") is None
    assert place(**BY_HAND) == Place("node1", 8476, 4, 2)
    monkeypatch.setenv(variable, "1")
    assert place() is None


def test_the_devices_of_a_process_are_told_as_jax_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_LOCAL_DEVICE_IDS", "2,3")
    found = place(**BY_HAND)
    assert found is not None
    assert found == Place("node1", 8476, 4, 2, (2, 3))
    assert found.environment == {"JAX_LOCAL_DEVICE_IDS": "2,3"}
    assert Place("node1", 80, 2, 0).environment == {}
    monkeypatch.setenv("JAX_LOCAL_DEVICE_IDS", "first")
    with pytest.raises(UsageError, match="JAX_LOCAL_DEVICE_IDS must be numbers separated by commas, got 'first'"):
        place(**BY_HAND)
