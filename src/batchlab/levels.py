"""The levels of a contour, and what is to be said of it: its numbers, apart from its drawing."""

from math import ceil, log10, nan
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Scale = Literal["own", "common"]

COMMON_LEVELS = np.linspace(0, 1, 11)
"""The common scale: ten equal steps of probability, the same in every figure."""

SMALLEST_SPAN = 1e-6
"""Probabilities that differ by less are drawn as equal: ten levels of them would show rounding."""


class Field(NamedTuple):
    """Probabilities on the grid, which may be nan, their range, their levels, and what the levels do not tell."""

    values: NDArray[np.float64]
    low: float
    high: float
    levels: NDArray[np.float64]
    note: str

    def labels(self) -> list[str]:
        """Return the levels with as many digits as tell them apart."""
        decimals = ceil(-log10(self.levels[-1] - self.levels[0])) + 1
        return [f"{level:.{decimals}f}" for level in self.levels]

    def marked_range(self) -> list[tuple[float, float]]:
        """Return the corners of the strip's mark: the range, and where the colour bar beside it shows the range."""
        first, last = self.levels[[0, -1]]
        bottom, top = ((end - first) / (last - first) for end in (self.low, self.high))
        return [(0, self.low), (1, self.low), (3, bottom), (3, top), (1, self.high), (0, self.high)]


def as_field(probabilities: Array, scale: Scale) -> Field:
    """Return probabilities with their levels.

    Args:
        probabilities: On a grid, of any shape.
        scale: "own" for ten levels from the lowest to the highest probability, "common" for ten from 0 to 1.
    """
    values = probabilities.astype(np.float64)
    finite = np.isfinite(values)
    low, high = (values[finite].min(), values[finite].max()) if finite.any() else (nan, nan)
    levels, note = COMMON_LEVELS, ""
    if high - low >= SMALLEST_SPAN:
        levels = COMMON_LEVELS if scale == "common" else np.linspace(low, high, len(COMMON_LEVELS))
    else:
        values[finite] = low  # one colour, also where a level lies within the span
        note = f"p = {low:.4f} everywhere"
    if not finite.all():
        note = f"p is not finite at {(~finite).sum():,} of {finite.size:,} points"
    return Field(values, low, high, levels, note)
