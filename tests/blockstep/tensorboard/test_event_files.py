from pathlib import Path

import numpy as np
import pytest
import torch
from event_reader import PluginAccumulator, read
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from torch.utils.data import DataLoader

from blockstep.tensorboard.charts import DESCRIPTIONS, Charts
from blockstep.tensorboard.event_files import EventsSeen, RunEvents

SIZES = {"batch": "1100", "online": "1", "minibatch": "10"}


@pytest.fixture
def three_runs(example):
    """Runs of three batch sizes, for three epochs each."""
    for name, size in SIZES.items():
        assert example("fit", f"--name={name}", f"--data.batch_size={size}", "--trainer.max_epochs=3") == 0
    return [read(name) for name in SIZES]


@pytest.mark.slow
@pytest.mark.parametrize("tag", ["train/loss", "train/last_batch_loss", "val/loss", "time/epoch_sec"])
def test_the_x_axes_of_all_batch_sizes_agree_since_they_count_events(tag, three_runs):
    start = [] if tag == "train/last_batch_loss" else [0]
    for events in three_runs:
        assert [point.step for point in events.Scalars(tag)] == [*start, 1100, 2200, 3300]


@pytest.mark.slow
def test_validation_curves_start_before_the_first_step(three_runs):
    starts = {events.Scalars("val/loss")[0].value for events in three_runs}
    assert len(starts) == 1
    assert starts.isdisjoint(events.Scalars("val/loss")[-1].value for events in three_runs)


def test_the_time_of_a_single_epoch_is_drawn_as_a_line(example):
    assert example("fit") == 0
    (start, first), (end, last) = [(point.step, point.value) for point in read().Scalars("time/epoch_sec")]
    assert (start, end) == (0, 1100)
    assert first == last


def test_only_a_run_that_has_ended_is_called_a_success(example):
    assert example("fit") == 0
    assert "_hparams_/session_end_info" in read(reader=PluginAccumulator).PluginTagToContent("hparams")
    assert example("fit", "--model.optimizer.lr=1e38", "--name=wild", "--data.block_size=1") == 1
    assert "_hparams_/session_end_info" not in read("wild", PluginAccumulator).PluginTagToContent("hparams")


def test_a_run_that_goes_on_continues_its_curves(example):
    assert example("fit") == 0
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=3") == 0
    events = read()
    for tag in ("val/loss", "time/epoch_sec"):
        assert [point.step for point in events.Scalars(tag)] == [0, 1100, 2200, 3300]
    assert len(list(Path("runs/run/version_0").glob("events*"))) == 2


def test_a_first_epoch_that_is_resumed_has_its_start_drawn_once(example):
    assert example("fit") == 0
    seen = EventsSeen()
    seen.load_state_dict({"events": 1100, "step_events": 10})
    logger = RunEvents(Path("runs/run/version_0"), seen, resume_events=1000)
    logger.log_metrics({"epoch": 0, "train/loss": 1.0}, 0)
    logger.finalize("success")
    assert [point.step for point in read().Scalars("train/loss")] == [0, 1110]


def test_points_after_the_checkpoint_are_removed_when_a_run_is_resumed():
    for resumed_at, points in ((None, {1000: 1.0, 2000: 2.0}), (1000, {3000: 3.0})):
        logger = RunEvents(Path("runs/run/version_0"), EventsSeen(), resume_events=resumed_at)
        for at, value in points.items():
            logger.log_curve("own", at, value)
        logger.finalize("killed")
    assert [point.step for point in read(reader=PluginAccumulator).Tensors("own")] == [1000, 3000]


def test_a_point_before_the_first_step_of_a_resumed_run_is_at_its_place(example):
    every_step = ("--data.block_size=1", "--trainer.log_every_n_steps=1", "--trainer.callbacks+=LearningRateMonitor")
    words = ("--data.num_training=100", *every_step)
    assert example("fit", *words, "--name=whole") == 0
    assert example("fit", *words, "--trainer.max_steps=5") == 0
    assert example("fit", "--ckpt_path=last", "--trainer.max_steps=-1") == 0
    whole, resumed = ([point.step for point in read(name).Scalars("lr-SGD")] for name in ("whole", "run"))
    assert whole == resumed


def test_a_chart_is_described_by_its_tag_or_by_its_group():
    charts = Charts(descriptions={"own": "A group.", "own/two": "A chart."})
    logger = RunEvents(Path("runs/run/version_0"), EventsSeen(), charts)
    logger.log_metrics({"own/one": 1.0, "own/two": 2.0, "train/loss": 3.0, "other": 4.0}, 0)
    logger.finalize("success")
    events = read(reader=PluginAccumulator)
    found = {tag: events.SummaryMetadata(tag).summary_description for tag in ("own/one", "own/two", "other")}
    assert found == {"own/one": "A group.", "own/two": "A chart.", "other": ""}
    assert events.SummaryMetadata("train/loss").summary_description == DESCRIPTIONS["train/loss"]


def test_a_picture_is_drawn_at_the_events_seen():
    seen = EventsSeen()
    seen.load_state_dict({"events": 70, "step_events": 10})
    logger = RunEvents(Path("runs/run/version_0"), seen)
    logger.log_picture("own", np.zeros((4, 6, 3), np.uint8))
    logger.finalize("success")
    ((step, height, width),) = [(image.step, image.height, image.width) for image in read().Images("own")]
    assert (step, height, width) == (70, 4, 6)


BATCHES = {
    "a tensor": torch.zeros(6, 32),
    "a dictionary": [{"x": torch.zeros(32), "y": torch.zeros(3)} for _ in range(6)],
    "tuples": [(torch.zeros(32), 1) for _ in range(6)],
}


class AnyBatch(BoringModel):
    """Trains on batches of any form."""

    def training_step(self, batch, batch_idx):
        return self.layer.weight.sum()


@pytest.mark.filterwarnings("ignore:Trying to infer the .batch_size")
@pytest.mark.parametrize("dataset", BATCHES.values(), ids=BATCHES)
def test_the_events_of_any_batch_are_counted(dataset):
    seen = EventsSeen()
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_epochs=2, limit_val_batches=0, accelerator="cpu", callbacks=[seen], **options)
    trainer.fit(AnyBatch(), DataLoader(dataset, batch_size=4))
    assert seen.events == 12
