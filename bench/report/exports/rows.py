"""A row a sample, with all that says of what it is one: what `csv` and `columns` write, as docs/exports.md has them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence

from bench.cases import Case
from bench.comparison import Comparison, PairResult, shares_cores
from bench.environment import Backend, Host
from bench.measured import Cost
from bench.record import CaseResult, Record
from bench.report.exports.source import Source, judged
from bench.summary import summaries

Row = dict[str, str | int | float | bool | None]


def as_csv(sources: Sequence[Source]) -> str:
    """Comma-separated under headings, lines ended as RFC 4180 has it; a number that is missing is empty."""
    found = list(rows(sources))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, found[0])
    writer.writeheader()
    writer.writerows(found)
    return text.getvalue()


def as_columns(sources: Sequence[Source]) -> str:
    """A JSON object of columns, all of one length, each of one type with null where there is none.

    Lines of JSON would say the keys again in each, and readers guess their types by the first of them.
    """
    found = list(rows(sources))
    columns = {name: [row[name] for row in found] for name in found[0]}
    lines = (f" {json.dumps(name)}: {json.dumps(column)}" for name, column in columns.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def rows(sources: Sequence[Source]) -> Iterator[Row]:
    """All samples of all files, in their order."""
    for source in sources:
        if isinstance(source.content, Comparison):
            yield from _of_comparison(source, source.content)
        else:
            yield from _of_run(source, source.content)


def _of_run(source: Source, record: Record) -> Iterator[Row]:
    for summary in summaries(record):
        result = summary.result
        if result.status == "measured":
            machine = _machine(record.host, record.backend, summary.oversubscribed)
            where = _file(source, record.created, record.host.commit) | machine
            yield from ({**where, **_case(result.case, result.cost), **sample} for sample in _samples(result))


def _samples(result: CaseResult) -> Iterator[Row]:
    for sample in result.samples:
        block = sample.block
        dispatch_s = None if block.dispatch_s is None else block.dispatch_s / block.steps
        yield _block("", sample.kind, sample.restart, sample.round, block.steps, block.seconds) | {
            "dispatch_s": dispatch_s,
            "fastest_s": block.fastest_s,
        }


def _of_comparison(source: Source, comparison: Comparison) -> Iterator[Row]:
    for pair in judged(comparison):
        for at, side in enumerate((comparison.a, comparison.b)):
            case = (pair.a, pair.b)[at]
            assert case is not None  # a pair with a ratio has both sides
            machine = _machine(comparison.host, side.backend, shares_cores(comparison, side, case))
            where = _file(source, comparison.created, side.commit) | machine
            what = _case(case, pair.costs[at] if pair.costs else None)
            yield from ({**where, **what, **sample} for sample in _rounds(pair, at))


def _rounds(pair: PairResult, at: int) -> Iterator[Row]:
    for restart, of in enumerate(pair.restarts):
        for number, played in enumerate(of.rounds):
            block_s = (played.a_s, played.b_s)[at]
            sample = _block("AB"[at], pair.kind, restart, number, of.steps[at], block_s)
            yield sample | {"dispatch_s": None, "fastest_s": None}


def _file(source: Source, created: str, commit: str | None) -> Row:
    return {"record": source.name, "created": created, "commit": commit or ""}


def _machine(host: Host, backend: Backend, shared: bool) -> Row:
    return {
        "cpu_model": host.cpu_model,
        "platform": backend.platform,
        "device_kind": backend.device_kind,
        "jax": backend.packages.get("jax", ""),
        "oversubscribed": shared,
    }


def _case(case: Case, cost: Cost | None) -> Row:
    return {
        "case": case.name,
        "workload": case.workload,
        "mode": case.mode,
        "path": case.path,
        "devices": case.devices,
        "member_shards": case.member_shards,
        "data_shards": case.data_shards,
        "processes": case.processes,
        "members": case.members,
        "batch": case.batch,
        "dtype": case.dtype,
        "compute_dtype": case.products,
        "hidden_layers": case.hidden_layers,
        "hidden_dim": case.hidden_dim,
        "deterministic": case.deterministic,
        "flops": cost and cost.flops,
        "peak_bytes": cost and cost.peak_bytes,
    }


def _block(side: str, kind: str, restart: int, number: int, steps: int, block_s: float) -> Row:
    return {
        "side": side,
        "kind": kind,
        "restart": restart,
        "round": number,
        "steps": steps,
        "block_s": block_s,
        "step_s": block_s / steps,
    }
