"""The toy distribution: a Gaussian signal on a uniform background, and its exact posterior. numpy only."""

import numpy as np
from numpy.random import SeedSequence
from numpy.typing import NDArray

Array = NDArray[np.float64]

SIGNAL_MEAN = (1.0, 0.0)
SIGNAL_COVARIANCE = ((1.0, 0.0), (0.0, 1.0))
LOW, HIGH = -5.0, 5.0
"""The edges of the square, in both coordinates, in which the background is uniform."""


def draw_events(num_signal: int = 100, num_background: int = 1000, seed: int | SeedSequence = 0) -> tuple[Array, Array]:
    """Draw events in random order.

    The order of the draws (signal, background, one permutation) is part of the contract: seed 0 with the default
    counts gives the same bytes on every machine.

    Args:
        num_signal: Number of events from the Gaussian with mean (1, 0) and unit covariance, labelled 1.
        num_background: Number of events uniform on the square (-5, 5)², labelled 0.
        seed: Seed of the generator. Equal seeds give equal events.

    Returns:
        x of shape (n, 2) and t of shape (n, 1), float64, with n = num_signal + num_background.

    Example:
        >>> x, t = draw_events(num_signal=1, num_background=2)
        >>> x.shape, t.sum()
        ((3, 2), np.float64(1.0))
    """
    rng = np.random.default_rng(seed)
    signal_and_background = [
        rng.multivariate_normal(SIGNAL_MEAN, SIGNAL_COVARIANCE, size=num_signal),
        rng.uniform(LOW, HIGH, size=(num_background, 2)),
    ]
    x = np.concatenate(signal_and_background)
    del signal_and_background  # they need much memory
    order = rng.permutation(len(x))
    return x[order], (order < num_signal)[:, np.newaxis].astype(float)


def posterior(x: Array, num_signal: int = 100, num_background: int = 1000) -> Array:
    """Return the exact probability that an event at x is signal, which is the best answer of any classifier.

    By Bayes' theorem (Bishop, Pattern Recognition and Machine Learning, section 1.5), with S and B the numbers of
    signal and background events, p(signal | x) = S·N(x; (1, 0), I) / (S·N(x; (1, 0), I) + B·u(x)), where the
    density u of the background is 1/100 inside the square and 0 outside.

    Args:
        x: Positions, shape (n, 2).
        num_signal: S. Only the ratio of S to B matters.
        num_background: B.

    Returns:
        Probabilities, shape (n, 1).

    Example:
        >>> posterior(np.array([[1.0, 0.0], [-4.0, 4.0], [0.0, 9.0]])).round(3).tolist()
        [[0.614], [0.0], [1.0]]
    """
    squared_distance = ((x - np.array(SIGNAL_MEAN)) ** 2).sum(axis=1, keepdims=True)
    inside = ((x >= LOW) & (x <= HIGH)).all(axis=1, keepdims=True)
    if num_signal == 0:
        return np.zeros_like(squared_distance)
    # S·N / (S·N + B·u) = 1 / (1 + B·u / (S·N)): far out, where N underflows, this is still the right limit.
    log_gaussian = -squared_distance / 2 - np.log(2 * np.pi)
    with np.errstate(over="ignore"):
        odds_against = num_background / (HIGH - LOW) ** 2 / num_signal * np.exp(-log_gaussian)
    return np.where(inside, 1 / (1 + odds_against), 1.0)
