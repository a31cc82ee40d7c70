"""Standardised columns: without it, a column in millimetres would weigh a thousand times as much as one in metres."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


class Scaling(NamedTuple):
    """Mean and standard deviation of each column; a constant column has a deviation of 0.

    Example:
        >>> scaling = measure_scaling([np.array([[1.0, 7.0], [3.0, 7.0]])])
        >>> scaling.standardise(np.array([[1.0, 7.0], [5.0, 8.0]])).tolist()
        [[-1.0, 0.0], [3.0, 0.0]]
    """

    mean: Numbers
    deviation: Numbers

    def standardise(self, values: Numbers) -> NDArray[np.float32]:
        """Return (values - mean) / deviation; 0 in a constant column, of which nothing was learned."""
        constant = self.deviation == 0
        with np.errstate(over="ignore"):  # a value that float32 cannot hold is infinite
            scaled = (values - self.mean) / np.where(constant, 1, self.deviation)
            return np.where(constant, 0, scaled).astype(np.float32)


@np.errstate(over="ignore", invalid="ignore")  # the deviation is then infinite or nan, which `learn` reports
def measure_scaling(pieces: Iterable[Numbers]) -> Scaling:
    """Measure the mean and the standard deviation (of the population) of each column.

    The pieces' moments are combined by the formula of Chan, Golub and LeVeque ("Updating formulae and a pairwise
    algorithm for computing sample variances", 1979), which is accurate where a mean is large.

    Args:
        pieces: Rows, shape (n, columns), at least one in all.
    """
    count, mean, squares, low, high = 0, np.zeros(1), np.zeros(1), np.full(1, np.inf), np.full(1, -np.inf)
    for values in pieces:
        if not len(values):
            continue
        own_mean = values.mean(axis=0)
        total, shift = count + len(values), own_mean - mean
        squares = squares + ((values - own_mean) ** 2).sum(axis=0) + shift**2 * (count * len(values) / total)
        mean = mean + shift * (len(values) / total)
        low, high = np.minimum(low, values.min(axis=0)), np.maximum(high, values.max(axis=0))
        count = total
    # Rounding can give a constant column a tiny deviation.
    return Scaling(mean, np.where(low == high, 0.0, np.sqrt(squares / count)))
