"""Reports as one HTML file that needs no other, and no network: charts with their scripts in it, tables that sort."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import starmap

from bench.report.document import Section, Table
from bench.report.page import figures, scripts, tables
from bench.report.page.texts import name, prose


def render(sections: Sequence[Section]) -> str:
    """The whole page; ends with a newline."""
    alone = len(sections) == 1
    title = sections[0].report.title if alone else f"{len(sections)} reports"
    run = scripts.of_page(charts=any(section.charts for section in sections))
    shown = [_section(f"report-{n}", section, alone=alone) for n, section in enumerate(sections, start=1)]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{scripts.policy(run)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>{scripts.part('style.css')}</style>",
            "</head>",
            "<body>",
            '<a class="skip" href="#content">Skip to the content</a>',
            "<header>",
            f"<h1>{escape(title)}</h1>",
            '<button type="button" id="dark" aria-pressed="false">Dark</button>',
            "</header>",
            *([] if alone else [_contents(sections)]),
            '<main id="content" tabindex="-1">',
            *shown,
            "</main>",
            *(f"<script>{script}</script>" for script in run),
            "</body>",
            "</html>\n",
        ]
    )


def _contents(sections: Sequence[Section]) -> str:
    """A link to each report."""
    links = (
        f'<a href="#report-{n}">{escape(section.report.title)}</a> {_file(section)}'
        for n, section in enumerate(sections, start=1)
    )
    return f'<nav aria-label="Reports">\n{_list(links, "contents")}\n</nav>'


def _parts(section: Section, key: str) -> str:
    """A link to each part of a report."""
    named = [(f"{key}-table-{n}", table.title) for n, table in enumerate(section.report.tables, start=1)]
    charts = [(f"{key}-charts", "Charts")] if section.charts else []
    links = (
        f'<a href="#{at}">{name(said)}</a>' for at, said in [*charts, *named, (f"{key}-reading", "How to read it")]
    )
    return f'<nav aria-label="Parts of {escape(section.name)}">\n{_list(links, "parts")}\n</nav>'


def _section(key: str, section: Section, *, alone: bool) -> str:
    """A report, whose title is the page's where it is alone."""
    report = section.report
    title = [] if alone else [f"<h2>{escape(report.title)}</h2>"]
    heading = "h2" if alone else "h3"
    charts = [figures.figure(chart, f"{key}-{chart.key}") for chart in section.charts]
    return "\n".join(
        [
            f'<section id="{key}">',
            *title,
            f"<p>{_file(section)}</p>",
            _parts(section, key),
            _list(map(_sentence, _urgent_first(report.sentences)), "said"),
            _list(map(escape, report.environment), "environment"),
            *([f'<div class="charts" id="{key}-charts">', *charts, "</div>"] if charts else []),
            *(_table(table, heading, f"{key}-table-{n}") for n, table in enumerate(report.tables, start=1)),
            *([_list(starmap(_link, report.links), "links")] if report.links else []),
            f'<details class="reading" id="{key}-reading" open>',
            "<summary>How to read it</summary>",
            *(f"<p>{prose(line)}</p>" for line in report.legend),
            "</details>",
            "</section>",
        ]
    )


def _table(table: Table, heading: str, key: str) -> str:
    return f'<{heading} id="{key}">{name(table.title)}</{heading}>\n{tables.table(table, key)}'


def _link(text: str, target: str) -> str:
    return f'<a href="{escape(target)}">{name(text)}</a>'


def _file(section: Section) -> str:
    return f'<span class="file">{name(section.name)}</span>'


def _urgent_first(sentences: Sequence[str]) -> list[str]:
    """What broke, before all else, each in its order."""
    return sorted(sentences, key=lambda said: not _is_urgent(said))


def _is_urgent(said: str) -> bool:
    return " is broken: " in said


def _sentence(said: str) -> str:
    return f"<strong>{prose(said)}</strong>" if _is_urgent(said) else prose(said)


def _list(items: Iterable[str], kind: str) -> str:
    return "\n".join([f'<ul class="{kind}">', *(f"<li>{item}</li>" for item in items), "</ul>"])
