from pathlib import Path

import pytest

from blockstep.checkpoints.checkpoint_file import read_checkpoint
from blockstep.cli.application import Application

BEST = Path("runs/run/version_0/checkpoints/best.ckpt")
QUICK = ("--data.num_training=50", "--data.num_validation=10")
DEFAULTS = {"name": "run", "trainer.accelerator": "cpu", "trainer.max_epochs": 4}


def fit(*words, **declared):
    """Train an application that declares a metric and its mode."""
    classes = {"model": "scored.Scored", "data": "example.data.Points"}
    application = Application("example", **classes, defaults=DEFAULTS, **declared)
    assert application.main(["fit", *words]) == 0


def epoch_of_best():
    return read_checkpoint(BEST)["epoch"]


@pytest.mark.parametrize(
    ("monitor", "mode", "epoch"), [("val/score", "max", 1), ("val/score", "min", 3), ("val/loss", "max", 3)]
)
def test_the_declared_metric_and_mode_decide_which_state_is_the_best(monitor, mode, epoch):
    fit(*QUICK, monitor=monitor, mode=mode)
    assert epoch_of_best() == epoch


def test_without_a_declared_metric_the_best_state_has_the_smallest_validation_loss():
    fit(*QUICK)
    assert epoch_of_best() == 2


def test_if_the_declared_metric_is_not_logged_the_best_state_has_the_smallest_validation_loss():
    fit(*QUICK, monitor="val/other", mode="max")
    assert epoch_of_best() == 2


def test_without_any_validation_metric_there_is_no_best_state():
    fit(*QUICK, "--trainer.limit_val_batches=0", monitor="val/score", mode="max")
    assert [path.name for path in BEST.parent.iterdir()] == ["last.ckpt"]


def test_a_run_that_ends_before_its_first_validation_has_no_best_state():
    fit(*QUICK, "--trainer.max_steps=2", monitor="val/score", mode="max")
    assert [path.name for path in BEST.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize(("mode", "epoch"), [("max", 1), ("min", 3)])
def test_a_resumed_run_goes_on_comparing_with_its_best_value(mode, epoch):
    fit(*QUICK, "--trainer.max_epochs=2", monitor="val/score", mode=mode)
    fit("--ckpt_path=last", "--trainer.max_epochs=4", monitor="val/score", mode=mode)
    assert epoch_of_best() == epoch


def test_a_resumed_run_keeps_to_the_metric_that_it_has_chosen():
    fit(*QUICK, "--trainer.max_epochs=2", monitor="val/late", mode="max")
    fit("--ckpt_path=last", "--trainer.max_epochs=4", monitor="val/late", mode="max")
    state = read_checkpoint(BEST.with_name("last.ckpt"))["callbacks"]["BestCheckpoint"]
    assert (state["monitor"], state["mode"]) == ("val/loss", "min")
    assert epoch_of_best() == 2


def test_metrics_within_an_epoch_are_compared_too():
    fit(*QUICK, "--trainer.val_check_interval=2", "--data.batch_size=10", "--trainer.max_epochs=1", monitor="val/score")
    assert read_checkpoint(BEST)["global_step"] == 2
