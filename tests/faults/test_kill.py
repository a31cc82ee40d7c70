import os
import random
import re
import signal
import time
from pathlib import Path

import pytest
from compared import assert_same
from forked import end, run, start

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("BATCHLAB_KILLS", "10"))  # of each kind of run and signal
NOTHING_LEFT = re.compile("trainer.max_(epochs|steps) must be more than")  # killed after its last checkpoint: the end
RUN = Path("runs/minibatch/version_0")

COMMON = [
    "fit",
    "--trainer.max_epochs=25",
    "--data.num_validation=500",
    "--data.shuffle=true",
    "--data.block_size=4",
    "--trainer.callbacks+=EarlyStopping",
]
COMMON += ["--trainer.callbacks.monitor=val/loss", "--trainer.callbacks.patience=100"]
MOMENTUM = ["--model.optimizer=SGD", "--model.optimizer.lr=0.01", "--model.optimizer.momentum=0.9"]
ADAM = ["--model.optimizer=Adam", "--model.optimizer.lr=0.001"]
STEP = ["--model.lr_scheduler=StepLR", "--model.lr_scheduler.step_size=3"]
PLATEAU = ["--model.lr_scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau", "--model.lr_scheduler.patience=0"]
COMPILED = "--model.engine=compiled"
RUNS = {
    "momentum, by steps": [*MOMENTUM, *STEP],
    "adam, on a plateau, until a step": [*ADAM, *PLATEAU, "--trainer.max_steps=2000"],
    "single steps": [*MOMENTUM, "--data.block_size=1", "--trainer.max_epochs=6"],
    "compiled momentum": [*MOMENTUM, *STEP, COMPILED, "--data.batch_size=3"],
    "compiled adam": [*ADAM, COMPILED, "--data.batch_size=2", "--trainer.max_epochs=12"],
}


def survive(words, folder, number, kills, longest, seed):
    """Trains to the end, through so many signals at random moments; returns how many there were."""
    folder.mkdir(parents=True)
    rng = random.Random(seed)
    for done in range(kills + 1):
        goes_on = (folder / RUN / "checkpoints" / "last.ckpt").exists()
        # A run that was killed before its first checkpoint starts again: nothing of it is kept.
        process = start([*words, "--ckpt_path=last"] if goes_on else words, folder)
        # After the last of them, it is left in peace.
        status = end(process, number, rng.uniform(0, longest) if done < kills else 120)
        said = (folder / "log.txt").read_text()
        if status == 0 or (status == 2 and NOTHING_LEFT.search(said.splitlines()[-1])):
            return done
        assert status in (-number, 128 + number), said
        if (folder / RUN).exists() and not (folder / RUN / "checkpoints" / "last.ckpt").exists():
            (folder / RUN).rename(folder / f"killed_{done}")
    raise AssertionError("it did not come to its end in two minutes")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_is_killed_again_and_again_ends_like_one_that_never_was(name, number, tmp_path):
    words = [*COMMON, *RUNS[name]]
    whole = tmp_path / "whole"
    whole.mkdir()
    assert run(words, whole, every=3600) == 0, (whole / "log.txt").read_text()
    began = time.monotonic()
    assert run([*words, "--name=again"], whole) == 0
    longest = time.monotonic() - began
    killed, attempt = 0, 0
    while killed < KILLS:
        folder = tmp_path / str(attempt)
        survived = survive(words, folder, number, KILLS - killed, longest, seed=f"{name}{attempt}")
        assert_same(whole / RUN, folder / RUN)
        killed, attempt = killed + survived, attempt + 1
        longest *= 1 if survived else 0.8  # the machine is quicker than it was when that was measured
