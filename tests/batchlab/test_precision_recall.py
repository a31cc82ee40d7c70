import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.util.tensor_util import make_ndarray
from torch import from_numpy, tensor
from torchmetrics.functional.classification import binary_average_precision

from batchlab.precision_recall import NUM_THRESHOLDS, pr_curve_by_rank

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 2, 5000).astype(float)
SCORES = LABELS + RANDOM.normal(size=5000)


def curve(labels, probabilities):
    """What TensorBoard reads: rows of TP, FP, TN, FN, precision and recall."""
    (value,) = pr_curve_by_rank("own", labels, probabilities).value
    return make_ndarray(value.tensor)


def test_thresholds_are_at_equal_steps_of_rank():
    tp, fp, *_ = curve(LABELS, SCORES)
    called_signal = 5000 - np.arange(NUM_THRESHOLDS) * 5000 // NUM_THRESHOLDS
    np.testing.assert_array_equal(tp + fp, called_signal)


@pytest.mark.parametrize("squeeze", [1e-3, 1e-9])
def test_probabilities_that_lie_close_together_have_the_same_curve(squeeze):
    np.testing.assert_array_equal(curve(LABELS, 0.48 + squeeze * SCORES), curve(LABELS, SCORES))


def test_the_area_is_the_average_precision():
    *_, precision, recall = curve(LABELS, SCORES)
    area = -np.trapezoid(precision, recall) + precision[-1] * recall[-1]
    exact = binary_average_precision(from_numpy(SCORES).sigmoid(), tensor(LABELS).int())
    assert area == pytest.approx(exact.item(), abs=5e-3)


def test_equal_probabilities_are_a_single_point():
    *_, precision, recall = curve(np.array([1.0, 0, 0, 0]), np.full(4, 0.5))
    assert (set(precision), set(recall)) == ({0.25}, {1.0})


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.1, 0.2, 0.3, 0.9])), min_size=1, max_size=300)
)
def test_events_are_counted_as_at_each_threshold(events):
    labels, probabilities = np.array(events).T
    tp, fp, tn, fn, precision, recall = curve(labels, probabilities)
    assert ((tp + fn == labels.sum()) & (fp + tn == (1 - labels).sum())).all()
    steps = {tuple(counts) for counts in np.stack([tp, fp], axis=1).tolist()}
    exact = {(labels[above].sum(), (1 - labels)[above].sum()) for above in (probabilities >= p for p in probabilities)}
    assert steps <= exact
    np.testing.assert_allclose(precision, tp / (tp + fp), rtol=1e-6)
    np.testing.assert_allclose(recall, tp / max(labels.sum(), 1), rtol=1e-6)
