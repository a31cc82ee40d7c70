import math
from dataclasses import replace

import numpy as np
import pytest
from studies import LR, SIZE, SIZES, array, curve, drawn, reaching, study

from blockstep.study.rules import Rules
from blockstep.study.table import SEED, Curve
from blockstep.study.target_results import target_results


def only(made, target=1, **options):
    (result,) = target_results(made, target, **options)
    return result


def two_rates(*steps_at_one, seeds=range(3)):
    """Trainings with one size: 60 steps at lr 0.1, these at lr 1, and none reaches the target at lr 10."""
    slow = [reaching(10, 0.1, 60, seed) for seed in seeds]
    fast = [reaching(10, 1.0, steps, seed) for seed, steps in zip(seeds, steps_at_one, strict=True)]
    return study([*slow, *fast, *(reaching(10, 10.0, None, seed) for seed in seeds)])


def test_the_best_learning_rate_takes_the_fewest_steps_in_the_median():
    (size,) = only(two_rates(40, 50, 70)).sizes
    assert (size.best.lr, size.steps.value, size.best.reached, size.best.runs) == (1.0, 50, 3, 3)


def test_a_learning_rate_that_few_seeds_reach_the_target_with_is_not_the_best():
    (size,) = only(two_rates(10, None, None)).sizes
    assert (size.best.lr, size.steps.value) == (0.1, 60)
    assert [(cell.reached, cell.runs) for cell in size.cells] == [(3, 3), (1, 3), (0, 3)]


def test_of_equal_learning_rates_the_smallest_is_the_best():
    (size,) = only(two_rates(60, 60, 60)).sizes
    assert size.best.lr == 0.1


def test_the_edges_of_the_learning_rates_are_told():
    assert only(two_rates(10, None, None)).sizes[0].at_edge
    assert not only(two_rates(40, 50, 70)).sizes[0].at_edge


def test_learning_rates_are_ordered_by_their_value():
    made = study([reaching(1, lr, 10 if lr == 1 else 20) for lr in (10, 1, 0.1)], lrs=(10, 1, 0.1))
    (size,) = only(made).sizes
    assert [cell.lr for cell in size.cells] == [0.1, 1, 10]
    assert not size.at_edge


def test_a_size_that_never_reaches_the_target_has_infinite_steps_and_its_counts():
    made = study(
        reaching(10, lr, 30 if (lr, seed) == (1.0, 0) else None, seed) for lr in (0.1, 1.0) for seed in (0, 1, 2)
    )
    (size,) = only(made).sizes
    assert not size.is_reached
    assert (size.steps.value, size.events.value, size.best.seconds) == (math.inf, math.inf, math.inf)
    assert (size.best.lr, size.best.reached, size.best.runs) == (1.0, 1, 3)


def test_a_size_without_trainings_is_left_out():
    assert [size.size for size in only(study([reaching(10, 1.0, 30)])).sizes] == [10]


def test_a_study_without_trainings_has_no_results():
    assert target_results(study([]), 1) == ()


def test_trainings_of_other_sizes_than_the_study_asks_for_are_left_out():
    made = study([reaching(10, 1.0, 30), reaching(32, 1.0, 30), reaching(10, 3.0, 5)])
    (size,) = only(made).sizes
    assert size.steps.value == 30


def test_events_are_those_seen_by_then_with_the_shorter_last_batches_of_epochs():
    steps, events = (0, 4, 8, 12), (0, 1100, 2200, 3300)  # 320, 320, 320 and 140
    made = study([curve(320, 1.0, steps=steps, events=events, values=(9, 5, 1, 1))], sizes=[320])
    (size,) = only(replace(made, rules=Rules(further=0)), target=3).sizes
    assert size.steps.value == 6
    assert size.events.value == 1650
    assert size.batch_size == 275


def test_all_events_in_one_step_are_a_batch_size():
    made = study([curve(None, 1.0, events=(0, 11000, 22000, 33000)), reaching(10, 1.0, 30)], sizes=[None, 10])
    assert [(size.size, size.batch_size) for size in only(made).sizes] == [(10, 10), (None, 1100)]


def test_seconds_are_the_median_at_the_best_learning_rate_and_the_least_of_all():
    quick = [replace(reaching(10, 0.1, 60, seed), seconds=array(0, 1, 2, 3)) for seed in range(3)]
    slow = [replace(reaching(10, 1.0, 50, seed), seconds=array(0, 4 + seed, 20, 20)) for seed in range(3)]
    (size,) = only(study(quick + slow)).sizes
    assert (size.best.lr, size.best.seconds) == (1.0, 5)
    assert (size.fastest.lr, size.fastest.seconds) == (0.1, 1)


def test_a_single_seed_has_no_interval():
    (size,) = only(study([reaching(10, 1.0, 30)])).sizes
    assert size.steps.value == 30
    assert all(math.isnan(limit) for limit in (*size.steps[1:], *size.events[1:]))


def test_an_interval_of_events_belongs_to_that_of_steps():
    (size,) = only(two_rates(40, 50, 70)).sizes
    assert 0 < size.steps.low < size.steps.value < size.steps.high
    assert size.events == pytest.approx(tuple(10 * steps for steps in size.steps))


def test_a_training_that_failed_at_once_counts_as_one_that_reached_nothing():
    made = two_rates(40, 50, 70)
    empty = np.zeros(0)
    failed = Curve("failed", {SIZE: 10, LR: 10.0, SEED: 3}, "failed", empty, empty, empty, empty, "no memory")
    (size,) = only(replace(made, curves=[*made.curves, failed])).sizes
    assert [(cell.reached, cell.runs) for cell in size.cells] == [(3, 3), (3, 3), (0, 4)]


def test_a_seed_that_was_not_trained_everywhere_counts_where_it_was():
    made = two_rates(40, 50, 70)
    (size,) = only(replace(made, curves=[*made.curves, reaching(10, 1.0, 42, seed=3)])).sizes
    assert (size.best.runs, size.steps.value) == (4, 46)


def from_model(steps, **others):
    """The trainings of a study in which they hold a target of 1 after these steps, shape (sizes, 6, seeds)."""
    for place, number in np.ndenumerate(steps):
        size, lr = SIZES[place[0]], 10.0 ** place[1]
        yield reaching(size, lr, number if np.isfinite(number) else None, place[2], **others)


MODEL = {"sizes": SIZES.tolist(), "lrs": [10.0**k for k in range(6)]}


def test_the_critical_batch_size_of_a_study_drawn_from_the_model_is_found():
    result = only(study(from_model(drawn(np.random.default_rng(0))), **MODEL))
    assert result.no_fit == ""
    assert result.seeds == 5
    assert result.fit.b_crit.low < 30 < result.fit.b_crit.high
    assert result.perfect_scaling == pytest.approx(result.sizes[0].steps.value / SIZES)


def test_results_are_the_same_each_time_and_in_any_order_of_the_trainings():
    curves = list(from_model(drawn(np.random.default_rng(0))))
    one, other = (only(study(order, **MODEL)) for order in (curves, curves[::-1]))
    assert (one.sizes, one.fit.b_crit) == (other.sizes, other.fit.b_crit)


def test_why_there_is_no_fit_is_told():
    result = only(study([reaching(size, 1.0, 30 if size > 1 else None) for size in (1, 10, 100)]))
    assert result.fit is None
    assert result.no_fit == "at least 3 batch sizes must reach the target, not at once but in some steps; 2 do"


def test_each_value_of_a_further_axis_has_a_result_of_its_own():
    key = "model.width"
    curves = [reaching(10, 1.0, steps, **{key: width}) for width, steps in ((8, 30), (16, 20))]
    results = target_results(study(curves, **{key: [8, 16, 32]}), 1)
    found = [(result.others, result.sizes[0].steps.value) for result in results]
    assert found == [({key: 8}, 30), ({key: 16}, 20)]
