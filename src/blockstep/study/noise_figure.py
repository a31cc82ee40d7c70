"""The figure of the gradient noise scale beside the critical batch size, which it is said to predict."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from blockstep.study.looks import Look, NothingToDrawError, Picture, log_axes, looks
from blockstep.study.names import label
from blockstep.study.part import Part
from blockstep.study.statistics import held, mean_until
from blockstep.study.table import Curve, Study
from blockstep.study.target_results import TargetResult


def noise(part: Part) -> Picture:
    """Draw the noise scale of each training over the metric, and the critical batch size of each target."""
    best = {result.size: result.best.lr for result in part.headline.sizes} if part.headline else {}
    measured = {size: [c for c in part.curves_at(size, best.get(size)) if len(c.noise)] for size in part.sizes}
    measured = {size: curves for size, curves in measured.items() if curves}
    if not measured:
        raise NothingToDrawError("The gradient noise scale was not measured in this study.")
    return Picture(
        "The gradient noise scale, and the critical batch size",
        "Points are tr Σ / |G|² (McCandlish et al. 2018, section 2.2) at the checkpoints of the trainings with the "
        "best learning rate of each batch size; training goes to the right, to smaller values. Black: the critical "
        "batch size of each target, with its interval. White: the mean of the noise scale over the steps until the "
        "target is held, of the median training.",
        [partial(_draw, measured=measured, goals=part.goals, look=looks(part.sizes), study=part.study)],
    )


def _draw(
    axes: Axes,
    measured: Mapping[Any, Sequence[Curve]],
    goals: Sequence[TargetResult],
    look: Mapping[Any, Look],
    study: Study,
) -> None:
    log_axes(axes, study.metric, "events")
    for size, curves in measured.items():
        x = np.concatenate([curve.values for curve in curves])
        y = np.concatenate([curve.noise for curve in curves])
        drawn = (x > 0) & (y > 0)
        style: dict[str, Any] = {"color": look[size].color, "markersize": 4, "alpha": 0.6, "label": label(size)}
        axes.plot(x[drawn], y[drawn], look[size].marker, linestyle="", **style)
    axes.invert_xaxis()
    for goal in goals:
        _draw_critical(axes, goal)
        curves = [curve for curves in measured.values() for curve in curves]
        _draw_mean(axes, goal.target, curves, study.rules.further)
    axes.legend(title="batch size", loc="upper left")


def _draw_critical(axes: Axes, goal: TargetResult) -> None:
    if goal.fit is None or not 0 < goal.fit.b_crit.value < np.inf:
        return
    value, low, high = goal.fit.b_crit
    if np.isfinite([low, high]).all():
        axes.vlines(goal.target, low, high, color="black", linewidth=1.6, zorder=4)
    axes.plot(goal.target, value, "D", color="black", markersize=7, zorder=4)


def _draw_mean(axes: Axes, target: float, curves: Sequence[Curve], further: int) -> None:
    until = [held(curve.steps, curve.values, target, further) for curve in curves]
    means = [mean_until(curve.steps, curve.noise, end) for curve, end in zip(curves, until, strict=True)]
    if np.isfinite(means).any():
        mean = float(np.nanmedian(means))
        axes.plot(target, mean, "D", color="black", markersize=7, markerfacecolor="white", zorder=4)
