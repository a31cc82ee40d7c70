import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from blockstep.tables.scaling import measure_scaling


@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.sampled_from([0.0, 1.0, 1e9]), st.integers(0, 99))
def test_pieces_give_the_moments_of_the_whole(sizes, offset, seed):
    whole = offset + np.random.default_rng(seed).normal(size=(sum(sizes), 2))
    scaling = measure_scaling(np.split(whole, np.cumsum(sizes)[:-1]))
    np.testing.assert_allclose(scaling.mean, whole.mean(axis=0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(scaling.deviation, whole.std(axis=0), rtol=1e-6)


def test_a_constant_column_has_no_deviation_whatever_rounding_gives():
    scaling = measure_scaling([np.full((7, 1), 0.1), np.full((3, 1), 0.1)])
    assert scaling.deviation.tolist() == [0]


def test_pieces_without_training_rows_are_left_out():
    scaling = measure_scaling([np.empty((0, 1)), np.array([[1.0], [3.0]]), np.empty((0, 1))])
    assert (scaling.mean.tolist(), scaling.deviation.tolist()) == ([2], [1])
