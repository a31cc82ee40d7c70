import math
import re
from pathlib import Path

import pytest
import torch
from engines import each_engine
from lightning.pytorch import Trainer
from small_net import Data, Net, same_weights

from blockstep.base.errors import RunError
from blockstep.checkpoints.checkpoint_file import read_checkpoint
from blockstep.runs.nan_guard import NanGuard

LAST = Path("runs/run/version_0/checkpoints/last.ckpt")
# With a rate that is far too large the weights overflow within the first steps.
WILD = ["fit", "--model.optimizer=SGD", "--model.optimizer.lr=1e38"]
quietly = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("block", ["--data.block_size=0", "--data.block_size=1"])
@each_engine
def test_a_loss_that_is_not_finite_ends_the_run_and_its_step_is_named(engine, block, example, capsys):
    assert example(*WILD, block, f"--model.engine={engine}") == 1
    said = capsys.readouterr().err
    assert re.search(r"epoch 0, batch \d+, step \d+: the loss is (nan|inf)", said)
    assert "Traceback" not in said


def test_nothing_after_it_is_saved(example):
    assert example(*WILD) == 1
    assert not LAST.exists()


def test_with_on_nan_ignore_training_goes_on(example):
    assert example(*WILD, "--on_nan=ignore") == 0
    assert read_checkpoint(LAST)["global_step"] == 110


class Spoiled(Net):
    """A net in which something goes wrong at a step; steps are counted from 1.

    Args:
        nan_loss_at: The step whose loss is nan, and so are all weights after it.
        inf_weight_at: The step that makes a weight infinite on which no loss depends.
        large_weights: Whether weights are finite but their sum is not.
    """

    def __init__(self, nan_loss_at=0, inf_weight_at=0, large_weights=False):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.full((2,), 3e38 if large_weights else 0.0))
        self.nan_loss_at, self.inf_weight_at, self.steps = nan_loss_at, inf_weight_at, 0

    def batch_loss(self, batch):
        self.steps += 1
        if self.steps == self.inf_weight_at:
            self.unused.data.fill_(math.inf)
        x, t = batch  # binary cross-entropy would refuse nan
        return torch.nn.functional.mse_loss(self.net(x), t) * (math.nan if self.steps == self.nan_loss_at else 1)


def fit(net, block_size):
    """Train for two epochs of 11 steps with the guard."""
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    options = {"max_epochs": 2, "limit_val_batches": 0, "accelerator": "cpu", "devices": 1}
    Trainer(**quiet, **options, callbacks=[NanGuard()]).fit(net, Data(block_size=block_size))


@quietly
@pytest.mark.parametrize("block_size", [1, 4, 11])
def test_the_first_step_whose_loss_is_not_finite_is_named_wherever_it_is_in_a_block(block_size):
    with pytest.raises(RunError, match=r"^epoch 1, batch 5, step 17: the loss is nan, net\.0\.weight and 3 other"):
        fit(Spoiled(nan_loss_at=17), block_size)


@quietly
@pytest.mark.parametrize(("block_size", "where"), [(1, "batch 5, step 6"), (4, "batch 7, step 8")])
def test_if_only_a_weight_is_not_finite_the_last_step_of_its_block_is_named(block_size, where):
    with pytest.raises(
        RunError, match=rf"^epoch 0, {where}: the loss is 0\.\d+, unused and 0 other parameters are not"
    ):
        fit(Spoiled(inf_weight_at=6), block_size)


@quietly
def test_weights_that_are_finite_do_not_stop_a_run_even_if_their_sum_is_not():
    net = Spoiled(large_weights=True)
    fit(net, 4)
    assert net.steps == 22


@quietly
def test_a_batch_that_a_model_skips_is_not_checked():
    class Skipping(Net):
        def training_step(self, batch, batch_idx):
            return None

    net = Skipping()
    fit(net, 1)
    assert same_weights(net, Skipping())
