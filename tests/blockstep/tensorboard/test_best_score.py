from math import inf, nan
from pathlib import Path

import pytest
from event_reader import read
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel

from blockstep.tensorboard.best_score import BestScore
from blockstep.tensorboard.event_files import EventsSeen, RunEvents

FEW = ("--data.num_training=100", "--data.num_validation=10")


class Scripted(BoringModel):
    """Logs given scores, the first of them before the first step."""

    def __init__(self, tag, scores):
        super().__init__()
        self.tag, self.scores = tag, iter(scores)

    def validation_step(self, batch, batch_idx):
        self.log(self.tag, next(self.scores))


def curve_of(scores, tag="val/score", mode="min"):
    """The curves of the best score, by tag, after a training with these scores."""
    logger = RunEvents(Path("runs/run/version_0"), EventsSeen())
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(
        max_epochs=len(scores) - 1,
        limit_train_batches=1,
        limit_val_batches=1,
        accelerator="cpu",
        logger=logger,
        callbacks=[logger.seen, BestScore(logger, "val/score", mode)],
        log_every_n_steps=1,
        **quiet,
    )
    trainer.fit(Scripted(tag, scores))
    tags = [tag for tag in read().Tags()["scalars"] if "best" in tag]
    return {tag: [point.value for point in read().Scalars(tag)] for tag in tags}


@pytest.mark.parametrize(
    ("mode", "scores", "best"),
    [
        ("min", [1, 5, 3, 4], [5, 3, 3]),
        ("max", [9, 5, 3, 7], [5, 5, 7]),
        ("min", [1, nan, 3, nan, 2], [3, 3, 2]),
        ("min", [1, inf, 3], [inf, 3]),
    ],
)
def test_the_curve_is_the_best_value_since_the_first_step(mode, scores, best):
    assert curve_of(scores, mode=mode) == {"val/best_score": best}


def test_a_model_without_the_metric_has_the_best_loss():
    assert curve_of([1, 5, 3], "val/loss", mode="max") == {"val/best_loss": [5, 3]}


def test_a_model_without_either_has_none():
    assert curve_of([1, 5, 3], "val/other") == {}


def test_a_resumed_run_goes_on_comparing(example):
    words = (*FEW, "--model.optimizer=Adam", "--model.optimizer.lr=1.0")  # does not fall in every epoch
    assert example("fit", *words, "--trainer.max_epochs=6", "--name=whole") == 0
    assert example("fit", *words, "--trainer.max_epochs=3") == 0
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=6") == 0
    whole, resumed = ([(p.step, p.value) for p in read(name).Scalars("val/best_loss")] for name in ("whole", "run"))
    assert whole == resumed
    assert [value for _, value in whole] != [point.value for point in read().Scalars("val/loss")][1:]
