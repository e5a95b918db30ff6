"""How cost grows, and how far from its limits each mode is, as a table and sentences."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from bench.breakdown import Bound
from bench.growth import VALUES_AT_LEAST, Growth, Limit, Point, Quantity, grown, network
from bench.record import Record
from bench.report import quantity
from bench.report.document import Column, Table
from bench.stats import Difference

COLUMNS = (
    Column("over", numeric=False),
    Column("mode", numeric=False),
    Column("with", expendable=4, numeric=False, tells=True),
    Column("from"),
    Column("to"),
    Column("step at first", expendable=3),
    Column("step at last"),
    Column("times"),
    Column("exponent", expendable=1),
    Column("memory at first", expendable=5),
    Column("memory at last", expendable=2),
    Column("limit"),
    Column("times the limit"),
    Column("bound by", numeric=False),
)
LEGEND = (
    "how cost grows: a step (of one program where every case of the series has it, else waited for) and the memory of "
    "one device, at the least and the greatest value; exponent: time grows like the value to this power. limit: the "
    "largest of what the step's products (of a fast path, all its operations) would take at the FLOP/s of a large one, "
    "what the bytes that the compiler counts would take at the bandwidth of a large array (caches may be faster: where "
    "the step is, it's no limit; of a fast path they aren't counted), and "
    "what waiting for a step costs, where it is waited for; of the greatest value. bound by: a limit that is half of "
    "the step or more, or dispatch or collectives, where they are its largest part."
)
# What is counted, in words: of one value, and of a number of them.
NOUNS: dict[Quantity, str] = {
    "members": "members",
    "hidden_layers": "hidden layers",
    "hidden_dim": "units in each hidden layer",
    "batch": "examples in a batch",
    "devices": "devices",
}
LIMITS: dict[Limit, str] = {
    "arithmetic": "arithmetic at the measured peak",
    "memory": "memory at the measured bandwidth",
    "dispatch": "one dispatch",
}
BOUNDS: dict[Bound, str] = {
    "compute-bound": "arithmetic",
    "memory-bound": "memory",
    "dispatch-bound": "dispatch",
    "collective-bound": "collectives",
}
HOW_TO = (
    "How far that is from what these devices can do wasn't measured: with --parts, `run` times a large product and a "
    "large array beside each step."
)


def growth_tables(found: Sequence[Growth]) -> list[Table]:
    """One for each workload, of the series whose devices share no core."""
    told = _told(found)
    return [
        Table(
            f"{name}: how cost grows, and how far from the limit",
            COLUMNS,
            tuple(_row(one) for one in told if one.case.workload == name),
        )
        for name in dict.fromkeys(one.case.workload for one in told)
    ]


def growth_sentences(record: Record, found: Sequence[Growth]) -> list[str]:
    """How time grows in each series, how far its greatest case is from the limit, and why."""
    told = _told(found)
    said = [_sentence(one) for one in told]
    return said + [HOW_TO] * bool(told and not record.schedule.parts)


def fixed(one: Growth) -> tuple[str, ...]:
    """What all cases of a series have, beside workload and mode."""
    case, varied = one.case, one.quantity
    sizes = network(case)
    said = [f"{case.mesh} devices"] * (varied != "devices" and case.devices > 1)
    said += [f"{case.processes} processes"] * (case.processes > 1)
    said += [f"{case.members} members"] * (varied != "members" and case.members > 1)
    said += [f"batch {case.batch}"] * (varied != "batch")
    if sizes and varied in ("hidden_layers", "hidden_dim"):
        said.append(f"width {sizes[1]}" if varied == "hidden_layers" else f"{sizes[0]} hidden layers")
        case = dataclasses.replace(case, hidden_layers=None, hidden_dim=None)
    return (*said, *case.variant, *["deterministic"] * case.deterministic)


def in_brackets(what: str, said: Sequence[str]) -> str:
    """What, and in brackets what is said of it, if anything is."""
    return f"{what} ({', '.join(said)})" if said else what


def _told(found: Sequence[Growth]) -> list[Growth]:
    """Where devices share cores, growth is no law of theirs."""
    return [one for one in found if len(one.fair) >= VALUES_AT_LEAST]


def _row(one: Growth) -> tuple[str, ...]:
    first, last = one.fair[0], one.fair[-1]
    compared = grown(first, last, one.kind)
    limit_s = last.limit and last.limit_s(last.limit)
    return (
        one.quantity.replace("_", " "),
        one.mode,
        ", ".join(fixed(one)),
        quantity.count(first.value),
        quantity.count(last.value),
        quantity.seconds(first.step_s),
        quantity.seconds(last.step_s),
        quantity.factor(compared and compared[0]),
        _exponent(compared[1]) if compared else "",
        quantity.size(first.peak_bytes),
        quantity.size(last.peak_bytes),
        f"{last.limit}, {quantity.plain_seconds(limit_s)}" if last.limit else "",
        quantity.factor(last.distance),
        _why(last),
    )


def _sentence(one: Growth) -> str:
    first, last = one.fair[0], one.fair[-1]
    noun, case = NOUNS[one.quantity], last.result.case
    compared = grown(first, last, one.kind)
    how = "a step of one program" if one.kind == "fused" else "a waited step"
    what = f"{case.workload}: {in_brackets(one.mode, fixed(one))} from {first.value} to {last.value} {noun}"
    if compared is None:
        return f"{what}: {how} takes {quantity.seconds(first.step_s)} and {quantity.seconds(last.step_s)}."
    times, exponent = compared
    scale = f"{round(last.value / first.value, 1):.10g}"
    said = (
        f"{what}: {how} takes {quantity.between(times)} as long, {scale}x the {noun} "
        f"(time grows with their power {_exponent(exponent)})."
    )
    return said + _distance(last, noun)


def _distance(last: Point, noun: str) -> str:
    if last.limit is None or last.distance is None:
        return ""
    limit = f"{LIMITS[last.limit]} ({quantity.plain_seconds(last.limit_s(last.limit))})"
    far = f"With {last.value} {noun} it takes {quantity.between(last.distance)} as long as the largest limit, {limit}"
    return f" {far}, and is bound by {_why(last)}."


def _why(point: Point) -> str:
    """What bounds a step; where no limit is near, how many instructions take how long each."""
    if point.bound is not None:
        return BOUNDS[point.bound]
    if point.limit is None:
        return ""
    assert point.result.cost is not None
    n = 0 if point.result.case.path == "fast" else point.result.cost.instructions  # a fast one's are in loops
    each = f": {n} instructions of about {quantity.plain_seconds(point.step_s.value / n)} each" if n else ""
    return f"none of them{each}"


def _exponent(of: Difference) -> str:
    """With no more digits than its interval has, such as `0.63 ±0.02`."""
    if of.half is None:
        return f"{of.value:.1f}"
    return f"{of.value:.2f} ±{max(of.half, 0.01):.2f}" if of.half < 0.1 else f"{of.value:.1f} ±{of.half:.1f}"
