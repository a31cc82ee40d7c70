import os
import random
import re
import signal
import time
from pathlib import Path

import pytest
from compared import assert_same
from engines import marked
from forked import end, output, run, start
from systems import needs_fork

pytestmark = [pytest.mark.slow, needs_fork]
KILLS = int(os.environ.get("BLOCKSTEP_KILLS", "10"))  # of each kind of run by each signal
NOTHING_LEFT = re.compile("trainer.max_(epochs|steps) must be more than")  # killed after its last checkpoint
RUN = Path("runs/run/version_0")

COMMON = ["fit", "--trainer.max_epochs=15", "--data.num_validation=500", "--data.shuffle=true", "--data.block_size=4"]
COMMON += ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss"]
COMMON += ["--trainer.callbacks.patience=100"]
MOMENTUM = ["--model.optimizer=SGD", "--model.optimizer.lr=0.01", "--model.optimizer.momentum=0.9"]
ADAM = ["--model.optimizer=Adam", "--model.optimizer.lr=0.001"]
STEP = ["--model.lr_scheduler=StepLR", "--model.lr_scheduler.step_size=3", "--model.lr_scheduler.gamma=0.9"]
PLATEAU = ["--model.lr_scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau", "--model.lr_scheduler.patience=0"]
PLATEAU += ["--model.lr_scheduler.factor=0.5"]
COMPILED = "--model.engine=compiled"
RUNS = {
    "momentum, by steps": [*MOMENTUM, *STEP],
    "adam, on a plateau, until a step": [*ADAM, *PLATEAU, "--trainer.max_steps=1500"],
    "single steps": [*MOMENTUM, "--data.block_size=1", "--trainer.max_epochs=6"],
    "compiled momentum": [*MOMENTUM, *STEP, COMPILED, "--data.batch_size=3"],
    "compiled adam": [*ADAM, COMPILED, "--data.batch_size=2", "--trainer.max_epochs=8"],
}


def train_through_signals(words, folder, number, signals, longest, seed):
    """Train to the end, interrupted by at most so many signals at random moments; return how many there were."""
    folder.mkdir(parents=True)
    rng = random.Random(seed)
    for sent in range(signals + 1):
        can_resume = (folder / RUN / "checkpoints" / "last.ckpt").exists()
        # A run that was killed before its first checkpoint starts again: nothing of it is kept.
        process = start([*words, "--ckpt_path=last"] if can_resume else words, folder)
        # After the last signal, it may train to its end.
        status = end(process, number, rng.uniform(0, longest) if sent < signals else 120)
        said = output(folder)
        if status == 0 or (status == 2 and NOTHING_LEFT.search(said.splitlines()[-1])):
            return sent
        assert status in (-number, 128 + number), said
        if (folder / RUN).exists() and not (folder / RUN / "checkpoints" / "last.ckpt").exists():
            (folder / RUN).rename(folder / f"killed_{sent}")
    raise AssertionError("the run did not end in two minutes")


@pytest.mark.parametrize("kind", ["SIGKILL", "SIGTERM"])
@pytest.mark.parametrize("name", marked(RUNS))
def test_a_run_that_is_killed_again_and_again_ends_like_one_that_was_not_killed(name, kind, tmp_path):
    number = getattr(signal, kind)  # Windows has no SIGKILL
    words = [*COMMON, *RUNS[name]]
    whole = tmp_path / "whole"
    whole.mkdir()
    assert run(words, whole, every=3600) == 0, output(whole)
    began = time.monotonic()
    assert run([*words, "--name=again"], whole) == 0
    longest = time.monotonic() - began
    killed, attempt = 0, 0
    while killed < KILLS:
        folder = tmp_path / str(attempt)
        survived = train_through_signals(words, folder, number, KILLS - killed, longest, seed=f"{name}{attempt}")
        assert_same(whole / RUN, folder / RUN)
        killed, attempt = killed + survived, attempt + 1
        longest *= 1 if survived else 0.8  # the machine is faster than it was when that was measured


BORING = "lightning.pytorch.demos.boring_classes"


def test_lightnings_own_example_goes_on_after_kills_and_is_validated_and_predicted(tmp_path):
    words = ["fit", f"--model={BORING}.BoringModel", f"--data={BORING}.BoringDataModule", "--name=run"]
    words += ["--trainer.max_epochs=30"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    began = time.monotonic()
    assert run(words, whole, every=3600) == 0, output(whole)
    longest = time.monotonic() - began
    for attempt in range(20):
        if train_through_signals(words, killed / str(attempt), signal.SIGKILL, 3, longest, seed=attempt):
            break
    else:
        raise AssertionError("no run was killed")
    folder = killed / str(attempt)
    assert_same(whole / RUN, folder / RUN)
    assert run(["validate", "--ckpt_path=last"], folder) == 0, output(folder)
    assert run(["predict", "--ckpt_path=last", "--output=predicted.csv"], folder) == 0, output(folder)
    assert len((folder / "predicted.csv").read_text().splitlines()) == 65
