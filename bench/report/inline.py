"""What results of the library say of themselves: a line, a sentence, a small table for a notebook."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from bench.report import quantity
from bench.report.harmless import harmless
from bench.verdict import LOOKS, need

if TYPE_CHECKING:
    from bench.calls import Start
    from bench.library import Measured
    from bench.measured import Cost
    from bench.paired import Compared

NOT_DRAWN = (
    "Intervals come from {restarts} restarts in one process: {anew}. The process, its threads and their cores are the "
    "same in all of them; `python -m bench {command}` draws these anew, too."
)
# A notebook's own colours, light or dark, and its own font.
_TABLE = "border-collapse:collapse;color:inherit;background:transparent"
_CELL = "text-align:left;padding:0.1em 0.8em;vertical-align:top"


def names(functions: Sequence[Any], otherwise: Sequence[str]) -> Any:
    """What functions are called, if that tells them apart."""
    found = tuple(harmless(_name(function)) for function in functions)
    return tuple(otherwise) if len(set(found)) < len(found) or "<lambda>" in found else found


def _name(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", "<lambda>"))


def sentence(of: Compared) -> str:
    """What is known of both, in plain sentences."""
    return " ".join([_verdict(of), *_besides(of)])


def _verdict(of: Compared) -> str:
    (a, b), threshold = of.names, quantity.plain_percent(of.rule.threshold)
    if of.verdict == "broken":
        return f"{a} and {b} can't be compared: {of.why}."
    if of.ratio is None:
        return f"{a} and {b} weren't compared."
    took = f"a call takes {quantity.between(of.ratio)} the time, in {_restarts(of.restarts)} of both"
    match of.verdict:
        case "slower" | "faster" as verdict:
            return f"{b} is {verdict} than {a} by more than {threshold}: {took}."
        case "same" if of.rule.only_slower:
            return f"{b} is not slower than {a} by more than {threshold}: {took}."
        case "same":
            return f"{b} is the same as {a} within {threshold}: {took}."
    return f"Whether {b} is slower than {a} by more than {threshold} isn't clear: {took}; {_lacking(of)}."


def _lacking(of: Compared) -> str:
    """What would make it clear."""
    once_s = 0.0 if of.recompiled else of.ready_s  # else each restart but the first has it once more
    pace_s = 1.2 * (of.seconds - once_s) / max(of.restarts, 1)
    if of.restarts < LOOKS[0]:
        return f"a test needs {LOOKS[0]}, a budget of about {_seconds(once_s + pace_s * LOOKS[0])}"
    lacks = need(of.trial, of.rule)
    assert lacks is not None
    if lacks.restarts is None:
        more = "a quieter machine"
    else:
        budget = _seconds(once_s + pace_s * (of.restarts + lacks.restarts))
        more = f"about {lacks.restarts} more, a budget of {budget}"
    return f"it would take {more}, or a threshold of {quantity.plain_percent(lacks.threshold)}"


def _besides(of: Compared) -> list[str]:
    a, b = of.names
    said = [f"Results differ, which was allowed: {of.unlike}."] if of.unlike else []
    said += [f"{what}: {one} in {a}, {other} in {b}." for what, one, other in changes(*of.costs)]
    return [*said, *of.found]


def changes(a: Cost, b: Cost) -> list[tuple[str, str, str]]:
    """What can be counted exactly and isn't the same: of what, and both counts."""
    from bench.report.counts import UNCOUNTED, counted

    pairs = zip(counted(a), counted(b), strict=True)
    return [(what, one, other) for (what, one), (_, other) in pairs if one != other and UNCOUNTED not in (one, other)]


def compared_line(of: Compared) -> str:
    """A comparison on one line."""
    ratio = "" if of.ratio is None else f", {quantity.between(of.ratio)}, {_restarts(of.restarts)}"
    return f"<Compared {of.names[1]} with {of.names[0]}: {of.verdict}{ratio}>"


def compared_table(of: Compared) -> str:
    """A comparison as HTML."""
    a, b = of.names
    both = [quantity.seconds(each) for each in of.call_s] if of.call_s else ["", ""]
    compiled = [_compiled(start) for start in of.starts]
    rows = [
        ("", a, b),
        *([("a call, " + of.kind, *both)] if of.call_s else []),
        ("compiling", *compiled),
        *changes(*of.costs),
    ]
    said = [_verdict(of), *([f"Results differ, which was allowed: {of.unlike}."] if of.unlike else []), *of.found]
    return _table(rows, [*said, *_drawn(of.restarts, "ab", recompiled=of.recompiled)])


def measured_line(of: Measured) -> str:
    """A measurement on one line."""
    chained = f", {quantity.seconds(of.throughput_s)} chained" if of.throughput_s else ""
    return f"<Measured {of.name}: {quantity.seconds(of.latency_s)} a call{chained}, {_restarts(of.restarts)}>"


def measured_table(of: Measured) -> str:
    """A measurement as HTML."""
    cost = of.cost
    rows = [
        ("a call, waited for", quantity.seconds(of.latency_s)),
        ("a call in a chain", quantity.seconds(of.throughput_s)),
        ("until a call returns", quantity.seconds(of.dispatch_s)),
        ("compiling", _compiled(of.start)),
        ("first call", quantity.plain_seconds(of.start.first_call_s)),
        ("FLOPs", f"{cost.flops:,.0f}" if cost.flops else ""),
        ("FLOP/s", quantity.flops(of.flops_per_s)),
        ("bytes accessed", quantity.size(int(cost.accessed_bytes)) if cost.accessed_bytes else ""),
        ("memory", quantity.size(cost.peak_bytes)),
        ("devices", quantity.count(of.devices)),
        ("state", "the first output goes in again" if of.carried else ""),
        ("collectives", ", ".join(f"{c.count} {c.kind} over {c.group_size}" for c in cost.collectives)),
    ]
    shown = [("", of.name), *(row for row in rows if row[1])]
    return _table(shown, [*of.found, *_drawn(of.restarts, "run", recompiled=of.recompiled)])


def _drawn(restarts: int, command: str, *, recompiled: bool) -> list[str]:
    if restarts < 2:
        return []
    anew = "compiled anew, with fresh copies of the arguments"
    if not recompiled:
        anew = "with fresh copies of the arguments, but the same program, since making it anew takes long"
    return [NOT_DRAWN.format(restarts=restarts, anew=anew, command=command)]


def _compiled(start: Start) -> str:
    seconds = quantity.plain_seconds(start.trace_s + start.lower_s + start.compile_s)
    return f"{seconds} (from a cache)" if start.compile_cached else seconds


def _restarts(n: int) -> str:
    return f"{n} restart{'s' * (n != 1)}"


def _seconds(value: float) -> str:
    return f"{quantity.rounded(value, 2)} s"


def _table(rows: Iterable[Sequence[str]], sentences: Iterable[str]) -> str:
    """The first row has headings, the first cell of each names it."""
    (_, *headings), *others = [[escape(harmless(cell)) for cell in row] for row in rows]
    cell = f' style="{_CELL}"'
    heads = "".join(f'<th scope="col"{cell}>{heading}</th>' for heading in headings)
    lines = [
        f'<table style="{_TABLE}">',
        f"<thead><tr><td{cell}></td>{heads}</tr></thead>",
        "<tbody>",
        *(
            f'<tr><th scope="row"{cell}>{name}</th>{"".join(f"<td{cell}>{text}</td>" for text in cells)}</tr>'
            for name, *cells in others
        ),
        "</tbody>",
        "</table>",
    ]
    return "\n".join([*lines, *(f"<p>{escape(harmless(said))}</p>" for said in sentences)])
