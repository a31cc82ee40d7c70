import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from engines import each_engine

from blockstep.checkpoints.checkpoint_file import read_checkpoint

pytestmark = pytest.mark.slow
FIT = ["fit", "--data.num_validation=50", "--data.shuffle=true", "--trainer.max_epochs=2"]


def weights(name, *words, **environment):
    """The weights after training in a process of its own."""
    command = [sys.executable, "-m", "example", *FIT, f"--name={name}", *words]
    subprocess.run(command, check=True, capture_output=True, timeout=120, env=os.environ | environment)
    return read_checkpoint(Path(f"runs/{name}/version_0/checkpoints/last.ckpt"))["state_dict"]


@each_engine
def test_the_same_config_gives_the_same_weights_in_every_process(engine):
    words = [f"--model.engine={engine}"]
    first = weights("first", *words, PYTHONHASHSEED="1")
    for name, more, environment in [("second", [], {"PYTHONHASHSEED": "2"}), ("workers", ["--data.num_workers=2"], {})]:
        other = weights(name, *words, *more, **environment)
        assert all(torch.equal(first[key], other[key]) for key in first), name
