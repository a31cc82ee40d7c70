import random
import shutil
from pathlib import Path

import pytest
from compared import assert_same
from engines import marked

from blockstep.base import timed_logger
from blockstep.checkpoints.last_checkpoint import LastCheckpoint

pytestmark = pytest.mark.slow
RUN = Path("runs/run/version_0")
STATES = 8  # of each run, at random

COMMON = ["--data.num_validation=50", "--data.shuffle=true", "--data.batch_size=50", "--data.block_size=4"]
COMMON += ["--trainer.max_epochs=5"]
MOMENTUM = ["--model.optimizer=SGD", "--model.optimizer.lr=0.02", "--model.optimizer.momentum=0.9"]
PLATEAU = ["--model.lr_scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau", "--model.lr_scheduler.patience=0"]
PLATEAU += ["--model.lr_scheduler.threshold=1"]  # no loss is good enough, so the rate is reduced after every epoch
STOPPING = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss"]
STOPPING += ["--trainer.callbacks.patience=1", "--trainer.callbacks.min_delta=0.02", "--trainer.max_epochs=12"]
WITHIN = "--trainer.val_check_interval=6"
RUNS = {
    "momentum": MOMENTUM,
    "compiled": [*MOMENTUM, "--model.engine=compiled"],
    "compiled, stopped early": [*MOMENTUM, *STOPPING, "--model.engine=compiled"],
    "validated within epochs": [*MOMENTUM, WITHIN],
    "validated within epochs, stopped early": [*MOMENTUM, WITHIN, *STOPPING],
    "validated across epochs": [*MOMENTUM, "--trainer.val_check_interval=30", "--trainer.check_val_every_n_epoch=null"],
    "validated every other epoch": [*MOMENTUM, "--trainer.check_val_every_n_epoch=2"],
    "not validated": [*MOMENTUM, "--trainer.limit_val_batches=0"],
    "by steps": [*MOMENTUM, "--trainer.max_steps=50", "--trainer.max_epochs=-1"],
    "by steps, on a plateau": [*PLATEAU, "--trainer.max_steps=70"],
    "stopped at min_epochs": [*MOMENTUM, *STOPPING, "--trainer.min_epochs=6"],
    "gradients accumulated": [*MOMENTUM, "--data.block_size=1", "--trainer.accumulate_grad_batches=4"],
    "learning rates logged": [*MOMENTUM, "--trainer.callbacks+=LearningRateMonitor", "--trainer.log_every_n_steps=5"],
    "rates by step": ["--model.lr_scheduler=CosineAnnealingWarmRestarts", "--model.lr_scheduler.T_0=2"],
    "all kinds of state": ["--model.optimizer=AdamW", "--model.optimizer.lr=0.01", "--model.optimizer.amsgrad=true"],
}


@pytest.fixture(autouse=True)
def _saved_after_every_block(monkeypatch):
    monkeypatch.setattr(timed_logger, "SECONDS_BETWEEN_WRITES", -1)


@pytest.fixture
def snapshots(monkeypatch):
    """Copies of the runs folder, made at each saving of the whole run."""
    kept, save = [], LastCheckpoint.save

    def save_and_copy(self, trainer):
        save(self, trainer)
        if not Path("whole").exists():
            kept.append(Path(f"saved_{len(kept)}"))
            shutil.copytree("runs", kept[-1])
            for path in kept[-1].rglob("events*"):  # as if it were older: names of the same second need not be in order
                path.rename(path.with_name(path.name.replace("tfevents.1", "tfevents.0")))

    monkeypatch.setattr(LastCheckpoint, "save", save_and_copy)
    return kept


@pytest.mark.parametrize("name", marked(RUNS))
def test_a_run_resumed_from_any_state_that_was_saved_ends_like_the_whole_run(name, example, snapshots):
    assert example("fit", *COMMON, *RUNS[name]) == 0
    shutil.move(RUN, "whole")
    (*states, _end) = snapshots
    assert len(states) >= STATES
    for state in random.Random(name).sample(states, STATES):
        shutil.rmtree("runs")
        shutil.copytree(state, "runs")
        assert example("fit", "--ckpt_path=last") == 0
        assert_same(Path("whole"), RUN)
