"""The report of a run against peers: which bars are kept, and what each contender learned."""

from __future__ import annotations

from bench.peers.record import Peers, Result, training_s, trainings
from bench.peers.rows import Row, by_reason
from bench.report import quantity
from bench.report.document import Column, Report, Table
from bench.report.words import host_line

ROWS = (
    Column("row", numeric=False),
    Column("work", numeric=False),
    Column("against", expendable=1, numeric=False),
    Column("ratio"),
    Column("bar", numeric=False),
    Column("held", numeric=False),
)
CONTENDERS = (
    Column("contender", numeric=False),
    Column("a training"),
    Column("trainings timed"),
    Column("test accuracy"),
    Column("over seeds", expendable=1),
)

LEGEND = (
    "ratio: how many times as long theirs takes as ours; of a data-parallel step, how many times as long it takes as "
    "its compute and its collectives alone. All processes of a ratio, but those from cold, were alive at once and "
    "asked in turn, in an order reversed every round, one at work at a time and with all cores; in brackets the 95% "
    "interval, which comes from the restarts of all of them. Steps on devices, of `bench run`, are pinned to a core "
    "each instead.",
    "a training: of one member, from its first weights, which are drawn in it, to its last; of a process, from its "
    "start to its exit, without a compilation cache. Whoever trains in less than 20 ms trains again within a block.",
    "held, not surely: the interval has the bar in it, or there is none. test accuracy: of trainings that weren't "
    "timed, the mean over seeds, for one seed's is luck: first weights aren't drawn alike everywhere.",
)


def build(record: Peers) -> Report:
    """The report of a record."""
    contenders = dict.fromkeys(sample.contender for sample in record.samples) | dict.fromkeys(record.learned)
    tables = [Table("Against what else there is", ROWS, tuple(_row(result) for result in record.results))]
    if contenders:
        rows = tuple(_contender(record, name) for name in contenders)
        tables.append(Table("Who trained", CONTENDERS, rows))
    return Report("The training against its peers", environment_lines(record), tuple(tables), sentences(record), LEGEND)


def held(result: Result) -> str:
    """What came of a row's bar, in words."""
    ratio, row = result.ratio, result.row
    if result.status != "measured" or ratio is None:
        return {"broken": "BROKEN", "left out": "left out"}.get(result.status, "not measured")
    if row.bar is None:
        return "no bar"
    surely = ratio.low is not None and ratio.high is not None and row.kept(ratio.low) == row.kept(ratio.high)
    return ("held" if result.kept else "missed") + ("" if surely else ", not surely")


def missed(record: Peers) -> list[Result]:
    """Rows that were measured and don't keep their bar."""
    return [result for result in record.results if result.status == "measured" and not result.kept]


def sentences(record: Peers) -> tuple[str, ...]:
    """Bars that are missed, rows that are broken or left out, and where more stands."""
    said = [_missed(result) for result in missed(record)]
    said += [f"{one.row.name} is broken: {one.why.rstrip('.')}." for one in record.results if one.status == "broken"]
    if not said and any(result.status == "measured" for result in record.results):
        said.append("Every bar is kept, of what was measured.")
    reasons = {result.row.name: result.why for result in record.results if result.status == "left out"}
    said += [f"{sentence}." for sentence in by_reason(reasons)]
    said += [
        f"{one.row.name}: its compiled step has {_counted(one.collectives)}."
        for one in record.results
        if one.kept and one.collectives is not None
    ]
    for file in dict.fromkeys(result.file for result in record.results if result.file):
        names = ", ".join(result.row.name for result in record.results if result.file == file)
        said.append(f"{names}: of the record {file}, which `python -m bench report` shows whole.")
    if not record.complete:
        said.append("The run was ended early: what stands here is what there was by then.")
    return tuple(said)


def _missed(result: Result) -> str:
    assert result.ratio is not None
    found = quantity.between(result.ratio)
    counts = result.collectives
    compiled = "" if counts is None else f", its compiled step with {_counted(counts)}"
    alone = "" if counts is None else " and 1 all-reduce"
    return f"{result.row.name} misses its bar: {found}{compiled}, where {_bar(result.row)}{alone} is wanted."


def _counted(collectives: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in collectives.items()) or "no collective"


def _bar(row: Row) -> str:
    if row.bar is None:
        return "none"
    return f"{'at most' if row.at_most else 'at least'} {row.bar:g}x"


def _row(result: Result) -> tuple[str, ...]:
    row = result.row
    found = quantity.between(result.ratio) if result.ratio else ""
    return row.name, row.work, row.against, found, _bar(row), held(result)


def _contender(record: Peers, name: str) -> tuple[str, ...]:
    learned = record.learned.get(name)
    accuracy, seeds = (f"{learned.accuracy:.4f}", str(learned.seeds)) if learned else ("", "")
    return name, quantity.seconds(training_s(record, name)), f"{trainings(record, name):,}", accuracy, seeds


def environment_lines(record: Peers) -> tuple[str, ...]:
    """The command, the machine and the software, a line each."""
    host, backend = record.host, record.backend
    packages = " ".join(f"{name} {version}" for name, version in {**backend.packages, **record.packages}.items())
    commit = "not a git checkout" if host.commit is None else host.commit[:12] + (" (dirty)" if host.dirty else "")
    return (
        " ".join(record.command),
        host_line(host),
        f"{backend.platform}: {backend.device_kind}; Python {backend.python} {packages}; commit {commit}",
        f"{record.created}; {record.seconds:.0f} s, {record.restarts} restarts of {record.rounds} rounds; "
        f"load {record.load_at_start:g} before, {record.load_at_end:g} after",
        *(f"{name}={value}" for name, value in host.environment.items()),
    )
