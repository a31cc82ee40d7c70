import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from batchlab.checkpoint import read_checkpoint

pytestmark = pytest.mark.slow
QUICK = ["--data.num_validation=50", "--data.batch_size=100", "--data.shuffle=true", "--trainer.max_epochs=2"]


def weights(name, *words, **environment):
    command = [sys.executable, "-m", "batchlab", "fit", f"--name={name}", *QUICK, *words]
    subprocess.run(command, check=True, capture_output=True, timeout=120, env=os.environ | environment)
    return read_checkpoint(Path(f"runs/{name}/version_0/checkpoints/last.ckpt"))["state_dict"]


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_the_same_config_gives_the_same_bits_in_every_process(engine):
    words = [f"--model.engine={engine}"]
    first = weights("first", *words, PYTHONHASHSEED="1")
    for name, more, environment in [("second", [], {"PYTHONHASHSEED": "2"}), ("workers", ["--data.num_workers=2"], {})]:
        other = weights(name, *words, *more, **environment)
        assert all(torch.equal(first[key], other[key]) for key in first), name
