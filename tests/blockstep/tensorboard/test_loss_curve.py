import numpy as np
import pytest
import torch
from block_fits import fit
from event_reader import PluginAccumulator, read
from lightning.pytorch import LightningModule
from small_net import Data, Net
from torch.utils.data import DataLoader, IterableDataset

from blockstep.blocks.training import take_steps
from blockstep.tensorboard.event_files import EventsSeen, RunEvents
from blockstep.tensorboard.loss_curve import LossCurve

pytestmark = pytest.mark.filterwarnings("ignore:.*smaller than the logging interval")
SMALL = ("--data.num_training=200", "--data.batch_size=1")


@pytest.mark.slow
@pytest.mark.parametrize("size", [1100, 1, 10])
def test_a_run_has_some_two_hundred_points_whatever_its_batch_size(size, example):
    assert example("fit", f"--data.batch_size={size}", "--trainer.max_epochs=3") == 0
    curve = read().Scalars("train/step_loss")
    assert len(curve) == 194
    assert curve[-1].step > 3300 * (1 - 1 / 200)


def test_a_step_over_many_stretches_has_its_loss_at_each(example):
    assert example("fit", "--data.batch_size=1100", "--trainer.max_epochs=3") == 0
    drawn = {point.value for point in read().Scalars("train/step_loss") if point.step <= 1100}
    assert drawn == {read().Scalars("train/last_batch_loss")[0].value}


def test_points_within_an_epoch_average_to_its_mean(example):
    assert example("fit", *SMALL) == 0
    points = [point.value for point in read().Scalars("train/step_loss")]
    assert len(points) == 200
    assert np.mean(points) == pytest.approx(read().Scalars("train/loss")[-1].value, rel=1e-4)


@pytest.mark.parametrize("validated", ["--trainer.limit_val_batches=1.0", "--trainer.limit_val_batches=0"])
def test_a_run_without_an_end_has_fewer_points_as_it_grows(validated, example):
    assert example("fit", *SMALL, validated, "--trainer.max_epochs=-1", "--trainer.max_steps=800") == 0
    steps = [point.step for point in read().Scalars("train/step_loss")]
    assert steps == [*range(1, 200), *range(200, 400, 2), *range(400, 804, 4)]


def test_a_run_resumed_within_a_stretch_has_the_curve_of_an_uninterrupted_one(example):
    small = ("--data.num_training=600", "--data.batch_size=1")  # a stretch is 3 steps
    assert example("fit", *small, "--name=whole") == 0
    assert example("fit", *small, "--trainer.max_steps=100") == 0
    assert example("fit", "--ckpt_path=last", "--trainer.max_steps=-1") == 0
    whole, resumed = ([(p.step, p.value) for p in read(name).Scalars("train/step_loss")] for name in ("whole", "run"))
    assert len(whole) == 200
    assert whole == resumed


def test_the_curve_is_described(example):
    assert example("fit", *SMALL) == 0
    description = read(reader=PluginAccumulator).SummaryMetadata("train/step_loss").summary_description
    assert description.startswith("Mean loss of the steps since the previous point")


def test_an_engine_may_reuse_its_memory(tmp_path):
    runs = tmp_path / "runs"
    for name, again in (("fresh", False), ("again", True)):
        memory = torch.empty(4, dtype=torch.float64)

        def engine(module, optimizer, block, again=again, memory=memory):
            losses = take_steps(module, optimizer, block).double()
            return memory[: block.steps].copy_(losses) if again else losses

        net = Net()
        net.engine = engine
        logger = RunEvents(runs / name / "version_0", EventsSeen())
        curve = [logger.seen, LossCurve(logger)]
        fit(tmp_path, net, Data(block_size=4), callbacks=curve, logger=logger)
    points = [[(p.step, p.value) for p in read(name).Scalars("train/step_loss")] for name in ("fresh", "again")]
    assert points[0] == points[1]


class Stream(IterableDataset):
    """Events without a number of them."""

    def __iter__(self):
        return iter(torch.ones(12, 2))


class Slope(LightningModule):
    """A line through the origin."""

    def __init__(self):
        super().__init__()
        self.line = torch.nn.Linear(2, 1)

    def training_step(self, batch, batch_idx):
        return self.line(batch).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_a_data_set_without_a_length_has_a_point_a_step(tmp_path):
    logger = RunEvents(tmp_path / "runs" / "run" / "version_0", EventsSeen())
    curve = [logger.seen, LossCurve(logger)]
    fit(tmp_path, Slope(), DataLoader(Stream(), batch_size=4), callbacks=curve, logger=logger, max_epochs=1)
    assert [point.step for point in read().Scalars("train/step_loss")] == [4, 8, 12]
