import math

import numpy as np
import pytest
from studies import SIZES, array, drawn

from blockstep.study.critical_size import fit, fit_with_intervals, perfect_scaling
from blockstep.study.statistics import medians, resampled


def model(s_min, b_crit):
    return s_min * (1 + b_crit / SIZES)


@pytest.mark.parametrize("b_crit", [0.5, 3, 28, 147, 5000])
def test_a_fit_of_the_model_finds_its_parameters(b_crit):
    found = fit(SIZES, model(14, b_crit))
    assert (found.s_min, found.b_crit, found.e_min) == pytest.approx((14, b_crit, 14 * b_crit), rel=1e-3)
    assert found.residuals == pytest.approx(np.zeros(7), abs=1e-3)
    assert found.steps(SIZES) == pytest.approx(model(14, b_crit), rel=1e-3)


def test_a_fit_is_the_best_of_all_in_log_steps():
    steps = model(14, 30) * np.exp(0.3 * np.random.default_rng(0).normal(size=7))
    found = fit(SIZES, steps)
    least = np.sum(found.residuals**2)
    for s_min in found.s_min * np.linspace(0.5, 2, 61):
        for b_crit in found.b_crit * np.linspace(0.5, 2, 61):
            assert np.sum(np.log(steps / model(s_min, b_crit)) ** 2) >= least - 1e-9


def test_residuals_are_of_the_logarithms():
    steps = model(14, 30)
    steps[3] *= 1.5
    found = fit(SIZES, steps)
    assert found.residuals == pytest.approx(np.log(steps / found.steps(SIZES)))


def test_sizes_that_do_not_reach_the_target_are_left_out():
    steps = model(14, 30)
    steps[[0, 2]] = np.inf
    found = fit(SIZES, steps)
    assert (found.s_min, found.b_crit) == pytest.approx((14, 30), rel=1e-3)
    assert np.flatnonzero(np.isnan(found.residuals)).tolist() == [0, 2]


FEW = {
    "none": [math.inf] * 7,
    "one": [5, *[math.inf] * 6],
    "two": [9, 5, *[math.inf] * 5],
    "at the start": [0.0] * 7,
}


@pytest.mark.parametrize("steps", FEW.values(), ids=FEW)
def test_fewer_than_three_sizes_have_no_fit(steps):
    assert fit(SIZES, array(*steps)) is None
    assert fit_with_intervals(SIZES, array(*steps), np.array([steps] * 9), seeds=5) is None


def test_two_names_of_a_size_are_one_size():
    assert fit(array(1, 1100, 1100), array(9, 5, 5)) is None


def test_equal_steps_have_a_critical_size_of_zero():
    found = fit(SIZES, np.full(7, 20.0))
    assert (found.s_min, found.b_crit, found.e_min) == (pytest.approx(20), 0, 0)
    assert found.residuals == pytest.approx(np.zeros(7))


def test_perfect_scaling_up_to_the_largest_size_has_an_infinite_critical_size():
    found = fit(SIZES, 5000 / SIZES)
    assert (found.s_min, found.b_crit, found.e_min) == (0, math.inf, pytest.approx(5000))
    assert found.steps(SIZES) == pytest.approx(5000 / SIZES)


def with_intervals(steps, seed=0):
    return fit_with_intervals(SIZES, medians(steps).min(axis=1), resampled(steps, seed=seed), steps.shape[-1])


def test_the_interval_contains_the_fit():
    found = with_intervals(drawn(np.random.default_rng(0)))
    for estimate in (found.s_min, found.b_crit, found.e_min):
        assert 0 < estimate.low < estimate.value < estimate.high < math.inf
    assert found.b_crit.value == found.best.b_crit
    assert found.unfitted == 0


def test_a_single_seed_has_a_fit_without_an_interval():
    found = with_intervals(drawn(np.random.default_rng(0), seeds=1))
    assert found.b_crit.value == pytest.approx(30, rel=1)
    assert math.isnan(found.b_crit.low)


def test_drawings_in_which_too_few_sizes_reach_the_target_widen_the_interval():
    steps = model(14, 30)[:, None, None] * np.ones((1, 1, 5))
    steps[3:] = np.inf
    steps[2, 0, :2] = np.inf  # reached by three of five seeds, and so in two thirds of the drawings
    found = with_intervals(steps)
    assert 0.2 < found.unfitted < 0.45
    assert found.b_crit[1:] == (0, math.inf)


def test_perfect_scaling_starts_at_the_smallest_size_that_reaches_the_target():
    steps = array(math.inf, 100, 50, 10, 5, 5, 5)
    assert perfect_scaling(SIZES, steps) == pytest.approx(300 / SIZES)
    assert np.isnan(perfect_scaling(SIZES, np.full(7, math.inf))).all()


STUDIES = 150
TRUE = {"s_min": 14, "b_crit": 30, "e_min": 420}
BUDGETS = {"all reached": (math.inf, 0.0), "a third censored": (12.0, 1 / 3)}


@pytest.mark.slow
@pytest.mark.parametrize(("budget", "censored"), BUDGETS.values(), ids=BUDGETS)
def test_intervals_cover_the_truth_as_often_as_they_say(budget, censored):
    generator = np.random.default_rng(0)
    covered, parts = [], []
    for number in range(STUDIES):
        steps = drawn(generator, s_min=TRUE["s_min"], b_crit=TRUE["b_crit"], budget=budget)
        found = with_intervals(steps, seed=number)
        limits = {name: getattr(found, name)[1:] for name in TRUE}
        covered.append([low <= TRUE[name] <= high for name, (low, high) in limits.items()])
        parts.append(np.isinf(steps).mean())
    assert np.mean(parts) == pytest.approx(censored, abs=0.02)
    often = np.mean(covered, axis=0)
    assert often.min() >= 0.9 - 2 * math.sqrt(0.9 * 0.1 / STUDIES)
    assert often.max() <= 0.98  # somewhat too often: drawings of five seeds spread more than their medians do
