"""The report of a record, with its tables."""

from __future__ import annotations

from bench.breakdown import breakdowns
from bench.growth import growths
from bench.record import Record
from bench.report import accelerators, growth, quantity, scaling, spread, stragglers, traces
from bench.report.document import Column, Report, Table
from bench.report.words import environment_lines, sentences
from bench.scaling import series
from bench.summary import Summary, summaries

COLUMNS = (
    Column("mode", numeric=False),
    Column("devices"),
    Column("members"),
    Column("batch", expendable=6, tells=True),
    Column("latency"),
    Column("throughput", expendable=3),
    Column("fused"),
    Column("dispatch", expendable=4),
    Column("samples/s"),
    Column("vs single", expendable=1),
    Column("fused vs single", expendable=2),
    Column("compile", expendable=5),
    Column("memory", expendable=5),
    Column("remarks", numeric=False),
)

LEGEND = (
    "latency: a step that is waited for. throughput: a chain of steps, bounded in flight. fused: many steps in one "
    "program. dispatch: until the call returns. The median over restarts, ± half of its 95% interval, which comes "
    "from the restarts.",
    "samples/s: examples a second, counted once for each member, by the fastest of the three. vs single: how many "
    "times the examples a second of single, latency against latency, and fused against fused; {how}.",
    "compile: the step alone, without tracing. memory: arguments, outputs and temporaries on one device, as the "
    "compiler counts them. An empty cell wasn't measured, or has nothing to be compared with: a case "
    "whose first step takes over 0.2 s is only waited for.",
)


def build(record: Record) -> Report:
    """The report of a record."""
    cases, scaled, apart, grown = summaries(record), series(record), breakdowns(record), growths(record)
    workloads = dict.fromkeys(summary.case.workload for summary in cases)
    tables = [_table(record, name, [s for s in cases if s.case.workload == name]) for name in workloads]
    if not record.schedule.parts:  # the ratios to `single` stand in the table already
        scaled = []
    growing = growth.growth_tables(grown)
    return Report(
        title="Step time by mode and devices",
        environment=environment_lines(record),
        tables=(
            *tables,
            *scaling.scaling_tables(record, scaled),
            *scaling.parts_tables(record, apart),
            *growing,
            *stragglers.tables(record),
        ),
        sentences=sentences(record, cases, scaled, apart, grown),
        legend=(
            *(line.replace("{how}", accelerators.how_compared(record)) for line in LEGEND),
            *[scaling.SCALING_LEGEND] * bool(scaled),
            *spread.legend(record, scaled=bool(scaled)),
            *[scaling.PARTS_LEGEND] * bool(apart),
            *[growth.LEGEND] * bool(growing),
        ),
        links=traces.links(record.cases),
    )


def _table(record: Record, workload: str, cases: list[Summary]) -> Table:
    return spread.shown(record, workload, COLUMNS, [_row(record, summary) for summary in cases])


def _row(record: Record, summary: Summary) -> tuple[str, ...]:
    case, cost = summary.case, summary.result.cost
    return (
        case.mode + (" deterministic" if case.deterministic else ""),
        quantity.Number(case.mesh, case.devices),
        *spread.counts(record, case),
        quantity.count(case.members),
        quantity.count(case.batch),
        quantity.seconds(summary.step_s.get("latency")),
        quantity.seconds(summary.step_s.get("throughput")),
        quantity.seconds(summary.step_s.get("fused")),
        quantity.seconds(summary.dispatch_s),
        quantity.rate(summary.samples_per_s),
        quantity.factor(summary.speedup.get("latency")),
        quantity.factor(summary.speedup.get("fused")),
        quantity.plain_seconds(summary.compile_s),
        quantity.size(cost.peak_bytes if cost and summary.step_s else None),
        _remarks(summary),
    )


def _remarks(summary: Summary) -> str:
    remarks = list(summary.case.variant)
    if summary.result.status != "measured":
        remarks.append({"broken": "BROKEN", "waiting": "not measured"}[summary.result.status])
    if summary.oversubscribed:
        remarks.append("oversubscribed")
    return ", ".join(remarks)
