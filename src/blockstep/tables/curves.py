"""Curves of a classifier as arrays: without it, scores and figures would count the same rows twice."""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.floating[Any]]

BINS = np.linspace(0, 1, 11)
"""The edges of the reliability diagram's bins."""


class Counts(NamedTuple):
    """Rows of a class, and of all others, whose probability is at least each threshold, from the highest down."""

    right: Array
    wrong: Array

    @property
    def recall(self) -> Array:
        """The fraction of the class's rows; also called the true-positive rate."""
        fraction: Array = self.right / self.right[-1]
        return fraction

    @property
    def false_positive_rate(self) -> Array:
        """The fraction of all other rows."""
        fraction: Array = self.wrong / self.wrong[-1]
        return fraction

    @property
    def precision(self) -> Array:
        """The fraction of these rows that are of the class."""
        fraction: Array = self.right / (self.right + self.wrong)
        return fraction


class Reliability(NamedTuple):
    """Of each bin that has rows: the mean probability of the likeliest class, how often it was right, and the rows."""

    confidence: Array
    accuracy: Array
    rows: NDArray[np.integer]

    @property
    def error(self) -> float:
        """The expected calibration error (Naeini et al., 2015): the mean distance of the two, over the rows."""
        return float(np.average(np.abs(self.confidence - self.accuracy), weights=self.rows))


class Curves:
    """Each class against all others.

    Args:
        probabilities: Of each class, shape (n, classes).
        labels: The numbers of the classes, shape (n,).

    Attributes:
        classes: The classes that have curves: those that some rows are of, and some are not.
    """

    def __init__(self, probabilities: Tensor, labels: Tensor) -> None:
        self.probabilities: Array = probabilities.double().cpu().numpy()
        self.labels = labels.cpu().numpy()
        rows = np.bincount(self.labels, minlength=self.probabilities.shape[1])
        finite = bool(np.isfinite(self.probabilities).all())  # NaN has no place in an order
        self.classes = [k for k, count in enumerate(rows) if 0 < count < len(self.labels) and finite]

    @cached_property
    def counts(self) -> dict[int, Counts]:
        """The counts behind the curves, by class."""
        return {k: _count(self.probabilities[:, k], self.labels == k) for k in self.classes}

    def auroc(self) -> float:
        """Return the area under the ROC curve, as a mean over the classes; nan if there are no curves."""
        return _mean([float(np.trapezoid(_from_0(c.recall), _from_0(c.false_positive_rate))) for c in self._all()])

    def average_precision(self) -> float:
        """Return the area under the precision-recall curve, as a sum of steps, as a mean over the classes."""
        return _mean([float(np.sum(np.diff(_from_0(c.recall)) * c.precision)) for c in self._all()])

    def reliability(self) -> Reliability:
        """Compare the probability of the likeliest class with how often it is right."""
        likeliest = self.probabilities.argmax(axis=1)
        confidence = self.probabilities.max(axis=1)
        bins = np.clip(np.digitize(confidence, BINS) - 1, 0, len(BINS) - 2)
        rows = np.bincount(bins, minlength=len(BINS) - 1)
        used = rows > 0
        sums = (np.bincount(bins, values, len(BINS) - 1) for values in (confidence, likeliest == self.labels))
        mean_confidence, accuracy = (total[used] / rows[used] for total in sums)
        return Reliability(mean_confidence, accuracy, rows[used])

    def _all(self) -> list[Counts]:
        return list(self.counts.values())


def _count(probabilities: Array, chosen: NDArray[np.bool]) -> Counts:
    order = np.argsort(-probabilities, kind="stable")
    last_of_equal = np.flatnonzero(np.diff(probabilities[order], append=-1))
    right = np.cumsum(chosen[order])[last_of_equal].astype(np.float64)
    return Counts(right, last_of_equal + 1 - right)


def _from_0(values: Array) -> Array:
    return np.concatenate([[0.0], values])


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
