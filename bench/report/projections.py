"""The report of a projection: what the model is, how well it fits, and what it says of more devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.cost_model import EFFICIENT, MOST_DEVICES, Model, Term
from bench.hosts import level
from bench.links import BETWEEN, LinkTerm, Spread
from bench.measured import Kind
from bench.projection import Job, Projected, Source, model_of, projected, reach, sources, unknown_link
from bench.record import Record
from bench.report import quantity
from bench.report.document import Column, Report, Table
from bench.report.words import environment_lines
from bench.summary import has_fused, in_restarts
from toynet import modes
from toynet.errors import UsageError, unknown

COLUMNS = (
    Column("mode", numeric=False),
    Column("devices"),
    Column("hosts", expendable=3, tells=True),
    Column("members", expendable=2, tells=True),
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
    "Rabenseifner and Gropp 2005). On several hosts so within each, and between them; but a CPU's processes talk in "
    "one ring of all devices (docs/scaling.md). Each is fitted to what was measured, unless it was given by hand or "
    "the data can't tell it.",
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
    each: int | None = None
    """Devices on a host; None: as in the record, where there are several, else all."""

    def __post_init__(self) -> None:
        each = () if self.each is None else (self.each,)
        limits = {
            "devices": (self.devices, MOST_DEVICES),
            "devices per host": (each, MOST_DEVICES),
            "batch": (self.batch, 2**31),
        }
        for name, (values, most) in limits.items():
            for value in values:
                if not 1 <= value <= most:
                    raise UsageError(f"{name} must be from 1 to {most}, got {value}.")


def link(of_one: tuple[LinkTerm, LinkTerm], latency_s: float, bandwidth: float) -> dict[Term, float]:
    """Coefficients of a link that are given by hand; 0: not given."""
    latency, size = of_one
    found: dict[Term, float] = {latency: latency_s} if latency_s else {}
    return {**found, size: 1 / bandwidth} if bandwidth else found


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
        said += _sentences(record, source, model, wanted)
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
    one_program = all(has_fused(result) for result in (*source.one, *source.several))
    return "fused" if one_program and not wanted.waited else "latency"


def _jobs(source: Source, wanted: Wanted) -> list[Job]:
    batches = wanted.batch or sorted({result.case.batch for result in source.one})
    by_members = modes.by_name(source.mode).shards_members
    return [Job(batch, source.base.case.members, by_members) for batch in batches]


def _table(source: Source, model: Model, wanted: Wanted) -> Table:
    kind = _kind(source, wanted)
    rows = [_row(source, model, wanted, devices, job) for job in _jobs(source, wanted) for devices in wanted.devices]
    how = "waited for" if kind == "latency" else "in one program"
    several = any(source.spread(devices, wanted.each).hosts > 1 for devices in wanted.devices)
    shown = [column for column in COLUMNS if several or column.heading != "hosts"]
    places = [COLUMNS.index(column) for column in shown]
    return Table(f"{_name(source)}: a step {how}", tuple(shown), tuple(tuple(row[i] for i in places) for row in rows))


def _name(source: Source) -> str:
    members = source.base.case.members
    return f"{source.workload}, {source.mode}" + (f", {members} members" if members > 1 else "")


def _remark(source: Source, found: Projected, kind: Kind, *, within: bool) -> str:
    """Where the same was measured, what that was."""
    for result in (*source.one, *source.several):
        case = result.case
        if (source.spreads[case], case.batch, case.members) == (found.over, found.job.batch, found.job.members):
            return f"measured: {quantity.seconds(in_restarts(result, kind))}"
    return "within what was measured" if within else "projected"


def _row(source: Source, model: Model, wanted: Wanted, devices: int, job: Job) -> tuple[str, ...]:
    kind, over = _kind(source, wanted), source.spread(devices, wanted.each)
    what = (source.mode, str(devices), str(over.hosts), str(job.members), str(job.batch))
    if devices > job.divisible:
        return (*what, "", "", "", "", f"more devices than {job.divided}")
    if unknown := unknown_link(model, over):
        return (*what, "", "", "", "", f"needs {_flags(unknown)}")
    found = projected(model, over, job, kind)
    shares = [row.terms["work"] for row in model.rows if "work" in row.terms]
    within = devices <= max(row.over.devices for row in model.rows)
    within = within and over.hosts <= max(row.over.hosts for row in model.rows)
    within = within and min(shares) <= job.share(devices) <= max(shares)
    return (
        *what,
        quantity.seconds(found.step_s),
        quantity.rate(found.samples_per_s),
        quantity.percent(found.strong),
        quantity.percent(found.weak),
        _remark(source, found, kind, within=within),
    )


def _flags(of_one: Sequence[LinkTerm]) -> str:
    """What gives a link by hand."""
    between = set(of_one) == set(BETWEEN)
    return "--host-link-latency and --host-link-bandwidth" if between else "--link-latency and --link-bandwidth"


def _sentences(record: Record, source: Source, model: Model, wanted: Wanted) -> list[str]:
    kind = _kind(source, wanted)
    name = _name(source)
    said = [f"{name}: {_fit(source, model, wanted)}"]

    def spread(devices: int) -> Spread:
        return source.spread(devices, wanted.each)

    if (most := spread(max(wanted.devices))).hosts > 1:
        said.append(f"{name}: {_hosts(record, source, most)}")
    for job in _jobs(source, wanted):
        if unknown_link(model, spread(min(job.divisible, max(wanted.devices)))):
            continue
        low, middle, high = reach(model, spread, job, kind)
        most = min(job.divisible, MOST_DEVICES)
        upto = f"{middle} device{'s' * (middle > 1)}" + (f" ({low} to {high})" if low < high else "")
        beyond = f", as many as there are {job.divided}" if middle == most else ""
        said.append(
            f"{name}: at a batch of {job.batch}, efficiency stays over {100 * EFFICIENT:.0f}% up to {upto}{beyond}."
        )
    if source.left_out:
        counts = sorted({result.case.devices for result in source.left_out})
        said.append(
            f"{name}: times on {', '.join(map(str, counts))} devices are oversubscribed and weren't used"
            + ("." if source.several else "; their counts of collectives were.")
        )
    return said


def _hosts(record: Record, source: Source, over: Spread) -> str:
    """How devices are spread, and what that means here."""
    said = f"{over.each} device{'s' * (over.each > 1)} on each host"
    if over.ring:
        said += "; collectives between them as Gloo has them, a ring of all devices whose steps each take two latencies"
    if source.each is None:
        return f"{said}: none was measured over several."
    if level(record) == "processes":
        measured = "What was measured as hosts were processes of one machine: the link between them is no network."
        return f"{said}. {measured}"
    return f"{said}."


def _fit(source: Source, model: Model, wanted: Wanted) -> str:
    counts = sorted({1, *(result.case.devices for result in source.several)})
    over_hosts = any(source.spread(devices, wanted.each).hosts > 1 for devices in wanted.devices)
    told: dict[Term, float] = {
        term: value
        for term, value in model.whole.coefficients.items()
        if over_hosts or term != "dispatch over hosts" or any(term in row.terms for row in model.rows)
    }
    parts = ", ".join(f"{term} {_coefficient(term, value)}" for term, value in told.items())
    fitted_terms = set(model.whole.coefficients) - set(wanted.link)
    given = f" ({' and '.join(wanted.link)} given by hand)" if wanted.link else ""
    return (
        f"fitted to {len(model.rows)} times on {', '.join(map(str, counts))} devices, which it misses by "
        f"{100 * model.whole.residual:.2g}% (root mean square): {parts}{given}."
        + " As many terms as times: nothing is left to tell how well they fit." * (len(fitted_terms) >= len(model.rows))
        + " One restart: the intervals have only what the model misses." * (len(model.restarts) == 1)
    )


def _coefficient(term: Term, value: float) -> str:
    if term in ("bytes", "host bytes"):
        return f"{quantity.size(round(1 / value))}/s" if value else "nothing"
    unit = {"work": " an example", "latency": " a message", "host latency": " a message"}.get(term, "")
    return f"{quantity.plain_seconds(value)}{unit}" if value else "nothing"
