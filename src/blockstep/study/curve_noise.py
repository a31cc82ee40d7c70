"""The noise scale beside a training's metric: without it, the report could not compare it with critical batch sizes."""

from collections.abc import Iterable, Sequence

import numpy as np
from lightning.pytorch import Callback

from blockstep.study.noise_scale import NoiseScale
from blockstep.study.table import Numbers


def noise_at(steps: Sequence[int], callbacks: Iterable[Callback]) -> Numbers:
    """Return the noise scale at some steps, between two measurements as on a straight line.

    Args:
        steps: The steps.
        callbacks: Those of the training.

    Returns:
        NaN after the last measurement; empty if there is no `NoiseScale` among the callbacks.
    """
    measured = [noise for callback in callbacks if isinstance(callback, NoiseScale) for noise in callback.measured]
    if not measured:
        return np.empty(0)
    known, scales = np.array([(noise.step, noise.scale) for noise in measured], np.float64).T
    at_steps: Numbers = np.interp(np.asarray(steps, np.float64), known, scales, right=np.nan)
    return at_steps
