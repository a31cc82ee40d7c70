import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from block_fits import fit
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from small_net import Data, Net, Probe, same_weights
from torch.optim import SGD
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader

from blockstep.base import timed_logger
from blockstep.checkpoints.checkpoint_file import read_checkpoint
from blockstep.checkpoints.exact_resume import ExactResume
from blockstep.checkpoints.last_checkpoint import LastCheckpoint

pytestmark = pytest.mark.filterwarnings("ignore")


class KeepAll(LastCheckpoint):
    """Keeps a copy of every saved state."""

    def save(self, trainer):
        super().save(trainer)
        shutil.copy(self.path, self.path.parent / f"{trainer.global_step:02d}-{trainer.current_epoch}.ckpt")


class Draws(Callback):
    """Draws a number from each random generator after every block."""

    def __init__(self):
        self.drawn = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        numbers = random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002
        self.drawn.append((trainer.global_step, numbers))


def momentum(p):
    return SGD(p, lr=0.1, momentum=0.9)


def scheduled(make, **extra):
    def configure(p):
        optimizer = momentum(p)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": make(optimizer), **extra}}

    return configure


SCHEDULES = {
    "none": momentum,
    "by epoch": scheduled(lambda o: StepLR(o, 1, 0.5)),
    "by step": scheduled(lambda o: OneCycleLR(o, 0.1, 100), interval="step"),
    "on plateau": scheduled(lambda o: ReduceLROnPlateau(o, patience=0, threshold=10.0), monitor="val/loss"),
}


@pytest.fixture(autouse=True)
def _saved_after_every_block(monkeypatch):
    monkeypatch.setattr(timed_logger, "SECONDS_BETWEEN_WRITES", -1)


def run(folder, make=momentum, checkpoint=None, extra=(), max_epochs=3, kind=Data, **data):
    folder.mkdir(exist_ok=True)
    torch.manual_seed(5)
    probe, draws, net = Probe(), Draws(), Net(make)
    keep = KeepAll(folder / "last.ckpt")
    trainer = Trainer(
        max_epochs=max_epochs,
        callbacks=[probe, draws, ExactResume(), keep, *extra],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        num_sanity_val_steps=0,
    )
    trainer.fit(net, kind(**{"shuffle": True, "block_size": 4} | data), ckpt_path=checkpoint, weights_only=True)
    return trainer, net, probe, draws


def resumed_equal_whole(tmp_path, every=1, **options):
    """Resume from every nth state of a run; compare losses, weights and random numbers; yield the state's step."""
    _, net, probe, draws = run(tmp_path / "whole", **options)
    for checkpoint in sorted((tmp_path / "whole").glob("*-*.ckpt"))[::every]:
        taken = int(checkpoint.name.split("-")[0])
        _, rest_net, rest_probe, rest_draws = run(tmp_path / "rest", checkpoint=checkpoint, **options)
        assert rest_probe.losses == probe.losses[taken:], checkpoint.name
        assert same_weights(net, rest_net), checkpoint.name
        assert rest_draws.drawn == [draw for draw in draws.drawn if draw[0] > taken], checkpoint.name
        yield taken


@pytest.mark.slow
@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("data", [{}, {"block_size": 1}, {"shuffle": False}], ids=str)
def test_a_run_resumed_from_any_of_its_states_equals_one_that_was_not_interrupted(tmp_path, make, data):
    taken = list(resumed_equal_whole(tmp_path, make=make, **data))
    assert {4, 11, 22, 33} <= set(taken)


@pytest.mark.slow
@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
def test_a_run_whose_rows_are_loaded_by_a_process_is_resumed_likewise(tmp_path, make):
    taken = list(resumed_equal_whole(tmp_path, every=3, make=make, num_workers=1))
    assert any(step % 11 for step in taken)  # within an epoch


def test_a_resumed_early_stopping_goes_on_counting(tmp_path):
    def stopping():
        return [EarlyStopping("val/loss", min_delta=10.0, patience=2, check_on_train_epoch_end=True)]

    trainer, *_ = run(tmp_path / "whole", extra=stopping(), max_epochs=9)
    resumed, *_ = run(tmp_path / "rest", extra=stopping(), max_epochs=9, checkpoint=tmp_path / "whole" / "15-1.ckpt")
    assert trainer.global_step == resumed.global_step == 33


def test_a_finished_run_can_go_on_with_the_next_epoch(tmp_path):
    _, _, whole, _ = run(tmp_path / "whole", max_epochs=3)
    run(tmp_path / "part", max_epochs=2)
    *_, rest, _ = run(tmp_path / "rest", checkpoint=tmp_path / "part" / "last.ckpt", max_epochs=3)
    assert rest.losses == whole.losses[22:]


def test_the_last_state_is_saved_no_more_often_than_the_clock_allows(tmp_path, monkeypatch):
    monkeypatch.setattr(timed_logger, "SECONDS_BETWEEN_WRITES", 3600)
    run(tmp_path)
    assert [path.name for path in tmp_path.glob("*-*.ckpt")] == ["33-3.ckpt"]


class Accumulates(Callback):
    """Sets the trainer's accumulation as an epoch starts, and has a state of its own."""

    def on_train_epoch_start(self, trainer, pl_module):
        trainer.accumulate_grad_batches = 4

    def state_dict(self):
        return {"own": 1}


class AccumulatingNet(Net):
    def on_train_epoch_start(self):
        super().on_train_epoch_start()
        self.trainer.accumulate_grad_batches = 4


class Halves(Callback):
    """Halves the learning rate as an epoch starts, which the optimizer's state then holds."""

    def on_train_epoch_start(self, trainer, pl_module):
        for group in trainer.optimizers[0].param_groups:
            group["lr"] *= 0.5


@pytest.mark.parametrize("who", ["callback", "module"])
def test_what_a_hook_sets_as_an_epoch_starts_holds_after_a_resume_within_it(who, tmp_path):
    def train(folder, **options):
        net, more = (AccumulatingNet(), []) if who == "module" else (Net(), [Accumulates()])
        callbacks = [ExactResume(), KeepAll(folder / "last.ckpt"), *more]
        return fit(folder, net=net, data=Data(block_size=1), callbacks=callbacks, enable_checkpointing=True, **options)

    whole, net, _ = train(tmp_path / "whole", max_epochs=2)
    train(tmp_path / "part", max_steps=2)
    resumed, same, _ = train(tmp_path / "rest", max_epochs=2, ckpt_path=tmp_path / "part" / "last.ckpt")
    assert resumed.global_step == whole.global_step
    assert same_weights(net, same)


def test_what_the_optimizer_has_saved_is_not_changed_a_second_time(tmp_path):
    def train(folder, **options):
        callbacks = [ExactResume(), KeepAll(folder / "last.ckpt"), Halves()]
        return fit(folder, data=Data(block_size=1), callbacks=callbacks, enable_checkpointing=True, **options)

    _, net, _ = train(tmp_path / "whole", max_epochs=2)
    train(tmp_path / "part", max_steps=5)
    _, same, _ = train(tmp_path / "rest", max_epochs=2, ckpt_path=tmp_path / "part" / "last.ckpt")
    assert same_weights(net, same)


def test_gradients_are_accumulated_after_a_resume_within_an_epoch_as_before_it(example, monkeypatch):
    monkeypatch.setattr("blockstep.base.timed_logger.SECONDS_BETWEEN_WRITES", 0.0)
    scheduler = "{class_path: GradientAccumulationScheduler, init_args: {scheduling: {0: 4}}}"
    words = ("--data.block_size=1", "--data.num_training=1120", "--data.num_validation=20")
    words = (*words, f"--trainer.callbacks=[{scheduler}]")
    assert example("fit", *words, "--trainer.max_steps=10") == 0
    assert example("fit", "--ckpt_path=runs/run/version_0/checkpoints/last.ckpt", "--trainer.max_steps=-1") == 0
    steps = read_checkpoint(Path("runs/run/version_0/checkpoints/last.ckpt"))["global_step"]
    assert steps == 112 / 4


class Plain(Data):
    """The same rows by torch's own loader, which does not know its position."""

    def train_dataloader(self):
        workers = self.options.get("num_workers", 0)
        return DataLoader(self.dataset, self.batch_size, shuffle=True, num_workers=workers)


def test_a_loader_of_torch_goes_on_with_the_batches_that_were_left(tmp_path):
    taken = list(resumed_equal_whole(tmp_path, kind=Plain))
    assert {1, 4, 11, 12, 22, 30} <= set(taken)


@pytest.mark.slow
def test_a_loader_of_torch_with_a_process_goes_on_likewise(tmp_path):
    taken = list(resumed_equal_whole(tmp_path, every=5, kind=Plain, num_workers=1))
    assert any(step % 11 for step in taken)  # within an epoch
