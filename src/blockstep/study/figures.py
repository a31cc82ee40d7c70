"""The figures of a study: which there are, what they say, and when data for one is missing."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from blockstep.study.looks import NothingToDrawError, Picture, looks
from blockstep.study.names import label
from blockstep.study.noise_figure import noise
from blockstep.study.panels import Band, draw_bands, draw_goals, draw_rates, draw_seconds, draw_targets
from blockstep.study.part import COMPARED, Part, reached
from blockstep.study.table import Curve
from blockstep.study.target_results import TargetResult


def collapse(part: Part) -> Picture:
    """Draw the metric at one learning rate over steps, and beside that over events."""
    rate, look = part.common_rate, looks(part.sizes)
    found = {size: band_of(part.curves_at(size, rate)) for size in part.sizes}
    bands = {size: band for size, band in found.items() if band is not None}
    if len(bands) < COMPARED:
        raise NothingToDrawError("This needs a learning rate that was trained at two batch sizes.")

    def panel(axes: Axes, over: Any) -> None:
        draw_bands(axes, bands, look, part.study.metric, over)
        draw_targets(axes, part.study.targets)

    return Picture(
        f"One learning rate, {label(rate)}: over steps, and over events",
        "Lines are medians over the seeds, bands reach from the least to the greatest. Where the lines lie on each "
        "other over steps, progress counts steps, whatever the batch size; over events they fan out, since a step "
        "costs as many events as a batch has. A line ends where the first of its trainings has stopped.",
        [partial(panel, over="steps"), partial(panel, over="events")],
    )


def to_target(part: Part) -> Picture:
    """Draw the steps, and beside that the events, that targets take."""
    goals, look = _comparable(part), looks(part.sizes)
    fit = (
        "Black lines are the fit S_min (1 + B_crit / B). A tick marks B_crit, where a target takes 2 S_min steps, and "
        "a grey bar its interval. Thin grey lines are perfect scaling: half the steps at twice the batch size."
    )
    return Picture(
        "Steps and events until a target is held, with the best learning rate of each batch size",
        "Medians over the seeds with 90 % intervals, for which seeds are drawn anew and the best learning rate is "
        f"chosen anew. {fit if any(goal.fit for goal in goals) else f'There is no fit: {goals[0].no_fit}.'}",
        [partial(draw_goals, goals=goals, look=look, over=over) for over in ("steps", "events")],
    )


def against_rate(part: Part) -> Picture:
    """Draw the steps that a target takes over the learning rate, with a band for what was not reached."""
    if len(part.rates) < COMPARED:
        raise NothingToDrawError("This needs two learning rates.")
    if part.headline is None:
        raise NothingToDrawError("No target was held.")
    last = [goal for goal in part.goals if reached(goal)][-1]
    shown = [part.headline] if last is part.headline else [part.headline, last]
    return Picture(
        "Steps until a target is held, at each learning rate",
        "Medians over the seeds. Rings mark the best learning rate of each batch size; markers are white where some "
        "seeds did not hold the target. A cross in the grey band: half of them or more did not, since training was "
        "unstable or its budget was spent.",
        [partial(draw_rates, goal=goal, look=looks(part.sizes)) for goal in shown],
    )


def seconds(part: Part) -> Picture:
    """Draw the seconds that targets take."""
    beside = "" if part.study.timed_alone else " Other trainings ran at the same time: take these times as a hint."
    return Picture(
        f"Seconds until a target is held, with the engine “{part.study.engine}”",
        "The steps of the figure above, times the time of a step of training, validation left out. Rings mark the "
        f"fastest batch size.{beside}",
        [partial(draw_seconds, part=part, goals=_comparable(part), look=looks(part.sizes))],
    )


FIGURES: Mapping[str, tuple[str, Callable[[Part], Picture]]] = {
    "collapse": ("One learning rate: over steps, and over events", collapse),
    "to_target": ("Steps and events until a target is held", to_target),
    "against_rate": ("Steps until a target is held, at each learning rate", against_rate),
    "seconds": ("Seconds until a target is held", seconds),
    "noise": ("The gradient noise scale, and the critical batch size", noise),
}
"""By the name of its files, in the order of a report: a title, and what draws it or raises `NothingToDrawError`."""


def band_of(curves: Sequence[Curve]) -> Band | None:
    """Return the median and the range over trainings of the same settings, at the steps that all of them have.

    Args:
        curves: The trainings.

    Returns:
        What is after the first step; None if nothing is.
    """
    known = [(curve.steps > 0) & np.isfinite(curve.values) for curve in curves]
    ran = [(curve, steps) for curve, steps in zip(curves, known, strict=True) if steps.any()]
    if not ran:
        return None
    common = set.intersection(*(set(curve.steps[steps]) for curve, steps in ran))
    if not common:
        return None
    at = np.array(sorted(common))
    values = np.array([curve.values[np.isin(curve.steps, at)] for curve, _ in ran])
    events = ran[0][0].events[np.isin(ran[0][0].steps, at)]
    return Band(at, events, np.median(values, axis=0), values.min(axis=0), values.max(axis=0))


def _comparable(part: Part) -> list[TargetResult]:
    """Return the targets that several batch sizes have held."""
    goals = [goal for goal in part.goals if len(reached(goal)) >= COMPARED]
    if not goals:
        raise NothingToDrawError("This needs a target that was held with two batch sizes.")
    return goals
