"""Charts as pictures, one below another: SVG, or PNG by vl-convert, which needs no network and no browser."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import vl_convert

from bench.report.charts import png
from bench.report.document import Chart

SCALE = 2.0
GAP = 24
PADDING = 12
# Of a line.
SUBTITLE_LETTERS = 105
LIGHT: Mapping[str, Any] = {
    "background": "white",
    "font": "sans-serif",
    "padding": PADDING,
    "legend": {"orient": "bottom", "columns": 2, "labelLimit": 0, "symbolSize": 70, "symbolOpacity": 1},
}
# What a chart defines in its SVG, where another has the same.
_DEFINED = re.compile(r'(?<=id=")(?=clip|gradient)|(?<=url\(#)(?=clip|gradient)')
_SIZE = re.compile(r'<svg[^>]* width="([\d.]+)" height="([\d.]+)"')


def image(charts: Sequence[Chart], path: Path) -> None:
    """Writes them into one file, which is SVG or PNG by its name."""
    drawn = stacked([svg(chart) for chart in charts])
    if path.suffix == ".svg":
        path.write_text(drawn, encoding="utf-8")
    else:
        path.write_bytes(png.smaller(vl_convert.svg_to_png(drawn, scale=SCALE)))


def svg(chart: Chart, config: Mapping[str, Any] = LIGHT, **changes: Any) -> str:
    """A chart with its title and what it shows; `changes` are of its specification, such as its `width`."""
    said = textwrap.wrap(chart.alt, SUBTITLE_LETTERS)
    title = {"text": chart.title, "subtitle": said, "anchor": "start", "frame": "group", "fontSize": 14, "offset": 14}
    return vl_convert.vegalite_to_svg({**chart.spec, "title": title, "config": dict(config), **changes})


def stacked(drawings: Sequence[str]) -> str:
    """SVGs below each other, as one."""
    sizes = [(float(found[1]), float(found[2])) for one in drawings if (found := _SIZE.search(one))]
    broad, tall = max(width for width, _ in sizes), sum(height for _, height in sizes) + GAP * (len(sizes) - 1)
    parts, top = [], 0.0
    for number, (one, (_, height)) in enumerate(zip(drawings, sizes, strict=True)):
        parts.append(f'<g transform="translate(0,{top:g})">{_DEFINED.sub(f"d{number}-", one)}</g>')
        top += height + GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{broad:g}" height="{tall:g}">'
    return f'{head}<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
