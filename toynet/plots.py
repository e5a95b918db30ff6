"""The tutorial's three pictures, and where an ensemble's members disagree. Points of two features only."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from toynet.data import Points
from toynet.errors import UsageError
from toynet.fit import Decision

# Blue and orange of Okabe and Ito, which the colour-blind tell apart, and shapes for print without colour.
COLOURS = ("#0072B2", "#E69F00")
MARKERS = ("o", "^")
CLASSES = len(COLOURS)
Decide = Callable[[np.ndarray], Decision]  # of points (n, 2)
STEP, MARGIN = 0.05, 1.0  # the tutorial's grid


class Grid(NamedTuple):
    """Columns (width,), rows (height,), and what is decided about each of their crossings, row by row."""

    x: np.ndarray
    y: np.ndarray
    decision: Decision

    def image(self, values: np.ndarray) -> np.ndarray:
        """Values of the crossings as (height, width)."""
        return values.reshape(len(self.y), len(self.x))


def grid_over(points: Points, decide: Decide) -> Grid:
    """The decision about a grid that covers all points."""
    low, high = points.inputs.min(axis=0) - MARGIN, points.inputs.max(axis=0) + MARGIN
    x, y = (np.arange(a, b, STEP) for a, b in zip(low, high, strict=True))
    crossings = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return Grid(x, y, decide(crossings))


def data(points: Points) -> Figure:
    """All points."""
    figure, (axes,) = _figure("The nested classes", [f"{len(points.labels)} points"])
    _scatter(axes, points)
    return _with_legend(figure, axes)


def split(train: Points, test: Points) -> Figure:
    """The points to train with beside those to test with."""
    figure, panels = _pair("Train and test split", train, test)
    return _with_legend(figure, panels[0])


def decision(train: Points, test: Points, grid: Grid) -> Figure:
    """The split over the areas of the classes that the members' mean probability decides for."""
    members = len(grid.decision.members)
    whose = "Decision boundary" if members == 1 else f"Mean decision of {members} members"
    figure, panels = _pair(whose, train, test)
    image = grid.image(grid.decision.mean)
    for axes in panels:
        axes.contourf(grid.x, grid.y, image, levels=[-0.5, 0.5, 1.5], colors=[_pale(c) for c in COLOURS], zorder=0)
        if image.min() < image.max():
            axes.contour(grid.x, grid.y, image, levels=[0.5], colors="0.2", linewidths=1.2, zorder=3)
    return _with_legend(figure, panels[0])


def disagreement(train: Points, test: Points, grid: Grid) -> Figure:
    """The split over the share of members that don't decide as most do."""
    figure, panels = _pair(f"Disagreement of {len(grid.decision.members)} members", train, test)
    share = grid.image(grid.decision.dissent(CLASSES))
    extent = (grid.x[0], grid.x[-1], grid.y[0], grid.y[-1])
    show = functools.partial(Axes.imshow, X=share, cmap="Greys", vmin=0, vmax=0.5, origin="lower", extent=extent)
    images = [show(axes, aspect="auto", zorder=0) for axes in panels]
    bar = figure.colorbar(images[0], ax=panels, shrink=0.9)
    bar.set_label("share of members against the majority")
    return _with_legend(figure, panels[0])


def draw(train: Points, test: Points, decide: Decide) -> dict[str, Figure]:
    """Every picture by its file's name; the members' disagreement only where there are several."""
    points = Points(*(np.concatenate(parts) for parts in zip(train, test, strict=True)))
    grid = grid_over(points, decide)
    figures = {
        "data.png": data(points),
        "split.png": split(train, test),
        "decision.png": decision(train, test, grid),
    }
    if len(grid.decision.members) > 1:
        figures["disagreement.png"] = disagreement(train, test, grid)
    return figures


def save(figures: dict[str, Figure], folder: Path) -> None:
    """Writes each picture into the folder; raises UsageError where it can't."""
    for name, figure in figures.items():
        try:
            FigureCanvasAgg(figure).print_png(folder / name)
        except OSError as error:
            raise UsageError(f"can't write {folder / name}: {error.strerror}; name another folder.") from None


def _figure(title: str, panel_titles: list[str]) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(6 * len(panel_titles), 6), dpi=100, layout="constrained")
    figure.suptitle(title, fontsize=14)
    panels = list(figure.subplots(1, len(panel_titles), squeeze=False, sharex=True, sharey=True)[0])
    for axes, panel_title in zip(panels, panel_titles, strict=True):
        axes.set_title(panel_title, fontsize=11)
        axes.set_xlabel("feature 1")
    panels[0].set_ylabel("feature 2")
    return figure, panels


def _pair(title: str, train: Points, test: Points) -> tuple[Figure, list[Axes]]:
    names = [f"{name} set, {len(points.labels)} points" for name, points in (("Train", train), ("Test", test))]
    figure, panels = _figure(title, names)
    for axes, points in zip(panels, (train, test), strict=True):
        _scatter(axes, points)
    return figure, panels


def _scatter(axes: Axes, points: Points) -> None:
    for label, (colour, marker) in enumerate(zip(COLOURS, MARKERS, strict=True)):
        of_class = points.inputs[points.labels == label]
        axes.scatter(
            *of_class.T, s=26, color=colour, marker=marker, edgecolor="white", linewidth=0.3, label=f"class {label}"
        )


def _with_legend(figure: Figure, axes: Axes) -> Figure:
    """Outside the axes, so that it never covers a point."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=CLASSES, frameon=False)
    return figure


def _pale(colour: str) -> tuple[float, ...]:
    """A third of the colour on white."""
    return tuple(1 - (1 - channel) / 3 for channel in to_rgb(colour))
