"""An optimizer's state of another shape or form: a program would write beyond it, and torch takes it over unseen."""

from pathlib import Path

import pytest
import torch
from engines import each_engine
from forked import output, run
from systems import needs_fork

from blockstep.checkpoints.checkpoint_file import ChecksummedCheckpointIO, read_checkpoint

pytestmark = [pytest.mark.slow, needs_fork]
LAST = Path("runs/run/version_0/checkpoints/last.ckpt")
FIT = ["fit", "--data.num_validation=20", "--data.num_training=100", "--model.optimizer=SGD"]
FIT += ["--model.optimizer.lr=0.1", "--model.optimizer.momentum=0.9"]
SHAPES = {
    "a single number": lambda _: torch.zeros(1),
    "as many numbers in another shape": lambda buffer: buffer.reshape(buffer.shape[::-1]),
    "as many numbers in one row": lambda buffer: buffer.reshape(-1),
    "a number too many": lambda buffer: torch.zeros(len(buffer) + 1, *buffer.shape[1:]),
    "one number, expanded": lambda buffer: torch.zeros(1).expand(buffer.shape[0], 2**40),
    "its shape of one number": lambda buffer: torch.zeros(1).expand(buffer.shape),
    "sparse": lambda buffer: buffer.to_sparse(),
    "without memory": lambda buffer: buffer.to("meta"),
    "a parameter": torch.nn.Parameter,
}


@each_engine
@pytest.mark.parametrize("change", SHAPES.values(), ids=SHAPES)
def test_a_momentum_of_another_shape_or_form_is_one_message_that_names_it(change, engine, tmp_path):
    assert run([*FIT, f"--model.engine={engine}"], tmp_path) == 0, output(tmp_path)
    checkpoint = read_checkpoint(tmp_path / LAST)
    state = checkpoint["optimizer_states"][0]["state"][0]
    state["momentum_buffer"] = change(state["momentum_buffer"])
    ChecksummedCheckpointIO().save_checkpoint(checkpoint, tmp_path / LAST)
    (tmp_path / "log.txt").unlink()
    assert run(["fit", f"--ckpt_path={LAST}", "--trainer.max_epochs=2"], tmp_path) == 2, output(tmp_path)
    said = output(tmp_path)
    assert said.count("\n") == 1
    assert "optimizer_states.0.state.0.momentum_buffer must be" in said
