"""Pictures of the events and of a classifier's probabilities: arrays in, pixels or a matplotlib Figure out."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PathCollection
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.patches import Polygon
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter
from numpy.typing import NDArray

from batchlab.levels import COMMON_LEVELS, Array, Field, Scale, as_field
from blockstep.base.atomic_files import write_atomically
from blockstep.base.png import as_png

Pixels = NDArray[np.uint8]
Style = Literal["notebook", "accessible"]

AXIS = np.linspace(-5, 5, 100)
"""The mesh's points along each axis."""

COLORS = colormaps["viridis"].resampled(10)
"""The colours of the ten steps, from low to high."""

MARKERS: dict[Style, tuple[tuple[str, str], tuple[str, str]]] = {
    "notebook": (("red", "o"), ("blue", "o")),
    # Vermilion and sky blue of Okabe and Ito's palette (Color Universal Design, 2008), told apart by shape as well.
    "accessible": (("#D55E00", "^"), ("#56B4E9", "o")),
}
"""Colour and marker of signal, then of background."""


class ContourFigure:
    """Filled contours of p(signal | x) with the same events over each of them.

    A strip from 0 to 1 beside the contour marks the range of its probabilities, so that its levels can be its own and
    it still tells how high they lie. What the contours have in common is drawn once, and every text has a fixed place:
    a further contour takes a sixth of the time of a figure that is laid out anew.

    Args:
        x: Events, shape (n, 2).
        t: Their labels, shape (n, 1).
        style: "notebook" for its red and blue, "accessible" for colours and markers that everybody tells apart.
        scale: "own" for ten levels from the lowest to the highest probability of each contour, "common" for ten from
            0 to 1.

    Attributes:
        figure: The last contour that was drawn.
    """

    def __init__(self, x: Array, t: Array, style: Style = "notebook", scale: Scale = "own") -> None:
        self.figure, self._axes, self._title = _square_figure("", left=0.095)
        self._canvas = FigureCanvasAgg(self.figure)
        self._scale = scale
        self._contour: QuadContourSet | None = None
        self._note = self._axes.text(0, -4.4, "", ha="center", bbox={"facecolor": "white", "alpha": 0.9})
        events = _scatter(self._axes, x, t, style, size=4)
        _legend(self._axes)
        self._labels, self._range = self._add_scale()
        # In this order, from the contour up: it covers half of the frame's width.
        self._changing: tuple[Artist, ...] = (
            *events, *self._axes.spines.values(), self._note, self._title, *self._labels, self._range,
        )  # fmt: skip
        for artist in self._changing:
            artist.set_animated(True)  # leaves it out of the ground
        self._canvas.draw()
        self._ground = self._canvas.copy_from_bbox(self.figure.bbox)

    def draw(self, probabilities: Array, title: str = "") -> Pixels:
        """Return a contour as an RGB image, shape (500, 600, 3).

        Args:
            probabilities: At the points of `mesh()`, 10000 values.
            title: A line above the picture.
        """
        field = as_field(probabilities.reshape(len(AXIS), -1), self._scale)
        if self._contour is not None:
            self._contour.remove()
        self._contour = _fill(self._axes, field)
        self._title.set_text(title)
        self._note.set_text(field.note)
        for label, words in zip(self._labels, field.labels()[::2], strict=True):
            label.set_text(words)
        self._range.set_xy(field.marked_range())
        self._canvas.restore_region(self._ground)
        for artist in (self._contour, *self._changing):
            self.figure.draw_artist(artist)
        return _rgb(self._canvas)

    def _add_scale(self) -> tuple[list[Text], Polygon]:
        """Add the colour bar, and to its left the strip with the mark of the range, which reaches to the bar.

        The labels of the bar are plain texts, since an axis measures all of its labels whenever it is drawn.
        """
        bar = self.figure.add_axes((0.825, 0.11, 0.03, 0.76))
        self.figure.colorbar(ScalarMappable(cmap=COLORS), cax=bar, ticks=COMMON_LEVELS[::2]).set_ticklabels([])
        bar.set_title("p(signal | x)", fontsize=9)
        places = bar.get_yaxis_transform()
        labels = [bar.text(1.6, at, "", va="center", fontsize=8, transform=places) for at in COMMON_LEVELS[::2]]
        strip = self.figure.add_axes((0.78, 0.11, 0.015, 0.76), xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[0, 1])
        strip.tick_params(labelsize=8)
        (mark,) = strip.fill([0], [0], color="black", alpha=0.5, linewidth=1, clip_on=False)
        return labels, mark


def mesh() -> NDArray[np.float64]:
    """Return the points at which a contour is evaluated: a square grid over (-5, 5)², shape (10000, 2)."""
    return np.stack(np.meshgrid(AXIS, AXIS), axis=-1).reshape(-1, 2)


def events_figure(x: Array, t: Array, title: str = "", style: Style = "notebook") -> Figure:
    """Draw the events alone; the arguments are those of `ContourFigure`."""
    figure, axes, _ = _square_figure(title, left=0.19)
    _scatter(axes, x, t, style, size=12, alpha=1)
    _legend(axes)
    return figure


class Panel(NamedTuple):
    """What a contour shows: probabilities at the points of `mesh()`, events x (n, 2) and their labels t (n, 1)."""

    probabilities: Array
    x: Array
    t: Array


def comparison_figure(panels: Mapping[str, Panel]) -> Figure:
    """Draw several contours side by side: above, each with levels of its own; below, all on the common scale.

    Args:
        panels: By their titles.
    """
    figure = Figure(figsize=(3 * len(panels) + 1.2, 7), dpi=150, layout="compressed")
    own, common = figure.subplots(2, len(panels), sharex=True, sharey=True, squeeze=False)
    for above, below, (title, panel) in zip(own, common, panels.items(), strict=True):
        lines = [*textwrap.wrap(title, 26), *textwrap.wrap(_add_panel(above, panel, "own"), 30)]
        above.set_title("\n".join(lines), fontsize=10)
        _add_panel(below, panel, "common")
    ends = FixedFormatter(["lowest", "highest"])
    figure.colorbar(ScalarMappable(cmap=COLORS), ax=own, ticks=[0, 1], format=ends, label="p, each on its own levels")
    figure.colorbar(ScalarMappable(cmap=COLORS), ax=common, ticks=COMMON_LEVELS[::2], label="p, all on one scale")
    figure.legend(*own[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, markerscale=4)
    return figure


def pixels(figure: Figure) -> Pixels:
    """Return the figure as an RGB image, shape (height, width, 3)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return _rgb(canvas)


def write_picture(path: Path, image: Pixels) -> None:
    """Write an RGB image, shape (height, width, 3), as a PNG file, atomically."""
    write_atomically(path, as_png(image))


def _fill(axes: Axes, field: Field) -> QuadContourSet:
    return axes.contourf(AXIS, AXIS, field.values, levels=field.levels, cmap=COLORS, zorder=0)


def _add_panel(axes: Axes, panel: Panel, scale: Scale) -> str:
    """Draw one of several contours; return what is to be said of it."""
    field = as_field(panel.probabilities.reshape(len(AXIS), -1), scale)
    _fill(axes, field)
    _scatter(axes, panel.x, panel.t, "notebook", size=1.5)
    axes.set(aspect="equal", xlabel="x1", ylabel="x2", xlim=AXIS[[0, -1]], ylim=AXIS[[0, -1]])
    axes.label_outer()
    names = field.labels()
    return field.note or f"p from {names[0]} to {names[-1]}"


def _square_figure(title: str, left: float) -> tuple[Figure, Axes, Text]:
    """Return a figure of 600 by 500 pixels, legible when small, with square axes, and its title."""
    figure = Figure(figsize=(4.8, 4), dpi=125)
    axes = figure.add_axes((left, 0.11, 0.76 * 5 / 6, 0.76), xlim=AXIS[[0, -1]], ylim=AXIS[[0, -1]])
    axes.set_xlabel("x1", labelpad=2)
    axes.set_ylabel("x2", labelpad=0)
    axes.tick_params(labelsize=9)
    return figure, axes, axes.set_title(title, loc="left", fontsize=11, pad=18)


def _scatter(axes: Axes, x: Array, t: Array, style: Style, size: float, alpha: float = 0.6) -> list[PathCollection]:
    """Draw the events. Over a contour they are small and faint, since they must not hide it."""
    look: dict[str, Any] = {"s": size, "alpha": alpha, "linewidth": 0}
    return [
        axes.scatter(x[t[:, 0] == label, 0], x[t[:, 0] == label, 1], c=color, marker=marker, label=name, **look)
        for label, name, (color, marker) in zip((1, 0), ("Signal", "Background"), MARKERS[style], strict=True)
    ]


def _legend(axes: Axes) -> Legend:
    """Name the events above the frame, where the legend hides nothing and stays while contours change."""
    look: dict[str, Any] = {"frameon": False, "borderaxespad": 0.2, "columnspacing": 1, "handletextpad": 0}
    return axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=9, markerscale=2, **look)


def _rgb(canvas: FigureCanvasAgg) -> Pixels:
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # the next drawing overwrites the canvas
