"""Two hosts with a link between them that is known, and what the record's model makes of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from link import HERE, NAMESPACES, PAYLOAD_OF_FRAME, Link, linked
from processes import marked
from tools import needed

LATENCY_S = 1e-3
BITS_PER_S = 100e6


@pytest.fixture(scope="module")
def link() -> Iterator[Link]:
    needed("iproute2", "ip", "tc", root=True)
    with linked(LATENCY_S, BITS_PER_S) as made:
        yield made


def test_the_link_is_what_was_set(link: Link, capsys: pytest.CaptureFixture[str]) -> None:
    latency_s, payload_bits_per_s = link.measured()
    bits_per_s = payload_bits_per_s / PAYLOAD_OF_FRAME
    with capsys.disabled():
        print(f"\nlink by {link.how}: {latency_s * 1e3:.2f} ms one way, {bits_per_s / 1e6:.1f} Mbit/s")
    assert latency_s == pytest.approx(LATENCY_S, rel=0.1)
    assert bits_per_s == pytest.approx(BITS_PER_S, rel=0.03)


def test_each_host_has_its_own_name_and_both_are_known_by_it(link: Link) -> None:
    asked = "import socket, sys; print(socket.gethostname(), *map(socket.gethostbyname, sys.argv[1:]))"
    names = [host.name for host in link.hosts]
    for host in link.hosts:
        done = subprocess.run(host.command(sys.executable, "-c", asked, *names), capture_output=True, text=True)
        assert done.stdout.split() == [host.name, *(each.address for each in link.hosts)]


def test_nothing_of_a_link_stays_behind_where_its_process_is_killed() -> None:
    needed("iproute2", "ip", "tc", root=True)
    script = (
        "import subprocess, time; from link import linked\n"
        "with linked(1e-3, 1e8) as link:\n"
        "    subprocess.Popen(link.hosts[0].command('sleep', '1000'))\n"
        "    print('made', flush=True); time.sleep(1000)"
    )
    mark = ("TOYNET_TEST_OF_A_LINK", str(os.getpid()))
    made = subprocess.Popen(
        [sys.executable, "-c", script], cwd=HERE, env=os.environ | dict([mark]), stdout=subprocess.PIPE, text=True
    )
    with made:
        assert made.stdout is not None
        assert made.stdout.readline() == "made\n"
        assert _namespaces_of(made.pid)
        made.kill()
    until = time.monotonic() + 10
    while marked(*mark) and time.monotonic() < until:
        time.sleep(0.05)
    assert not marked(*mark)
    assert not _namespaces_of(made.pid)


def _namespaces_of(pid: int) -> list[str]:
    return [path.name for path in NAMESPACES.iterdir() if f"-{pid}-" in path.name]
