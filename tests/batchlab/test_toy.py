import hashlib

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from batchlab.toy import draw_events, posterior


def sha256(array):
    return hashlib.sha256(array.tobytes()).hexdigest()


def test_seed_0_gives_the_notebooks_events_to_the_bit():
    x, t = draw_events()
    assert (x.shape, t.shape) == ((1100, 2), (1100, 1))
    assert sha256(x) == "934c599bf838bbb3f67846c50f50446fa024a60aaab5d1805c62d4020a77137b"
    assert sha256(t) == "a9cb31a36e38014c837dd3a840b1b82c22657c510078e2787caa2ca66435a13c"


@pytest.mark.parametrize(("num_signal", "num_background"), [(0, 5), (5, 0), (1, 1), (30, 7)])
def test_any_counts_are_drawn_as_asked(num_signal, num_background):
    x, t = draw_events(num_signal, num_background, seed=3)
    assert len(x) == num_signal + num_background
    assert t.sum() == num_signal


def test_seeds_differ():
    assert not np.array_equal(draw_events(seed=1)[0], draw_events(seed=2)[0])


@pytest.mark.slow
def test_posterior_agrees_with_counting_within_its_standard_error():
    x, t = draw_events(200_000, 2_000_000, seed=1)
    exact = posterior(x)[:, 0]
    for low, high in [(0.0, 0.1), (0.1, 0.3), (0.3, 0.5), (0.5, 0.62)]:
        chosen = (exact >= low) & (exact < high)
        fraction, expected = t[chosen].mean(), exact[chosen].mean()
        standard_error = np.sqrt(expected * (1 - expected) / chosen.sum())
        assert abs(fraction - expected) < 4 * standard_error


@pytest.mark.slow
def test_posterior_reaches_the_bayes_limits():
    x, t = draw_events(200_000, 2_000_000, seed=2)
    exact = posterior(x)
    with np.errstate(divide="ignore", invalid="ignore"):
        bce = -np.where(t == 1, np.log(exact), np.log1p(-exact)).mean()
    assert bce == pytest.approx(0.1676, abs=0.001)
    assert ((exact > 0.5) == t).mean() == pytest.approx(0.916, abs=0.001)
    scores, labels = torch.from_numpy(exact), torch.from_numpy(t).int()
    assert binary_auroc(scores, labels).item() == pytest.approx(0.937, abs=0.001)
    assert binary_average_precision(scores, labels).item() == pytest.approx(0.510, abs=0.003)


def test_posterior_is_certain_where_only_signal_reaches():
    assert posterior(np.array([[5.1, 0.0], [0.0, -80.0]])).tolist() == [[1.0], [1.0]]


def test_posterior_is_zero_without_signal_and_one_without_background():
    x = np.array([[1.0, 0.0], [-5.0, 5.0]])
    assert posterior(x, num_signal=0, num_background=10).tolist() == [[0.0], [0.0]]
    assert posterior(x, num_signal=10, num_background=0).tolist() == [[1.0], [1.0]]


def test_posterior_depends_on_the_ratio_of_the_counts_alone():
    x, _ = draw_events(seed=4)
    np.testing.assert_allclose(posterior(x, 1, 10), posterior(x, 100, 1000), rtol=1e-14)
