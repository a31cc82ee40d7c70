import math

import pytest
from block_fits import fit
from small_net import Data, Net
from torch.optim import SGD

from blockstep.study.rules import Rules
from blockstep.study.watch import Watch, log_spaced


def watched(tmp_path, watch, net=None, **options):
    fit(tmp_path, net, callbacks=[watch], limit_val_batches=1.0, max_epochs=-1, max_steps=watch.due[-1], **options)
    return watch


def test_checkpoints_lie_ten_to_a_decade_where_steps_are_many():
    steps = log_spaced(10_000, per_decade=10)
    assert len([step for step in steps if 1000 < step <= 10_000]) == 10
    assert steps[0] == 1
    assert steps[-1] == 10_000


@pytest.mark.parametrize("most", [1, 2, 9, 37, 1000])
def test_checkpoints_rise_from_the_first_step_to_the_last(most):
    steps = log_spaced(most, per_decade=10)
    assert steps == sorted(set(steps))
    assert (steps[0], steps[-1]) == (1, most)


def test_a_training_without_its_target_ends_with_its_budget(tmp_path):
    watch = watched(tmp_path, Watch("val/loss", -1, 40))
    assert watch.outcome == "budget"
    assert watch.steps == [0, *log_spaced(40, per_decade=10)]


def test_a_target_is_held_after_two_further_checkpoints(tmp_path):
    whole = watched(tmp_path, Watch("val/loss", -1, 60))
    target = whole.values[8]
    assert all(later < target for later in whole.values[9:])
    watch = watched(tmp_path, Watch("val/loss", target, 60))
    assert watch.outcome == "held"
    assert watch.values == whole.values[:11]


def test_a_training_that_gets_twice_as_bad_as_its_start_has_diverged(tmp_path):
    watch = watched(tmp_path, Watch("val/loss", -1, 60), Net(lambda parameters: SGD(parameters, lr=0.3, maximize=True)))
    assert watch.outcome == "diverged"
    assert watch.values[-1] > 2 * watch.values[0]
    assert watch.steps[-1] < 60


@pytest.mark.parametrize("further", [0, 1, 4])
def test_the_further_checkpoints_of_a_target_can_be_chosen(further, tmp_path):
    whole = watched(tmp_path, Watch("val/loss", -1, 60))
    watch = watched(tmp_path, Watch("val/loss", whole.values[8], 60, Rules(further=further)))
    assert watch.values == whole.values[: 9 + further]


def test_how_far_a_training_may_rise_above_its_start_can_be_chosen(tmp_path):
    rises = Net(lambda parameters: SGD(parameters, lr=0.3, maximize=True))
    watch = watched(tmp_path, Watch("val/loss", -1, 60, Rules(diverged=0.1)), rises)
    assert watch.outcome == "diverged"
    assert watch.values[-2] <= 1.1 * watch.values[0] < watch.values[-1]


def test_a_training_whose_weights_are_not_finite_has_diverged(tmp_path):
    watch = watched(tmp_path, Watch("val/loss", -1, 60), Net(lambda parameters: SGD(parameters, lr=math.inf)))
    assert watch.outcome == "diverged"
    assert math.isnan(watch.values[-1])


def test_events_and_seconds_are_counted_until_each_checkpoint(tmp_path):
    watch = watched(tmp_path, Watch("val/loss", -1, 30), data=Data(batch_size=30))  # the last batch of an epoch has 20
    full = {0: 0, 1: 30, 2: 60, 3: 90, 4: 110, 5: 140, 6: 170, 8: 220, 10: 280}
    assert {step: events for step, events in zip(watch.steps, watch.events, strict=True) if step <= 10} == full
    assert watch.seconds == sorted(watch.seconds)
    assert watch.seconds[0] == 0
