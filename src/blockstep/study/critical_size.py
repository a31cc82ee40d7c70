"""The critical batch size: without it, a study would end with a table of steps, and no answer.

Arrays in, numbers out. Steps to a target that is not reached are infinite.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from blockstep.study.statistics import Estimate, interval
from blockstep.study.table import Numbers

LEAST_SIZES = 3
"""The fewest batch sizes of a fit, which has two parameters."""

OUTSIDE = 10.0
"""A critical batch size so many times smaller than the smallest size, or larger than the largest, cannot be told from 0
or infinity."""


@dataclass(frozen=True)
class Fit:
    """Steps by batch size: S(B) = s_min (1 + b_crit / B), McCandlish et al. 2018, eq. 2.11 with E = B S.

    Attributes:
        s_min: Steps that are needed however large the batch is; 0 if steps fall as 1 / B up to the largest.
        b_crit: The critical batch size; 0 or infinite if it lies outside of the sizes by more than a factor of ten.
        e_min: Events that are needed however small the batch is, s_min b_crit.
        residuals: log S - log S(B) at each size; NaN at those left out, which do not reach the target.
    """

    s_min: float
    b_crit: float
    e_min: float
    residuals: Numbers

    def steps(self, sizes: Numbers) -> Numbers:
        """Return S(B)."""
        return self.s_min + self.e_min / np.asarray(sizes)


@dataclass(frozen=True)
class FitWithIntervals:
    """A fit with 90 % intervals, from seeds drawn with replacement.

    In studies drawn from the model, with lognormal noise of 30 % and half-decade learning rates, the interval of b_crit
    covers the true value in 76 % of the studies with 3 seeds, and in 95 % with 5 or with 9: three are too few.

    Attributes:
        s_min: Steps that are needed however large the batch is.
        b_crit: The critical batch size.
        e_min: Events that are needed however small the batch is.
        best: The fit of the study itself.
        unfitted: The part of the drawings in which too few sizes reach the target. They widen the intervals.
    """

    s_min: Estimate
    b_crit: Estimate
    e_min: Estimate
    best: Fit
    unfitted: float


def fit(sizes: Numbers, steps: Numbers) -> Fit | None:
    """Fit log S(B) = log(s_min (1 + b_crit / B)) by least squares.

    For a given b_crit, the best log s_min is a mean, so that log b_crit is all that is searched for.

    Args:
        sizes: Batch sizes.
        steps: Steps to the target. Sizes at which they are not finite and positive are left out.

    Returns:
        None if fewer than three different sizes are left.
    """
    used = np.isfinite(steps) & (steps > 0)
    if len(np.unique(sizes[used])) < LEAST_SIZES:
        return None
    log_sizes, log_steps = np.log(sizes[used]), np.log(steps[used])

    def spread(log_b_crit: Numbers | float) -> Numbers:
        left = log_steps - np.logaddexp(0, np.expand_dims(log_b_crit, -1) - log_sizes)
        spreads: Numbers = left.var(axis=-1)
        return spreads

    # The spread can have two minima: from the best of some points, go to the bottom.
    low, high = log_sizes.min() - np.log(OUTSIDE), log_sizes.max() + np.log(OUTSIDE)
    points, gap = np.linspace(low, high, 50, retstep=True)
    start = points[spread(points).argmin()]
    bounds = (max(start - gap, low), min(start + gap, high))
    found = float(minimize_scalar(spread, bounds=bounds, method="bounded").x)
    if found - low < gap / 100:
        return _fit_of(0.0, 1.0, used, log_steps, np.zeros_like(log_sizes))
    if high - found < gap / 100:
        return _fit_of(1.0, 0.0, used, log_steps, -log_sizes)
    return _fit_of(float(np.exp(found)), 1.0, used, log_steps, np.logaddexp(0, found - log_sizes))


def _fit_of(events: float, steps: float, used: NDArray[np.bool_], log_steps: Numbers, log_shape: Numbers) -> Fit:
    """Return the fit whose steps are `steps + events / B`, whose logarithm is `log_shape`, times the best factor."""
    left = log_steps - log_shape
    factor = float(np.exp(left.mean()))
    residuals = np.full(len(used), np.nan)
    residuals[used] = left - left.mean()
    b_crit = events / steps if steps else np.inf
    return Fit(factor * steps, b_crit, factor * events, residuals)


def fit_with_intervals(sizes: Numbers, steps: Numbers, drawings: Numbers, seeds: int) -> FitWithIntervals | None:
    """Fit a study, and each drawing of its seeds.

    Args:
        sizes: Batch sizes.
        steps: Steps to the target, shape (sizes,).
        drawings: The same for seeds drawn with replacement, shape (drawings, sizes).
        seeds: Number of seeds.

    Returns:
        None if fewer than three sizes reach the target.
    """
    best = fit(sizes, steps)
    if best is None:
        return None
    distinct, places = np.unique(drawings, axis=0, return_inverse=True)  # of five seeds, there are 126 at most
    fits = [fit(sizes, row) for row in distinct]
    numbers = [(np.nan,) * 3 if one is None else (one.s_min, one.b_crit, one.e_min) for one in fits]
    s_min, b_crit, e_min = np.array(numbers)[places.ravel()].T
    return FitWithIntervals(
        interval(best.s_min, s_min, seeds),
        interval(best.b_crit, b_crit, seeds),
        interval(best.e_min, e_min, seeds),
        best,
        float(np.isnan(b_crit).mean()),
    )


def perfect_scaling(sizes: Numbers, steps: Numbers) -> Numbers:
    """Return the steps at each size if twice the batch halved them, from the smallest size that reaches the target on.

    That is the perfect scaling of Shallue et al. 2019, section 4.1. All are NaN if no size reaches it.

    Example:
        >>> perfect_scaling(np.array([1.0, 2, 10]), np.array([np.inf, 50.0, 30])).tolist()
        [100.0, 50.0, 10.0]
    """
    reached = np.flatnonzero(np.isfinite(steps))
    if not len(reached):
        return np.full(len(sizes), np.nan)
    smallest = reached[sizes[reached].argmin()]
    line: Numbers = steps[smallest] * sizes[smallest] / sizes
    return line
