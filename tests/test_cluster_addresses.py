"""toynet/cluster.py: whether hosts can reach each other by their own names, as Gloo does."""

from __future__ import annotations

import pytest

from toynet.cluster import check_reachable, facts
from toynet.errors import UsageError


def told(host: str, address: str) -> dict[str, str]:
    return {"host": host, "network": "1", "address": address}


def test_a_host_whose_name_is_its_own_loopback_is_refused_beside_another_host() -> None:
    with pytest.raises(
        UsageError, match=r"^rank 1 on b has 127\.0\.1\.1 for the address of b, where no other host can"
    ):
        check_reachable([told("a", "10.0.0.1"), told("b", "127.0.1.1")])


def test_processes_of_one_host_reach_each_other_by_loopback() -> None:
    check_reachable([told("a", "127.0.1.1"), told("a", "127.0.1.1")])


def test_hosts_with_addresses_of_a_network_and_those_without_a_name_are_left_alone() -> None:
    check_reachable([told("a", "10.0.0.1"), told("b", "10.0.0.2"), told("c", "")])


def test_a_process_says_the_address_of_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "localhost")
    assert facts()["address"] == "127.0.0.1"


def test_a_host_name_that_nothing_knows_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "no such host")
    assert facts()["address"] == ""
