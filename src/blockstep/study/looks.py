"""What a study's figures have in common: without it, a batch size would have another colour in each of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, NamedTuple

from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, NullFormatter

from blockstep.study.names import as_text

WIDTH, HEIGHT = 5.3, 4.1
"""Of a panel, in inches: 380 CSS pixels, so that its texts are legible on a narrow screen, where panels are stacked."""

DOTS = 130
"""Pixels an inch of PNG files."""

GREY = "#5f6368"
"""Of what is beside the data; its contrast with white is 6 : 1."""

FEW_DECADES = 60
"""The ratio of an axis's ends below which powers of ten alone are too few labels."""

MARKERS = "osD^vPX*<>ph"

SETTINGS: Any = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10,
    "font.size": 9.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "path",  # looks the same everywhere, without a font of the reader's
    "svg.hashsalt": "study",  # the same figure is the same file
}


class Look(NamedTuple):
    """How a batch size is drawn: its colour and, for whom colours do not suffice, its marker."""

    color: str
    marker: str


class NothingToDrawError(Exception):
    """A figure's data is missing; the message is a sentence that says which."""


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
        title: A line above it.
        caption: What is to be seen: a paragraph.
        panels: Functions that draw the panels, which stand side by side where there is room.
    """

    title: str
    caption: str
    panels: Sequence[Callable[[Axes], None]]


def looks(sizes: Sequence[Any]) -> Mapping[Any, Look]:
    """Return how batch sizes are drawn: from dark to light in viridis, whose lightness alone tells them apart."""
    colors = colormaps["viridis"]
    last = max(len(sizes) - 1, 1)
    return {
        size: Look(_hex(colors(0.9 * place / last)), MARKERS[place % len(MARKERS)]) for place, size in enumerate(sizes)
    }


def draw(panels: Sequence[Callable[[Axes], None]]) -> Figure:
    """Draw panels side by side."""
    with rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH * len(panels), HEIGHT), dpi=DOTS)
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            panel(axes)
            _label(axes.xaxis)
            _label(axes.yaxis)
        ConstrainedLayoutEngine().execute(figure)  # once, where a figure's own engine works at each drawing
    return figure


def as_png(figure: Figure) -> bytes:
    """Return a figure as a PNG file. Unlike `savefig`, this draws once, which halves the time of a report."""
    file = BytesIO()
    with rc_context(SETTINGS):
        FigureCanvasAgg(figure).print_png(file)
    return file.getvalue()


def as_svg(figure: Figure) -> bytes:
    """Return a figure as an SVG file, likewise, without the time at which it was made."""
    file = BytesIO()
    with rc_context(SETTINGS):
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None})
    return file.getvalue()


FORMS = {"png": as_png, "svg": as_svg}
"""The files of a figure."""


def log_axes(axes: Axes, xlabel: str, ylabel: str, *, title: str = "") -> None:
    """Give both axes logarithmic scales with plain numbers."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.set_title(title, loc="left")
    axes.grid(color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)


def _label(axis: Axis) -> None:
    """Label the powers of ten with plain numbers; on a short axis, 2 and 5 times these too."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: as_text(value)))
    low, high = axis.get_view_interval()
    short = axis.get_scale() == "log" and high < FEW_DECADES * low
    axis.set_minor_formatter(FuncFormatter(_two_and_five) if short else NullFormatter())


def _two_and_five(value: float, _: int | None) -> str:
    return as_text(value) if f"{value:e}"[0] in "25" else ""


def _hex(color: tuple[float, float, float, float]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in color[:3])
