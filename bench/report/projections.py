"""The report of a projection: what the model is, how well it fits, and what it says of more devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.cost_model import EFFICIENT, MOST_DEVICES, Model, Term
from bench.measured import Kind
from bench.projection import Projected, Source, model_of, projected, reach, sources
from bench.record import Record
from bench.report import quantity
from bench.report.document import Column, Report, Table
from bench.report.words import environment_lines
from bench.summary import in_restarts
from toynet.errors import UsageError, unknown

COLUMNS = (
    Column("mode", numeric=False),
    Column("devices"),
    Column("members", expendable=2),
    Column("batch"),
    Column("step"),
    Column("samples/s"),
    Column("strong efficiency"),
    Column("weak efficiency", expendable=1),
    Column("remarks", numeric=False),
)
LEGEND = (
    "A step takes work x (examples x members of one device) + start + latency x h + bytes / bandwidth, and waiting for "
    "it a dispatch beside; h: 2 log2(n) messages one after another for an all-reduce, log2(n) for an all-gather or a "
    "reduce-scatter; bytes: 2 (n - 1) / n of what is reduced, (n - 1) / n of what is gathered or scattered (Thakur, "
    "Rabenseifner and Gropp 2005). Each is fitted to what was measured, unless it was given by hand or the data can't "
    "tell it.",
    "strong efficiency: against one device with the same global batch. weak: against one device with the same batch "
    "for each device. The intervals (95%) have what restarts scatter and what the model misses of the measured points; "
    "they know nothing of what other machines and networks do otherwise.",
)


@dataclass(frozen=True)
class Wanted:
    """What is to be projected; empty: all that there is."""

    devices: tuple[int, ...]
    batch: tuple[int, ...]
    workloads: tuple[str, ...]
    modes: tuple[str, ...]
    link: Mapping[Term, float]
    waited: bool

    def __post_init__(self) -> None:
        for name, values in {"devices": self.devices, "batch": self.batch}.items():
            for value in values:
                if not 1 <= value <= MOST_DEVICES:
                    raise UsageError(f"{name} must be from 1 to {MOST_DEVICES}, got {value}.")


def link(latency_s: float, bandwidth: float) -> dict[Term, float]:
    """Coefficients that are given by hand; 0: not given."""
    found: dict[Term, float] = {"latency": latency_s} if latency_s else {}
    return {**found, "bytes": 1 / bandwidth} if bandwidth else found


def build(record: Record, wanted: Wanted) -> Report:
    """The report; raises UsageError where nothing of the record can be projected, with the reasons."""
    chosen = _chosen(record, wanted)
    tables, said, refused = [], [], []
    for source in chosen:
        try:
            model = model_of(source, wanted.link)
        except UsageError as error:
            refused.append(str(error))
            continue
        tables.append(_table(source, model, wanted))
        said += _sentences(source, model, wanted)
    if not tables:
        raise UsageError(refused[0])
    return Report("Projection", environment_lines(record), tuple(tables), (*said, *refused), LEGEND)


def _chosen(record: Record, wanted: Wanted) -> list[Source]:
    found = sources(record)
    for what, names, present in (
        ("workload", wanted.workloads, {source.workload for source in found}),
        ("mode", wanted.modes, {source.mode for source in found}),
    ):
        for name in names:
            if name not in present:
                raise unknown(f"{what} that was measured on several devices", name, sorted(present))
    if not found:
        raise UsageError(
            "no case of the record divides work over devices and stands beside the same on one device, without being "
            "broken; `python -m bench run --scaling strong,weak` measures such cases."
        )
    return [
        source
        for source in found
        if source.workload in (wanted.workloads or (source.workload,))
        and source.mode in (wanted.modes or (source.mode,))
    ]


def _kind(source: Source, wanted: Wanted) -> Kind:
    one_program = all(in_restarts(result, "fused") for result in (*source.one, *source.several))
    return "fused" if one_program and not wanted.waited else "latency"


def _batches(source: Source, wanted: Wanted) -> Sequence[int]:
    return wanted.batch or sorted({result.case.batch for result in source.one})


def _table(source: Source, model: Model, wanted: Wanted) -> Table:
    kind, members = _kind(source, wanted), source.base.case.members
    rows = [
        _row(source, projected(model, devices, batch, members, kind))
        if devices <= batch * members
        else _too_few(source, devices, batch)
        for batch in _batches(source, wanted)
        for devices in wanted.devices
    ]
    how = "waited for" if kind == "latency" else "in one program"
    return Table(f"{source.workload}, {source.mode}: a step {how}", COLUMNS, tuple(rows))


def _row(source: Source, found: Projected) -> tuple[str, ...]:
    measured = {result.case.devices for result in source.several}
    return (
        source.mode,
        str(found.devices),
        str(source.base.case.members),
        str(found.batch),
        quantity.seconds(found.step_s),
        quantity.rate(found.samples_per_s),
        quantity.percent(found.strong),
        quantity.percent(found.weak),
        "within what was measured" if found.devices <= max(measured, default=1) else "projected",
    )


def _too_few(source: Source, devices: int, batch: int) -> tuple[str, ...]:
    members = source.base.case.members
    return (source.mode, str(devices), str(members), str(batch), "", "", "", "", "more devices than examples")


def _sentences(source: Source, model: Model, wanted: Wanted) -> list[str]:
    kind, members = _kind(source, wanted), source.base.case.members
    name = f"{source.workload}, {source.mode}"
    said = [f"{name}: {_fit(source, model, wanted)}"]
    for batch in _batches(source, wanted):
        low, middle, high = reach(model, batch, members, kind)
        most = min(batch * members, MOST_DEVICES)
        upto = f"{middle} devices ({low} to {high})" if low < high else f"{middle} devices"
        beyond = ", as many as there are examples" if middle == most else ""
        said.append(
            f"{name}: at a batch of {batch}, efficiency stays over {100 * EFFICIENT:.0f}% up to {upto}{beyond}."
        )
    if source.left_out:
        counts = sorted({result.case.devices for result in source.left_out})
        said.append(
            f"{name}: times on {', '.join(map(str, counts))} devices are oversubscribed and weren't used; their counts "
            "of collectives were."
        )
    return said


def _fit(source: Source, model: Model, wanted: Wanted) -> str:
    counts = sorted({1, *(result.case.devices for result in source.several)})
    parts = ", ".join(f"{term} {_coefficient(term, value)}" for term, value in model.whole.coefficients.items())
    given = f" ({' and '.join(wanted.link)} given by hand)" if wanted.link else ""
    return (
        f"fitted to {len(model.rows)} times on {', '.join(map(str, counts))} devices, which it misses by "
        f"{100 * model.whole.residual:.2g}% (root mean square): {parts}{given}."
    )


def _coefficient(term: Term, value: float) -> str:
    if term == "bytes":
        return f"{quantity.size(round(1 / value))}/s" if value else "nothing"
    unit = {"work": " an example", "latency": " a message"}.get(term, "")
    return f"{quantity.plain_seconds(value)}{unit}" if value else "nothing"
