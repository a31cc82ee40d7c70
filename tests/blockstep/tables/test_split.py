import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockstep.tables.split import TEST, TRAINING, VALIDATION, TooFewRowsError, split

FRACTIONS = st.tuples(st.sampled_from([0.0, 0.01, 0.15, 0.49]), st.sampled_from([0.0, 0.01, 0.15, 0.49]))


@given(st.lists(st.integers(3, 60), min_size=1, max_size=4), FRACTIONS, st.integers(0, 2**32 - 1))
def test_each_group_has_a_row_in_each_part(sizes, fractions, seed):
    groups = np.random.default_rng(seed).permutation(np.repeat(range(len(sizes)), sizes))
    wanted = [TRAINING, *(part for part, share in zip((VALIDATION, TEST), fractions, strict=True) if share)]
    parts = split(groups, *fractions, seed)
    assert all(sorted(set(parts[groups == group])) == wanted for group in range(len(sizes)))


def test_fractions_are_those_of_each_group():
    groups = np.repeat([0, 1], [1000, 100])
    parts = split(groups, 0.2, 0.1, seed=0)
    assert np.bincount(parts[groups == 0]).tolist() == [700, 200, 100]
    assert np.bincount(parts[groups == 1]).tolist() == [70, 20, 10]


def test_equal_seeds_give_equal_parts():
    groups = np.zeros(100, dtype=int)
    first, same, other = (split(groups, 0.2, 0.2, seed) for seed in (0, 0, 1))
    assert first.tolist() == same.tolist() != other.tolist()


def test_rows_are_drawn_from_all_over_the_table():
    parts = split(np.zeros(1000, dtype=int), 0.5, 0, seed=0)
    assert 200 < (parts[:500] == VALIDATION).sum() < 300


def test_the_error_tells_how_many_rows_are_needed():
    with pytest.raises(TooFewRowsError, match="group 1 has 2 rows for 3 parts"):
        split(np.array([0, 0, 0, 1, 1]), 0.1, 0.1, seed=0)
