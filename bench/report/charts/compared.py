"""Records against the first of them: how many times as fast each case is, with its interval."""

from __future__ import annotations

from collections.abc import Sequence

from bench.cases import Case
from bench.contrast import COMPARED, Compared, Match
from bench.report import names, quantity
from bench.report.charts import rows
from bench.report.charts.view import bounds, chart, table, with_intervals
from bench.report.document import Chart
from bench.report.names import KINDS
from bench.stats import Estimate

# Of a row's height, between one series and the next, and between the first and the last at most.
APART, SPREAD = 0.2, 0.4
# So many series have room in a row of the usual height.
SERIES = 3


def charts(found: Compared) -> list[Chart]:
    """One of each workload of which there is a ratio."""
    own: dict[str, list[Case]] = {}
    for name, summary in found.base.cases.items():
        if any(name in contrast.matches and contrast.matches[name].ratio for contrast in found.contrasts):
            own.setdefault(summary.case.workload, []).append(summary.case)
    return [_chart(found, i, workload, cases) for i, (workload, cases) in enumerate(own.items(), start=1)]


def _chart(found: Compared, number: int, workload: str, cases: Sequence[Case]) -> Chart:
    title = f"{workload}: how many times as fast as {found.base.name}"
    labels = names.labels(cases)
    by_series = _ratios(found, cases)
    series = list(by_series)
    points = [
        {
            "series": name,
            "case": labels[i],
            "x": ratio.value,
            **bounds(ratio),
            "y": i + rows.MIDDLE + _aside(place, len(series)),
            "text": quantity.factor(ratio),
        }
        for place, (name, ratios) in enumerate(by_series.items())
        for i, ratio in ratios.items()
    ]
    shaded = [i for i, case in enumerate(cases) if any(match.oversubscribed for match in _matches(found, case))]
    said = (
        f"How many times as fast as in {found.base.name} a step of each case of {workload} is{with_intervals(points)}. "
        "Stored records are not paired."
    )
    if shaded:
        said += " Shaded: more simulated devices than cores, which is not hardware."
    shown = [
        (label, *(quantity.factor(ratios.get(i)) for ratios in by_series.values()), "oversubscribed" * (i in shaded))
        for i, label in enumerate(labels)
    ]
    headings = ("case", *series, "remarks")
    layers = rows.ratios(points, series, labels, shaded, "times as fast")
    height = round(rows.ROW * len(cases) * max(1, len(series) / SERIES))
    return chart(f"against-base-{number}", title, said, table(title, headings, shown), layers, height)


def _ratios(found: Compared, cases: Sequence[Case]) -> dict[str, dict[int, Estimate]]:
    """Of each record and way of running steps that has any, the ratios by their case's place."""
    ratios: dict[str, dict[int, Estimate]] = {}
    for contrast in found.contrasts:
        for kind in COMPARED:
            matches = {i: contrast.matches.get(case.name) for i, case in enumerate(cases)}
            of = {i: match.ratio[kind] for i, match in matches.items() if match and kind in match.ratio}
            if of:
                ratios[f"{contrast.other.name}, {KINDS[kind]}"] = of
    return ratios


def _matches(found: Compared, case: Case) -> list[Match]:
    return [contrast.matches[case.name] for contrast in found.contrasts if case.name in contrast.matches]


def _aside(place: int, series: int) -> float:
    """How far from the middle of its row one of so many series stands."""
    return min(APART, SPREAD / max(series - 1, 1)) * (place - (series - 1) / 2)
