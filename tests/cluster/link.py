"""Two hosts on one machine with a link between them: network namespaces, and what delays and slows their packets.

Needs root, iproute2 and util-linux. Whatever becomes of the process that made it, nothing of it stays behind.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CABLE = "eth0"
PORTS = ("port0", "port1")
PREFIX = "toynet"
# Ethernet's header counts, as tc counts it; of 1500 bytes TCP's and IP's headers take 52.
PAYLOAD_OF_FRAME = (1500 - 52) / (1500 + 14)
# A few frames: more would go out at once after a pause, fewer than the kernel's timers can make up for.
BURST_BYTES = 4000
# Of what is waiting to be sent: so much that none is ever dropped.
QUEUE_BYTES = 2**23
# No command here takes a second, on a link that works.
MOST_S = 60
NAMESPACES = Path("/run/netns")
FILES = Path("/etc/netns")


@dataclass(frozen=True)
class Host:
    """A namespace: a network, cores and a name of its own, by which the other one finds it."""

    name: str
    address: str
    cores: tuple[int, ...]

    def command(self, *command: str) -> list[str]:
        """A command line that runs another one there, as the same process."""
        named = 'echo "$0" > /proc/sys/kernel/hostname && exec "$@"'
        own = ("taskset", "--cpu-list", ",".join(map(str, self.cores)), "ip", "netns", "exec", self.name)
        return [*own, "unshare", "--uts", "sh", "-c", named, self.name, *command]

    def processes(self) -> list[int]:
        """All that run there."""
        return [int(pid) for pid in _run("ip", "netns", "pids", self.name).split()]


@dataclass(frozen=True)
class Link:
    hosts: tuple[Host, Host]
    latency_s: float
    """One way."""
    bits_per_s: float
    how: str

    def shape(self, bits_per_s: float) -> None:
        """Another bandwidth from now on, both ways."""
        for host in self.hosts:
            _shape(host, self.how, self.latency_s, bits_per_s)

    def cut(self) -> None:
        """Nothing comes through any more, and nobody is told."""
        _run("ip", "-n", self.hosts[1].name, "link", "set", CABLE, "down")

    def measured(self, port: int = 7000) -> tuple[float, float]:
        """One-way latency in seconds, and bits of payload a second, from the first host to the second."""
        near, far = self.hosts
        probe = (sys.executable, str(HERE / "probe.py"))
        with _ready(far.command(*probe, "serve", str(port))):
            latency_s, bits_per_s = _run(*near.command(*probe, "measure", far.address, str(port))).split()
        return float(latency_s), float(bits_per_s)


@contextlib.contextmanager
def linked(latency_s: float, bits_per_s: float) -> Iterator[Link]:
    """Two hosts and their link, of a latency one way and a bandwidth each way."""
    _sweep()
    name = f"{PREFIX}-{os.getpid()}-{secrets.token_hex(2)}"
    cores = sorted(os.sched_getaffinity(0))
    half = len(cores) // 2
    hosts = Host(f"{name}-a", "10.0.0.1", tuple(cores[: half or 1])), Host(f"{name}-b", "10.0.0.2", tuple(cores[half:]))
    between = f"{name}-wire"
    with _swept_afterwards([hosts[0].name, hosts[1].name, between]):
        for host in hosts:
            _make(host.name)
            FILES.joinpath(host.name).mkdir(parents=True)
            known = "".join(f"{each.address} {each.name}\n" for each in hosts)
            FILES.joinpath(host.name, "hosts").write_text(f"127.0.0.1 localhost\n{known}")
        if _has_netem(hosts[0].name):
            yield from _by_netem(hosts, latency_s, bits_per_s)
        else:
            yield from _by_switch(hosts, between, latency_s, bits_per_s)


def _by_netem(hosts: tuple[Host, Host], latency_s: float, bits_per_s: float) -> Iterator[Link]:
    _cable(hosts[0].name, CABLE, hosts[1].name, CABLE)
    _address(hosts)
    link = Link(hosts, latency_s, bits_per_s, "netem")
    link.shape(bits_per_s)
    yield link


def _by_switch(hosts: tuple[Host, Host], between: str, latency_s: float, bits_per_s: float) -> Iterator[Link]:
    _make(between)
    for host, port in zip(hosts, PORTS, strict=True):
        _cable(between, port, host.name, CABLE)
    _address(hosts)
    link = Link(hosts, latency_s, bits_per_s, "tbf and a switch")
    link.shape(bits_per_s)
    switch = (sys.executable, str(HERE / "switch.py"), str(latency_s), str(bits_per_s), *PORTS)
    with _ready(["ip", "netns", "exec", between, *switch]):
        yield link


def _shape(host: Host, how: str, latency_s: float, bits_per_s: float) -> None:
    rate = f"{bits_per_s:.0f}bit"
    netem = ("netem", "delay", f"{latency_s * 1e6:.0f}us", "rate", rate, "limit", str(QUEUE_BYTES // 1500))
    tbf = ("tbf", "rate", rate, "burst", str(BURST_BYTES), "limit", str(QUEUE_BYTES))
    _run("tc", "-n", host.name, "qdisc", "replace", "dev", CABLE, "root", *(netem if how == "netem" else tbf))


def _has_netem(namespace: str) -> bool:
    """Whether this kernel can delay packets by itself."""
    loopback = ("dev", "lo", "root", "netem")
    tried = ("tc", "-n", namespace, "qdisc", "add", *loopback, "delay", "1ms")
    if subprocess.run(tried, capture_output=True).returncode != 0:
        return False
    _run("tc", "-n", namespace, "qdisc", "del", *loopback)
    return True


def _make(namespace: str) -> None:
    _run("ip", "netns", "add", namespace)
    _run("ip", "-n", namespace, "link", "set", "lo", "up")


def _cable(namespace: str, end: str, other_namespace: str, other_end: str) -> None:
    other = ("peer", "name", other_end, "netns", other_namespace)
    _run("ip", "-n", namespace, "link", "add", end, "type", "veth", *other)
    _run("ip", "-n", namespace, "link", "set", end, "up")
    _run("ip", "-n", other_namespace, "link", "set", other_end, "up")


def _address(hosts: Sequence[Host]) -> None:
    for host in hosts:
        _run("ip", "-n", host.name, "address", "add", f"{host.address}/24", "dev", CABLE)


@contextlib.contextmanager
def _ready(command: Sequence[str]) -> Iterator[None]:
    """While another process runs, from when it says that it is ready."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", f"it ended at once: {' '.join(command)}"
            yield
        finally:
            process.kill()


@contextlib.contextmanager
def _swept_afterwards(names: Sequence[str]) -> Iterator[None]:
    """A shell outside waits for the end of this process, however that comes, and then clears away what it made."""
    script = f"cat > /dev/null; {'; '.join(map(_clearing, names))}"
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, start_new_session=True):
        yield


def _sweep() -> None:
    """What is left of processes that were ended together with their shell."""
    left = {path.name for folder in (NAMESPACES, FILES) if folder.is_dir() for path in folder.iterdir()}
    for name in sorted(left):
        if (found := re.match(rf"{PREFIX}-(\d+)-", name)) and not Path("/proc", found[1]).exists():
            subprocess.run(["sh", "-c", _clearing(name)], check=True)


def _clearing(name: str) -> str:
    """A shell's commands; quiet, and done, where there is nothing of that name."""
    ended = f"for _ in 1 2 3; do ip netns pids {name} | xargs -r kill -KILL; done"
    return f"{{ {ended}; ip netns del {name}; rm -rf {FILES / name}; rmdir {FILES}; }} 2> /dev/null || true"


def _run(*command: str) -> str:
    """What it prints; raises CalledProcessError, with its complaint shown, if it fails."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=MOST_S).stdout
