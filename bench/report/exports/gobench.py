"""Go's benchmark format (golang.org/design/14313-benchmark-format), which benchstat reads: a line a block."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from bench.cases import Case
from bench.record import Record
from bench.report.exports.source import Source, Timed, examples, nanoseconds, timed
from bench.report.harmless import harmless
from bench.report.words import environment_lines

# benchstat knows of ns/op by itself that less is better; it reads those as sec/op.
UNITS = ("Unit samples/s better=higher", "Unit peak-B better=lower assume=exact")


def render(sources: Sequence[Source]) -> str:
    """All records one after another; each says again on what machine it was made. Takes records of runs only."""
    return "".join(_record(source.content) for source in sources if isinstance(source.content, Record))


def _record(record: Record) -> str:
    lines = [f"# {harmless(said)}" for said in environment_lines(record)]
    lines += [f"{key}: {harmless(value)}" for key, value in _machine(record).items()]
    lines += [*UNITS, *(line for of in timed(record) for line in _blocks(of)), ""]
    return "\n".join(lines) + "\n"


def _machine(record: Record) -> dict[str, str]:
    """What benchstat keeps apart: where one of these differs, it makes a table of its own.

    So nothing of versions and commits, which are what one compares: those stand in comments.
    """
    return {
        "cpu": record.host.cpu_model,
        "cores": str(len(record.host.usable_cores)),
        "platform": record.backend.platform,
        "device": record.backend.device_kind,
    }


def _blocks(of: Timed) -> list[str]:
    name, cost = _name(of), of.summary.result.cost
    memory = "" if cost is None else f"\t{cost.peak_bytes} peak-B"
    return [
        f"{name}\t{block.steps}\t{nanoseconds(block.seconds / block.steps):.12g} ns/op"
        f"\t{examples(of.case) * block.steps / block.seconds:.12g} samples/s{memory}"
        for block in of.blocks
    ]


def _name(of: Timed) -> str:
    """`BenchmarkStep/workload=tutorial/mode=single/.../kind=latency-1`: keys for `benchstat -col /kind`; -devices."""
    keys = "".join(f"/{key}={_word(value)}" for key, value in _keys(of.case).items())
    return f"BenchmarkStep{keys}/kind={of.kind}{'/oversubscribed' * of.summary.oversubscribed}-{of.case.devices}"


def _keys(case: Case) -> dict[str, str]:
    keys = {"workload": case.workload, "mode": case.mode, "mesh": case.mesh}
    keys |= {"members": str(case.members), "batch": str(case.batch)}
    keys |= {"processes": str(case.processes)} if case.processes > 1 else {}
    variant = "+".join([*case.variant, *["deterministic"] * case.deterministic])
    return keys | ({"variant": variant} if variant else {})


def _word(text: str) -> str:
    """Without what ends a field or a key; what is replaced is percent-encoded, so that names stay different."""
    return "".join(quote(c, safe="") if c in "/=%" or c.isspace() or not c.isprintable() else c for c in text)
