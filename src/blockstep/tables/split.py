"""Training, validation and test rows: without it, a rare class could be missing from one of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Parts = NDArray[np.uint8]

TRAINING, VALIDATION, TEST = 0, 1, 2
"""The number of each part."""


class TooFewRowsError(ValueError):
    """A group has too few rows for a row in each part.

    Args:
        group: The group's number.
        rows: Its rows, at least one.
        needed: The number of parts that need one.
    """

    def __init__(self, group: int, rows: Sequence[int], needed: int) -> None:
        super().__init__(f"group {group} has {len(rows)} rows for {needed} parts")
        self.group, self.rows, self.needed = group, rows, needed


def split(groups: NDArray[np.integer], validation: float, test: float, seed: int) -> Parts:
    """Draw the part of each row, at random and with the same fractions in each group (stratified).

    Args:
        groups: The number of each row's group: its class, or 0 if there are none.
        validation: The fraction of validation rows, from 0 to less than 1.
        test: The fraction of test rows, likewise. Both together are less than 1.
        seed: Equal seeds give equal parts of equal groups.

    Returns:
        The part of each row. A fraction is rounded to whole rows of a group, but to one at least.

    Raises:
        TooFewRowsError: If a group does not have a row for training and for each fraction that is not 0.

    Example:
        >>> split(np.array([0, 0, 0, 1, 1, 1]), validation=0.3, test=0.3, seed=0).tolist()
        [2, 0, 1, 0, 2, 1]
    """
    rng = np.random.default_rng(seed)
    parts = np.full(len(groups), TRAINING, dtype=np.uint8)
    order = np.argsort(groups, kind="stable")
    ends = np.flatnonzero(np.diff(groups[order])) + 1
    for rows in np.split(order, ends):
        sizes = [max(1, round(fraction * len(rows))) if fraction else 0 for fraction in (validation, test)]
        needed = 1 + sum(fraction > 0 for fraction in (validation, test))
        if len(rows) < needed:
            raise TooFewRowsError(int(groups[rows[0]]), rows.tolist(), needed)
        while sum(sizes) >= len(rows):  # rounded up, both
            sizes[int(np.argmax(sizes))] -= 1
        drawn = rng.permutation(rows)
        parts[drawn[: sizes[0]]] = VALIDATION
        parts[drawn[sizes[0] : sum(sizes)]] = TEST
    return parts
