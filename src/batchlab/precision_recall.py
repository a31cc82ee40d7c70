"""The precision-recall curve in TensorBoard, with thresholds that suit any range of probabilities."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard.summary import pr_curve_raw

Array = NDArray[np.floating[Any]]

NUM_THRESHOLDS = 127
"""The most that TensorBoard's format, as torch writes it, allows."""


def pr_curve_by_rank(tag: str, labels: Array, probabilities: Array) -> Summary:
    """Return a precision-recall curve whose thresholds are quantiles of the probabilities.

    Thresholds at equal steps of probability, as `torch.utils.tensorboard.summary.pr_curve` has them, miss a classifier
    whose probabilities lie close together: its curve would be a straight line. Here threshold i is the i/127-quantile.

    Args:
        tag: The chart's.
        labels: 0 or 1, shape (n,), with n at least 1.
        probabilities: Finite, shape (n,).
    """
    order = np.argsort(probabilities)
    ranked = probabilities[order]
    thresholds = ranked[np.arange(NUM_THRESHOLDS) * len(ranked) // NUM_THRESHOLDS]
    below = np.searchsorted(ranked, thresholds)  # events that a threshold calls background; equal ones are not parted
    fn = np.concatenate([[0], np.cumsum(labels[order])])[below]
    tp = labels.sum() - fn
    tn = below - fn
    fp = len(ranked) - below - tp
    return pr_curve_raw(tag, tp, fp, tn, fn, tp / (tp + fp), tp / max(labels.sum(), 1), NUM_THRESHOLDS)
