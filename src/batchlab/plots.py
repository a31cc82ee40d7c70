"""Figures of the events and of a classifier's probabilities: arrays in, a matplotlib Figure out."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from numpy.typing import NDArray

from blockstep.base.atomic_files import write_atomically

Array = NDArray[np.floating[Any]]
Style = Literal["notebook", "accessible"]

AXIS = np.linspace(-5, 5, 100)
"""The mesh's points along each axis."""

LEVELS = np.linspace(0, 1, 11)
"""Ten equal steps of probability, the same in every figure, so that epochs and runs can be compared."""

MARKERS: dict[Style, tuple[tuple[str, str], tuple[str, str]]] = {
    "notebook": (("red", "o"), ("blue", "o")),
    # Vermilion and sky blue of Okabe and Ito's palette (Color Universal Design, 2008), told apart by shape as well.
    "accessible": (("#D55E00", "^"), ("#56B4E9", "o")),
}
"""Colour and marker of signal, then of background."""


def mesh() -> NDArray[np.float64]:
    """Return the points at which a contour is evaluated: a square grid over (-5, 5)², shape (10000, 2)."""
    return np.stack(np.meshgrid(AXIS, AXIS), axis=-1).reshape(-1, 2)


def contour_figure(probabilities: Array, x: Array, t: Array, title: str = "", style: Style = "notebook") -> Figure:
    """Draw a filled contour of p(signal | x) with the events over it.

    Args:
        probabilities: At the points of `mesh()`, 10000 values.
        x: Events, shape (n, 2).
        t: Their labels, shape (n, 1).
        title: A line above the picture.
        style: "notebook" for its red and blue, "accessible" for colours and markers that everybody tells apart.
    """
    figure, axes = _square_figure(title)
    figure.colorbar(_fill(axes, probabilities), ax=axes, label="p(signal | x)")
    _scatter(axes, x, t, style)
    return figure


def events_figure(x: Array, t: Array, title: str = "", style: Style = "notebook") -> Figure:
    """Draw the events alone; the arguments are those of `contour_figure`."""
    figure, axes = _square_figure(title)
    _scatter(axes, x, t, style)
    return figure


def comparison_figure(panels: Mapping[str, Array]) -> Figure:
    """Draw several contours side by side on one colour scale.

    Args:
        panels: A title and the probabilities at the points of `mesh()`, one for each panel.
    """
    figure = Figure(figsize=(3.0 * len(panels) + 0.8, 3.5), layout="constrained")
    all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, probabilities) in zip(all_axes, panels.items(), strict=True):
        filled = _fill(axes, probabilities)
        axes.set(title=title, xlabel="x1", aspect="equal")
    all_axes[0].set_ylabel("x2")
    figure.colorbar(filled, ax=all_axes, label="p(signal | x)")
    return figure


def write_figure(path: Path, figure: Figure, dpi: float | Literal["figure"] = "figure") -> None:
    """Write a figure as a PNG file, atomically.

    Args:
        path: The file.
        figure: The figure.
        dpi: Pixels per inch of the figure's size; the default is its own.
    """
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=dpi)
    write_atomically(path, image.getvalue())


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """Return the figure as an RGB image, shape (height, width, 3)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def _square_figure(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.8, 4), dpi=125, layout="constrained")  # 600 by 500 pixels, legible when small
    axes = figure.subplots()
    axes.set(title=title, xlabel="x1", ylabel="x2", xlim=AXIS[[0, -1]], ylim=AXIS[[0, -1]])
    return figure, axes


def _fill(axes: Axes, probabilities: Array) -> QuadContourSet:
    return axes.contourf(AXIS, AXIS, probabilities.reshape(len(AXIS), len(AXIS)), levels=LEVELS)


def _scatter(axes: Axes, x: Array, t: Array, style: Style) -> None:
    for label, name, (color, marker) in zip((1, 0), ("Signal", "Background"), MARKERS[style], strict=True):
        x1, x2 = x[t[:, 0] == label].T
        axes.scatter(x1, x2, s=10, c=color, marker=marker, label=name)
    axes.legend(loc="upper right", framealpha=0.95)
