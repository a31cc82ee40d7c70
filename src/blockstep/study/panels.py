"""The panels of a study's figures: numbers in, drawn on matplotlib's axes."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from blockstep.study.looks import GREY, Look, log_axes
from blockstep.study.names import label, with_range
from blockstep.study.part import Part, reached
from blockstep.study.statistics import Estimate
from blockstep.study.table import Numbers
from blockstep.study.target_results import SizeResult, TargetResult

Over = Literal["steps", "events"]

STYLES = ("-", "--", ":", "-.")
"""Of the lines of targets, from the easiest."""

BAND = 0.2
"""The part of a panel's height that is for what was not reached."""


class Band(NamedTuple):
    """The metric of some trainings of the same settings: at each step the median, the least and the greatest."""

    steps: Numbers
    events: Numbers
    median: Numbers
    least: Numbers
    greatest: Numbers


def draw_bands(axes: Axes, bands: Mapping[Any, Band], look: Mapping[Any, Look], metric: str, over: Over) -> None:
    """Draw the metric of each batch size over steps or events."""
    log_axes(axes, "steps" if over == "steps" else "events seen", metric)
    if min(band.least.min() for band in bands.values()) <= 0:
        axes.set_yscale("linear")
    for size, band in bands.items():
        x, color = getattr(band, over), look[size].color
        axes.fill_between(x, band.least, band.greatest, color=color, alpha=0.15, linewidth=0)
        axes.plot(x, band.median, color=color, linewidth=1.7, label=label(size))
    axes.legend(title="batch size", loc="lower left")


def draw_targets(axes: Axes, targets: Sequence[float]) -> None:
    """Mark the targets by lines across a panel of the metric."""
    place: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "bottom"}
    for target in targets:
        axes.axhline(target, color=GREY, linewidth=0.8, linestyle="--")
        axes.text(0.995, target, label(target), color=GREY, fontsize=8, **place)


def draw_goals(axes: Axes, goals: Sequence[TargetResult], look: Mapping[Any, Look], over: Over) -> None:
    """Draw the steps or events that each target takes over the batch size, with the fits."""
    log_axes(axes, "batch size", f"{over} until the target is held")
    for goal, style in zip(goals, _styles(len(goals)), strict=True):
        for result in reached(goal):
            estimate = result.steps if over == "steps" else result.events
            _interval(axes, result.batch_size, estimate, look[result.size].color)
            _point(axes, result.batch_size, estimate.value, look[result.size])
        _draw_fit(axes, goal, over, style)
    axes.legend(loc="upper right" if over == "steps" else "upper left")


def draw_rates(axes: Axes, goal: TargetResult, look: Mapping[Any, Look]) -> None:
    """Draw the steps that a target takes over the learning rate."""
    log_axes(axes, "learning rate", "steps", title=f"until {label(goal.target)} is held")
    for result in goal.sizes:
        _draw_reached(axes, result, look[result.size])
    _draw_not_reached(axes, goal.sizes, look)
    axes.legend(title="batch size", loc="lower left")


def draw_seconds(axes: Axes, part: Part, goals: Sequence[TargetResult], look: Mapping[Any, Look]) -> None:
    """Draw the seconds that targets take over the batch size, and a ring at the least of each."""
    log_axes(axes, "batch size", "seconds until the target is held")
    for goal, style in zip(goals, _styles(len(goals)), strict=True):
        results = reached(goal)
        x, y = [result.batch_size for result in results], [part.seconds(result) for result in results]
        axes.plot(x, y, style, color=GREY, linewidth=1.2, label=label(goal.target))
        for result, height in zip(results, y, strict=True):
            _point(axes, result.batch_size, height, look[result.size])
        _ring(axes, x[int(np.argmin(y))], min(y))
    axes.legend(title="target")


def _draw_fit(axes: Axes, goal: TargetResult, over: Over, style: str) -> None:
    """Draw a target's fit, its perfect scaling, and the critical batch size with its interval."""
    sizes = np.array([result.batch_size for result in reached(goal)])
    steps = np.array([result.steps.value for result in reached(goal)])
    fit = goal.fit
    if fit is None:
        scale = sizes if over == "events" else 1
        axes.plot(sizes, scale * steps, style, color=GREY, linewidth=1, label=f"{label(goal.target)}: no fit")
        return
    x = np.geomspace(sizes.min(), sizes.max(), 200)
    scale = x if over == "events" else np.ones_like(x)
    words = f"{label(goal.target)}: B_crit {with_range(*fit.b_crit)}"
    axes.plot(x, scale * fit.best.steps(x), style, color="black", linewidth=1.1, zorder=1.5, label=words)
    near = x <= 3 * fit.best.b_crit
    axes.plot(x[near], (scale * fit.best.e_min / x)[near], color="#a0a0a0", linewidth=0.9, zorder=1)
    if not 0 < fit.best.b_crit < np.inf:
        return
    height = 2 * (fit.best.e_min if over == "events" else fit.best.s_min)
    low, high = np.clip([fit.b_crit.low, fit.b_crit.high], x[0] / 2, 2 * x[-1])
    axes.hlines(height, low, high, color="black", linewidth=4, alpha=0.25)
    axes.plot(fit.best.b_crit, height, "|", color="black", markersize=13, markeredgewidth=2)


def _interval(axes: Axes, x: float, estimate: Estimate, color: str) -> None:
    """Draw an interval; one without an upper end, since seeds did not hold the target, as an arrow."""
    value, low, high = estimate
    if np.isposinf(high):
        axes.plot(x, 2 * value, "^", color=color, markersize=5)
    if not np.isnan(low):
        axes.vlines(x, low, min(high, 2 * value) if np.isposinf(high) else high, color=color, linewidth=1.4)


def _point(axes: Axes, x: float, y: float, look: Look, *, filled: bool = True) -> None:
    face = look.color if filled else "white"
    axes.plot(x, y, look.marker, color=look.color, markersize=6, markerfacecolor=face, zorder=3)


def _ring(axes: Axes, x: float, y: float) -> None:
    axes.plot(x, y, "o", color="black", markersize=13, markerfacecolor="none", zorder=4)


def _draw_reached(axes: Axes, result: SizeResult, look: Look) -> None:
    cells = [cell for cell in result.cells if np.isfinite(cell.steps)]
    x = [float(cell.lr) for cell in cells]
    axes.plot(x, [cell.steps for cell in cells], "-", color=look.color, linewidth=1.2)
    axes.plot([], [], f"{look.marker}-", color=look.color, markersize=5, label=label(result.size))
    for cell in cells:
        _point(axes, float(cell.lr), cell.steps, look, filled=cell.reached == cell.runs)
    if result.is_reached:
        _ring(axes, float(result.best.lr), result.best.steps)


def _draw_not_reached(axes: Axes, results: Sequence[SizeResult], look: Mapping[Any, Look]) -> None:
    """Draw crosses in a band above all that was reached, each batch size in a row of its own."""
    cells = [cell for result in results for cell in result.cells]
    rates, steps = [float(cell.lr) for cell in cells], [cell.steps for cell in cells if np.isfinite(cell.steps)]
    low, high = min(steps) / 2, 2 * max(steps)
    top = high * (high / low) ** (BAND / (1 - BAND))
    axes.set(xlim=(min(rates) / 1.6, 1.6 * max(rates)), ylim=(low, top))
    axes.axhspan(high, top, color="#eeeeee", linewidth=0)
    for result, y in zip(results, np.geomspace(high, top, len(results) + 2)[1:-1], strict=True):
        x = [float(cell.lr) for cell in result.cells if cell.runs and not np.isfinite(cell.steps)]
        axes.plot(x, np.full(len(x), y), "x", color=look[result.size].color, markersize=5)
    place: dict[str, Any] = {"rotation": 90, "va": "center", "transform": axes.transAxes}
    axes.text(1.01, 1 - BAND / 2, "not reached", fontsize=8, color=GREY, **place)


def _styles(count: int) -> list[str]:
    return [STYLES[place % len(STYLES)] for place in range(count)]
