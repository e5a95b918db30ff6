"""What processes say of themselves, and whether by that they can work together."""

from __future__ import annotations

import importlib.metadata
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from toynet import facts
from toynet.errors import UsageError
from toynet.facts import check_alike, hosts, kernels, named, unreachable


def fact(host: str, network: str = "1", kernel: str = "k", address: str = "", **packages: str) -> dict[str, Any]:
    versions = {"jax": "0.10.2", "jaxlib": "0.10.2", **packages}
    return {"host": host, "network": network, "kernel": kernel, "address": address, "packages": versions}


def test_processes_share_a_host_if_they_have_its_name_and_its_network() -> None:
    assert hosts([fact("a"), fact("b"), fact("a"), fact("a", "2"), fact("b")]) == [0, 1, 0, 2, 1]


def test_two_machines_of_one_name_are_two_hosts() -> None:
    assert hosts([fact("localhost", kernel="k"), fact("localhost", kernel="l")]) == [0, 1]


def test_hosts_that_are_containers_of_one_machine_run_on_one_kernel() -> None:
    assert kernels([fact("a"), fact("a", "2"), fact("b"), fact("c", kernel="l")]) == [0, 0, 0, 1]


def test_where_kernels_cannot_be_told_apart_each_host_has_one() -> None:
    assert kernels([fact("a", kernel=""), fact("b", kernel=""), fact("a", kernel="")]) == [0, 1, 0]


def test_a_process_says_of_itself_what_others_need() -> None:
    own = facts.own()
    assert own["host"] == socket.gethostname()
    assert own["packages"]["jaxlib"] == importlib.metadata.version("jaxlib")
    assert own["network"] == str(os.stat("/proc/self/ns/net").st_ino)
    assert own["kernel"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip() != ""
    check_alike([own, own])


def test_a_mixed_jaxlib_is_refused_with_the_rank_the_host_and_both_versions() -> None:
    with pytest.raises(UsageError) as raised:
        check_alike([fact("a"), fact("b"), fact("c", jaxlib="0.10.1")])
    assert str(raised.value) == (
        "rank 2 on c has jaxlib 0.10.1, and rank 0 on a 0.10.2; install the same versions everywhere."
    )


def test_a_package_that_only_some_processes_have_is_refused() -> None:
    with pytest.raises(UsageError, match=r"rank 1 on b has libtpu \(none\), and rank 0 on a 1\.0"):
        check_alike([fact("a", libtpu="1.0"), fact("b")])
    with pytest.raises(UsageError, match=r"rank 1 on b has libtpu 1\.0, and rank 0 on a \(none\)"):
        check_alike([fact("a"), fact("b", libtpu="1.0")])


def test_a_host_whose_name_is_its_own_loopback_is_out_of_reach_of_another_host() -> None:
    found = unreachable([fact("a", address="10.0.0.1"), fact("b", address="127.0.1.1")])
    assert found.startswith("rank 1 on b has 127.0.1.1 for the address of b, where no other host can")


def test_processes_of_one_host_reach_each_other_by_loopback() -> None:
    assert unreachable([fact("a", address="127.0.1.1"), fact("a", address="127.0.1.1")]) == ""


def test_hosts_with_addresses_of_a_network_and_those_without_a_name_are_left_alone() -> None:
    assert unreachable([fact("a", address="10.0.0.1"), fact("b", address="10.0.0.2"), fact("c")]) == ""


def test_a_process_says_the_address_of_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "localhost")
    assert facts.own()["address"] == "127.0.0.1"


def test_a_host_name_that_nothing_knows_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "no such host")
    assert facts.own()["address"] == ""


def test_a_process_is_named_by_rank_and_host() -> None:
    assert named(3, "node7") == "rank 3 on node7"
