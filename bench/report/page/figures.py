"""Charts in their place on the page, with what they draw as a table."""

from __future__ import annotations

import json

from bench.report.document import Chart
from bench.report.page import tables
from bench.report.page.texts import name, plain

# What would end a script's element, or begin a comment in it, as JSON escapes it.
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}


def figure(chart: Chart, key: str) -> str:
    """A chart, which the page's script draws; the id `key` is its own on the page."""
    return "\n".join(
        [
            f'<figure id="{key}">',
            "<figcaption>",
            f'<strong id="{key}-title">{name(chart.title)}</strong>',
            f'<span id="{key}-alt">{plain(chart.alt)}</span>',
            "</figcaption>",
            f'<div class="legend" role="group" aria-labelledby="{key}-title"></div>',
            f'<div class="chart" role="img" aria-labelledby="{key}-title" aria-describedby="{key}-alt"></div>',
            "<details>",
            "<summary>Its numbers</summary>",
            tables.table(chart.drawn, f"{key}-title"),
            "</details>",
            f'<script type="application/json">{_spec(chart)}</script>',
            "</figure>",
        ]
    )


def _spec(chart: Chart) -> str:
    return json.dumps(chart.spec, separators=(",", ":")).translate(_ESCAPES)
