import math

import numpy as np
import pytest
from studies import array

from blockstep.study.statistics import first, held, interval, mean_until, medians, resampled, small_sample_tail

STEPS = array(0, 10, 20, 30, 40, 50)
CURVES = {
    "it stays below from a checkpoint on": ([9, 9, 1, 1, 1, 1], 20),
    "a lucky dip does not count": ([9, 0, 9, 1, 1, 1], 30),
    "nor do two": ([9, 0, 0, 9, 1, 1], math.inf),
    "it may rise after the further checkpoints": ([9, 1, 1, 1, 9, 9], 10),
    "it holds at the last checkpoints": ([9, 9, 9, 1, 1, 1], 30),
    "a curve that ends too early is not known to hold": ([9, 9, 9, 9, 1, 1], math.inf),
    "never": ([9, 9, 9, 9, 9, 9], math.inf),
    "from the start": ([1, 1, 1, 1, 1, 1], 0),
    "nan is above every target": ([9, 1, 1, math.nan, 1, 1], math.inf),
    "from nan no line is drawn": ([9, math.nan, 1, 1, 1, 1], 20),
    "nor from infinity": ([9, math.inf, 1, 1, 1, 1], 20),
    "values may be equal": ([1, 1, 1, 1, 1, 1], 0),
}


@pytest.mark.parametrize(("values", "steps"), CURVES.values(), ids=CURVES)
def test_a_target_is_held_from_the_first_checkpoint_that_stays_below(values, steps):
    assert held(STEPS, array(*values), target=1, further=2) == steps


@pytest.mark.parametrize(("target", "steps"), [(4, 15), (2, 17.5), (6, 12.5), (0, 20)])
def test_the_target_is_crossed_on_the_line_from_the_checkpoint_before(target, steps):
    assert held(STEPS, array(9, 8, 0, 0, 0, 0), target, further=2) == steps


def test_a_value_between_checkpoints_may_be_negative():
    assert held(STEPS, array(1, 1, -1, -1, -1, -1), target=-0.5, further=2) == 17.5


def test_the_first_passage_counts_a_dip():
    values = array(9, 1, 9, 1, 1, 1)
    assert (first(STEPS, values, 1), held(STEPS, values, 1, further=2)) == (10, 30)


@pytest.mark.parametrize("length", [0, 1, 2])
def test_a_curve_with_fewer_checkpoints_than_must_hold_has_not_reached_anything(length):
    assert held(STEPS[:length], np.zeros(length), target=1, further=2) == math.inf


def test_a_training_stopped_as_it_held_the_last_target_holds_the_easier_ones():
    values = array(9, 8, 5, 1, 1, 1)  # it is stopped after three checkpoints at the target of 1
    assert [held(STEPS, values, target, further=2) for target in (6, 5, 1)] == [pytest.approx(50 / 3), 20, 30]


MEDIANS = {
    "odd": ([3, 1, 2], 2),
    "even": ([4, 1, 2, 3], 2.5),
    "fewer than half are reached": ([1, 2, math.inf, math.inf, math.inf], math.inf),
    "more than half are": ([1, 2, 3, math.inf, math.inf], 3),
    "half are": ([1, 2, math.inf, math.inf], math.inf),
    "one": ([7], 7),
    "none is reached": ([math.inf, math.inf], math.inf),
    "a training that there is not": ([1, math.nan, 3], 2),
    "no training": ([math.nan, math.nan], math.inf),
    "ties": ([2, 2, 2, 5], 2),
}


@pytest.mark.parametrize(("values", "median"), MEDIANS.values(), ids=MEDIANS)
def test_medians_count_what_is_not_reached_as_infinite(values, median):
    assert medians(array(*values)) == median


def test_medians_are_those_of_numpy_where_all_are_reached():
    values = np.random.default_rng(0).normal(size=(4, 3, 6))
    assert np.array_equal(medians(values), np.median(values, axis=-1))


def test_each_drawing_chooses_the_learning_rate_anew():
    steps = array(10, 30, 30, 12, 12, 12).reshape(1, 2, 3)
    assert set(np.unique(resampled(steps))) == {10, 12}  # 10 where the first seed is drawn at least twice


def test_all_sizes_and_learning_rates_get_the_same_seeds():
    luck = array(1, 2, 3, 4, 5)
    drawings = resampled(np.stack([luck, 3 * luck])[:, None])
    assert np.array_equal(3 * drawings[:, 0], drawings[:, 1])


def test_drawings_are_those_of_their_seed():
    steps = np.random.default_rng(0).normal(size=(2, 3, 5))
    assert np.array_equal(resampled(steps, 50), resampled(steps, 50))
    assert not np.array_equal(resampled(steps, 50), resampled(steps, 50, seed=1))


def test_a_size_that_is_reached_by_few_seeds_has_infinite_drawings():
    steps = array(10, 10, 10, math.inf, math.inf).reshape(1, 1, 5)
    assert 0.2 < np.isinf(resampled(steps)).mean() < 0.45  # binomial: 0.317


def test_an_interval_has_a_twentieth_of_the_drawings_on_either_side():
    assert interval(50, np.arange(1.0, 101), seeds=5) == (50, 5, 95)


def test_a_drawing_without_a_result_may_lie_anywhere():
    drawings = np.concatenate([np.full(50, 7.0), np.full(50, np.nan)])
    assert interval(7, drawings, seeds=5) == (7, 0, math.inf)


def test_an_interval_reaches_to_infinity_if_a_twentieth_of_the_drawings_does():
    assert interval(7, array(*[7] * 9, math.inf), seeds=5) == (7, 7, math.inf)


def test_a_single_seed_has_no_interval():
    value, low, high = interval(7, array(7, 7), seeds=1)
    assert (value, math.isnan(low), math.isnan(high)) == (7, True, True)


def test_the_tail_is_smaller_for_fewer_seeds_and_the_usual_one_for_many():
    tails = [small_sample_tail(seeds) for seeds in (2, 3, 5, 9, 100_000)]
    assert tails == sorted(tails)
    assert tails[2] == pytest.approx(0.0086, rel=0.01)  # t(0.05, 4) = -2.132, times the root of 5/4: -2.383
    assert tails[-1] == pytest.approx(0.05, rel=1e-3)


MEANS = {
    "constant": ([0, 10, 20], [3, 3, 3], 15, 3),
    "within the first stretch": ([0, 10, 20], [0, 10, 10], 5, 2.5),
    "at a step that is known": ([0, 10, 20], [0, 10, 10], 20, 7.5),
    "after the last one": ([0, 10], [0, 10], 20, 7.5),
    "at the start": ([0, 10], [4, 10], 0, 4),
    "nan is left out": ([0, 5, 10], [0, math.nan, 10], 10, 5),
    "an infinite value": ([0, 5, 10], [0, math.inf, 10], 10, math.inf),
    "not reached": ([0, 10], [0, 10], math.inf, math.nan),
    "before the first": ([5, 10], [0, 10], 3, math.nan),
    "nothing is known": ([], [], 3, math.nan),
}


@pytest.mark.parametrize(("steps", "values", "until", "mean"), MEANS.values(), ids=MEANS)
def test_the_mean_over_the_steps_until_then(steps, values, until, mean):
    assert mean_until(array(*steps), array(*values), until) == pytest.approx(mean, nan_ok=True)
