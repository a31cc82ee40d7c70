from pathlib import Path

import pytest
import torch

from batchlab.checkpoint import read_checkpoint

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
