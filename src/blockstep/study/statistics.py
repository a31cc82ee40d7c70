"""Steps to a target, medians and intervals: without it, lucky dips and lucky cells would pass for results.

Arrays in, numbers out. A target that is not reached counts as infinite throughout, so that medians and intervals show
it. NaN is a training that there is not.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.stats import norm, t

from blockstep.study.table import Numbers

TAIL = 0.05
"""How often the true value may lie below an interval, and how often above: intervals are of 90 %."""

RESAMPLES = 1000
"""Drawings of seeds for an interval."""


class Estimate(NamedTuple):
    """A value with the limits of its 90 % interval, which are NaN if there is a single seed."""

    value: float
    low: float
    high: float


def held(steps: Numbers, values: Numbers, target: float, further: int) -> float:
    """Return the steps after which a metric holds a target, infinity if it never does.

    It holds from the first checkpoint on at which the value is at or below the target and stays so at the next
    `further` checkpoints. Since checkpoints lie far apart, the steps are those at which a straight line from the
    checkpoint before crosses the target.

    A curve that ends before it has these further checkpoints is not known to hold. That concerns no training that was
    stopped because it held its last target, if that rule has as many of them: it holds all easier targets too.

    Args:
        steps: Steps taken at each checkpoint, rising.
        values: The metric there, of which smaller values are better. NaN is above every target.
        target: The value to be held.
        further: Number of further checkpoints; with 0, it is the first passage.

    Example:
        >>> held(np.array([0.0, 10, 20, 30, 40]), np.array([0.5, 0.1, 0.3, 0.1, 0.1]), target=0.2, further=1)
        25.0
    """
    if len(values) <= further:
        return math.inf
    stays = np.lib.stride_tricks.sliding_window_view(np.asarray(values) <= target, further + 1).all(axis=1)
    if not stays.any():
        return math.inf
    at = int(stays.argmax())
    before, after = (values[at - 1], values[at]) if at else (math.nan, math.nan)
    if not (math.isfinite(before) and math.isfinite(after)):
        return float(steps[at])
    return float(steps[at - 1] + (steps[at] - steps[at - 1]) * (before - target) / (before - after))


def first(steps: Numbers, values: Numbers, target: float) -> float:
    """Return the steps after which a metric is at or below a target for the first time, as in a lucky dip."""
    return held(steps, values, target, further=0)


def mean_until(steps: Numbers, values: Numbers, until: float) -> float:
    """Return the mean over the steps from the first one on until a step, of values that are known at some steps.

    Between two of these, values are taken to lie on a straight line, and after the last one to stay as they are. For
    the gradient noise scale, that mean is what the critical batch size is compared with (McCandlish et al. 2018,
    appendix D: of S_min steps, E_min = S_min B_crit is the integral of the noise scale).

    Args:
        steps: The steps, rising. Those at which a value is NaN are left out.
        values: The values.
        until: The last step; NaN is returned if it is infinite or no value is known until then.

    Example:
        >>> mean_until(np.array([0.0, 10, 20]), np.array([1.0, 3, 5]), until=15)
        2.5
    """
    known = ~np.isnan(values)
    steps, values = np.asarray(steps)[known], np.asarray(values)[known]
    if not len(steps) or not steps[0] <= until < math.inf:
        return math.nan
    if until == steps[0]:
        return float(values[0])
    inner = steps < until
    ends = np.append(steps[inner], until)
    heights = np.append(values[inner], np.interp(until, steps, values))
    return float(np.trapezoid(heights, ends) / (until - steps[0]))


def medians(values: Numbers) -> Numbers:
    """Return the medians over the last axis; of an even number of values, the mean of the middle two.

    Infinity counts as a value. NaN is left out; where there is nothing else, the median is infinite.

    Example:
        >>> medians(np.array([[1.0, 3, np.inf], [2, 4, np.nan], [1, np.inf, np.inf]])).tolist()
        [3.0, 3.0, inf]
    """
    ordered = np.sort(values, axis=-1)  # infinity, and NaN after it, come last
    count = np.sum(~np.isnan(values), axis=-1, keepdims=True)
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0) // 2, axis=-1)
    high = np.take_along_axis(ordered, np.minimum(count // 2, values.shape[-1] - 1), axis=-1)
    medians: Numbers = np.where(count, (low + high) / 2, np.inf)[..., 0]
    return medians


def resampled(steps: Numbers, resamples: int = RESAMPLES, seed: int = 0) -> Numbers:
    """Draw seeds with replacement, and return the least median over learning rates for each drawing (a bootstrap).

    The learning rate is chosen anew in each drawing. All cells get the same seeds: a training's luck is in part that of
    its seed (its first weights, its order of events), so that neighbouring learning rates and batch sizes share it, and
    what was drawn independently is the seeds, not the trainings.

    Args:
        steps: Steps to the target, shape (sizes, learning rates, seeds).
        resamples: Number of drawings.
        seed: Seed of the drawings.

    Returns:
        Shape (resamples, sizes).
    """
    seeds = steps.shape[-1]
    drawn = np.random.default_rng(seed).integers(seeds, size=(resamples, seeds))
    least: Numbers = medians(steps[..., drawn]).min(axis=1).T
    return least


def small_sample_tail(seeds: int) -> float:
    """Return the tail of the drawings beyond which a median of few seeds lies in 5 % of all studies.

    Drawings from few seeds spread less than studies do. The tail is made smaller for that as Student's t and the factor
    n / (n - 1) of a variance are for a mean (the expanded percentile interval of Hesterberg 2015, "What teachers
    should know about the bootstrap").
    """
    return float(norm.cdf(math.sqrt(seeds / (seeds - 1)) * t.ppf(TAIL, seeds - 1))) if seeds > 1 else TAIL


def interval(value: float, drawings: Numbers, seeds: int, tail: float = TAIL) -> Estimate:
    """Return a positive value with the limits that a tail of its drawings lies below, and above.

    Args:
        value: The value.
        drawings: What it was in each drawing. NaN, a drawing in which it is unknown, may lie anywhere: below the lower
            limit, and above the upper one.
        seeds: Number of seeds. From a single one, no interval follows.
        tail: The tail.
    """
    if seeds < 2:  # noqa: PLR2004 - two differ
        return Estimate(value, math.nan, math.nan)
    low = np.quantile(np.nan_to_num(drawings, nan=0, posinf=np.inf), tail, method="inverted_cdf")
    high = np.quantile(np.nan_to_num(drawings, nan=np.inf, posinf=np.inf), 1 - tail, method="inverted_cdf")
    return Estimate(value, float(low), float(high))
