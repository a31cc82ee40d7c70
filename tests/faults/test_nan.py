import math
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer

from batchlab.block_training import take_steps
from batchlab.checkpoint import read_checkpoint
from batchlab.data import ToyDataModule
from batchlab.errors import RunError
from batchlab.model import BinaryClassifier
from batchlab.nan_guard import NanGuard

LAST = Path("runs/minibatch/version_0/checkpoints/last.ckpt")
# A learning rate far too large: the weights overflow within the first epochs.
WILD = ["fit", "--model.optimizer=SGD", "--model.optimizer.lr=1e30", "--data.num_validation=50"]


@pytest.mark.parametrize("block", ["--data.block_size=0", "--data.block_size=1"])
@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_a_number_that_goes_wrong_ends_the_run_and_is_named(engine, block, batchlab, capsys):
    assert batchlab(*WILD, block, f"--model.engine={engine}") == 1
    said = capsys.readouterr().err
    assert "epoch 0, batch " in said
    assert "step " in said
    assert "network.0.weight" in said
    assert "Traceback" not in said


def test_momentum_that_was_not_there_before_the_first_block_is_none_of_it_again(batchlab, capsys):
    words = [*WILD, "--model.optimizer.momentum=0.9"]
    assert batchlab(*words, "--data.block_size=4") == 1
    blocks = capsys.readouterr().err
    assert batchlab(*words, "--data.block_size=1") == 1
    assert capsys.readouterr().err == blocks


def test_what_another_engine_alone_gets_wrong_is_named_by_its_block(tmp_path):
    class Spoiling(BinaryClassifier):
        def on_train_start(self):
            super().on_train_start()
            self.engine = lambda module, optimizer, block: take_steps(module, optimizer, block) * math.nan

    trainer = Trainer(max_epochs=1, accelerator="cpu", logger=False, callbacks=[NanGuard()], default_root_dir=tmp_path)
    with pytest.raises(RunError, match=r"steps 1 to \d+: a loss or a weight was not finite"):
        trainer.fit(Spoiling(), ToyDataModule(num_validation=50, block_size=5))


def test_nothing_after_it_is_kept(batchlab):
    assert batchlab(*WILD) == 1
    assert not LAST.exists()


def test_the_step_and_the_parameters_are_those_of_the_plain_loop(batchlab, capsys):
    assert batchlab(*WILD) == 1
    blocks = capsys.readouterr().err
    assert batchlab(*WILD, "--data.block_size=1") == 1
    assert capsys.readouterr().err == blocks


def test_on_request_training_goes_on(batchlab):
    assert batchlab(*WILD, "--on_nan=ignore") == 0
    weights = read_checkpoint(LAST)["state_dict"].values()
    assert not all(torch.isfinite(weight).all() for weight in weights)
