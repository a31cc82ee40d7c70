"""Figures of a classifier and of a regression: arrays in, matplotlib figures out."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from blockstep.tables.curves import BINS, Array, Curves

DRAWN_CLASSES = 10
"""The most classes that are drawn: their colours could not be told apart."""

DRAWN_POINTS = 2000
"""The most points of a curve or a scatter plot, evenly spaced among all of them."""

Place = Literal["lower left", "lower right", "upper left"]

COLORS = colormaps["tab10"].colors  # type: ignore[attr-defined] # it is a list of colours


def classification_figures(curves: Curves, names: Sequence[str]) -> dict[str, Figure]:
    """Draw a classifier's curves.

    Args:
        curves: The curves.
        names: The names of the classes.

    Returns:
        "roc", "precision_recall", "reliability" and "scores_by_class"; none if no class has curves.
    """
    if not curves.classes:
        return {}
    return {
        "roc": _roc(curves, names),
        "precision_recall": _precision_recall(curves, names),
        "reliability": _reliability(curves),
        "scores_by_class": _scores_by_class(curves, names),
    }


def regression_figures(predicted: Tensor, true: Tensor) -> dict[str, Figure]:
    """Draw "predicted_over_true".

    Args:
        predicted: Labels, shape (n, 1).
        true: Likewise.
    """
    x, y = (_thinned(values.double().cpu().numpy()[:, 0]) for values in (true, predicted))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return {}
    figure, axes = _figure(f"{len(true):,} rows", "true", "predicted")
    axes.scatter(x, y, s=6, alpha=0.5, linewidth=0, color=COLORS[0])
    ends = [min(x.min(), y.min()), max(x.max(), y.max())]
    axes.plot(ends, ends, color="black", linewidth=1, label="predicted = true")
    axes.legend(loc="upper left", fontsize=8)
    return {"predicted_over_true": figure}


def _roc(curves: Curves, names: Sequence[str]) -> Figure:
    figure, axes = _figure("ROC curve of each class", "false-positive rate", "true-positive rate")
    for k in curves.classes[:DRAWN_CLASSES]:
        counts = curves.counts[k]
        x, y = (_thinned(np.concatenate([[0.0], rate])) for rate in (counts.false_positive_rate, counts.recall))
        axes.plot(x, y, color=COLORS[k % len(COLORS)], label=names[k])
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="guessing")
    _unit_square(axes, "lower right")
    return figure


def _precision_recall(curves: Curves, names: Sequence[str]) -> Figure:
    figure, axes = _figure("Precision over recall of each class", "recall", "precision")
    for k in curves.classes[:DRAWN_CLASSES]:
        counts = curves.counts[k]
        color = COLORS[k % len(COLORS)]
        axes.plot(
            _thinned(counts.recall), _thinned(counts.precision), color=color, label=names[k], drawstyle="steps-pre"
        )
    _unit_square(axes, "lower left")
    return figure


def _reliability(curves: Curves) -> Figure:
    diagram = curves.reliability()
    title = f"Reliability: calibration error {diagram.error:.3f}"
    figure, axes = _figure(title, "probability of the likeliest class", "fraction")
    axes.bar(BINS[:-1], _shares(curves), width=np.diff(BINS), align="edge", color="lightgrey", label="of the rows")
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="perfectly calibrated")
    axes.plot(diagram.confidence, diagram.accuracy, marker="o", color=COLORS[0], label="of these, right")
    _unit_square(axes, "upper left")
    return figure


def _scores_by_class(curves: Curves, names: Sequence[str]) -> Figure:
    drawn = curves.classes[:DRAWN_CLASSES]
    figure = Figure(figsize=(4.8, 1.2 + 1.3 * len(drawn)), dpi=125, layout="constrained")
    figure.suptitle("Probability of a class: its own rows, and all others", fontsize=10)
    for axes, k in zip(figure.subplots(len(drawn), 1, sharex=True, squeeze=False)[:, 0], drawn, strict=True):
        own = curves.labels == k
        bins = np.linspace(0, 1, 41)
        scores = curves.probabilities[:, k]
        axes.hist(scores[own], bins, density=True, color=COLORS[k % len(COLORS)], alpha=0.7, label=names[k])
        axes.hist(scores[~own], bins, density=True, histtype="step", color="black", label="others")
        axes.set(xlim=(0, 1), yticks=[])
        axes.tick_params(labelsize=8)
        axes.legend(fontsize=8)
    return figure


def _shares(curves: Curves) -> Array:
    counts, _ = np.histogram(curves.probabilities.max(axis=1), BINS)
    shares: Array = counts / counts.sum()
    return shares


def _figure(title: str, xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.8, 4), dpi=125, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(xlabel, fontsize=9)
    axes.set_ylabel(ylabel, fontsize=9)
    axes.tick_params(labelsize=8)
    return figure, axes


def _unit_square(axes: Axes, place: Place) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.legend(loc=place, fontsize=8)


def _thinned(values: Array) -> Array:
    """Return at most `DRAWN_POINTS` of the values, the first and the last among them."""
    if len(values) <= DRAWN_POINTS:
        return values
    thinned: Array = values[np.linspace(0, len(values) - 1, DRAWN_POINTS).astype(int)]
    return thinned
