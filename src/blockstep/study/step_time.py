"""The time of a step: without it, seconds to a target would be those of the checkpoints at which a study looks."""

from collections.abc import Iterable

import numpy as np
from scipy.stats import theilslopes

from blockstep.study.table import Curve

LARGEST = 1000
"""The most intervals that are used, since all pairs of them are compared."""


def step_seconds(curves: Iterable[Curve]) -> float:
    """Return the seconds of a step, from trainings with the same batch size.

    Between two checkpoints, a training takes some time for its steps and some for being interrupted, which an ordinary
    training is not. The median slope of time over steps (Theil-Sen) is the time of a step alone, and robust against
    what else the machine did.

    Args:
        curves: The trainings.

    Returns:
        NaN if no training has taken a step.
    """
    pairs = [np.stack([np.diff(curve.steps), np.diff(curve.seconds)]) for curve in curves]
    steps, seconds = np.concatenate(pairs, axis=1) if pairs else np.empty((2, 0))
    if not len(steps):
        return float("nan")
    if steps.min() == steps.max():
        return float(np.median(seconds / steps))
    chosen = np.linspace(0, len(steps) - 1, min(len(steps), LARGEST)).astype(int)
    slope = float(theilslopes(seconds[chosen], steps[chosen]).slope)
    return slope if slope > 0 else float(np.median(seconds / steps))
