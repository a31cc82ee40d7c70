import sys

import pytest
import torch
from block_fits import OPTIMIZERS, fit, plain_loop
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import (
    ModelCheckpoint,
)
from small_net import Data, Net, same_weights
from torch.optim import SGD

from blockstep.blocks import loader

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("batch_size", [1, 7, 10, 110, 1000])
def test_losses_of_blocks_equal_the_plain_loop(tmp_path, make, batch_size):
    *_, probe = fit(tmp_path, Net(make), Data(batch_size))
    assert probe.losses == plain_loop(batch_size, make)[0]


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("batch_size", [1, 7, 110])
def test_weights_after_blocks_equal_the_plain_loop(tmp_path, make, batch_size):
    _, net, _ = fit(tmp_path, Net(make), Data(batch_size))
    assert same_weights(net, plain_loop(batch_size, make)[1])


@pytest.mark.parametrize("block_size", [1, 2, 4, 11, 100])
def test_any_block_size_gives_the_same_weights(tmp_path, block_size):
    _, net, _ = fit(tmp_path, data=Data(7, block_size=block_size))
    assert same_weights(net, plain_loop(7)[1])


@pytest.mark.parametrize("block_size", [0, 1, 3])
def test_global_step_counts_steps(tmp_path, block_size):
    trainer, *_ = fit(tmp_path, data=Data(7, block_size=block_size))
    assert trainer.global_step == 3 * 16


def test_blocks_are_longer_than_a_step(tmp_path):
    *_, probe = fit(tmp_path, data=Data(1))
    assert len(probe.sizes) <= 8


def test_a_small_epoch_becomes_a_single_block_once_the_pace_is_known(tmp_path):
    *_, probe = fit(tmp_path)
    assert probe.sizes[-1] == 11


def test_a_block_lasts_no_longer_than_its_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(loader, "SECONDS_PER_BLOCK", 1e-9)
    *_, probe = fit(tmp_path)
    assert set(probe.sizes) == {1}


@pytest.mark.parametrize("seconds", [1e-9, 2e-3, 10])
def test_the_time_bound_changes_no_loss(tmp_path, monkeypatch, seconds):
    monkeypatch.setattr(loader, "SECONDS_PER_BLOCK", seconds)
    *_, probe = fit(tmp_path)
    assert probe.losses == plain_loop()[0]


def test_every_epoch_has_all_of_its_steps(tmp_path):
    *_, probe = fit(tmp_path, data=Data(block_size=4))
    assert probe.epochs == [11, 22, 33]


@pytest.mark.parametrize("limits", [{"max_steps": 5}, {"max_steps": 17, "max_epochs": -1}, {"max_steps": 22}])
def test_max_steps_is_obeyed_to_the_step(tmp_path, limits):
    *_, probe = fit(tmp_path, **limits)
    assert len(probe.losses) == limits["max_steps"]


@pytest.mark.parametrize(("limit", "steps"), [(7, 7), (1, 1), (0.5, 5), (50, 11), (1.0, 11)])
def test_limit_train_batches_is_obeyed_to_the_step(tmp_path, limit, steps):
    *_, probe = fit(tmp_path, limit_train_batches=limit)
    assert probe.epochs == [steps, 2 * steps, 3 * steps]


@pytest.mark.parametrize(("runs", "steps"), [(True, 1), (4, 4)])
def test_fast_dev_run_takes_its_steps(tmp_path, runs, steps):
    *_, probe = fit(tmp_path, fast_dev_run=runs)
    assert len(probe.losses) == steps


@pytest.mark.parametrize("block_size", [0, 1])
def test_overfit_batches_repeats_the_first_batches_unshuffled(tmp_path, block_size):
    *_, probe = fit(tmp_path, Net(lambda p: SGD(p, lr=0)), Data(shuffle=True, block_size=block_size), overfit_batches=3)
    assert probe.losses == plain_loop(make=lambda p: SGD(p, lr=0))[0][:3] * 3


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"val_check_interval": 4}, [4, 8, 15, 19, 26, 30]),
        ({"val_check_interval": 0.5}, [5, 10, 16, 21, 27, 32]),
        ({"val_check_interval": 4, "check_val_every_n_epoch": None}, [4, 8, 12, 16, 20, 24, 28, 32]),
        ({"check_val_every_n_epoch": 2}, [22]),
        ({"num_sanity_val_steps": 2}, [11, 22, 33]),
    ],
)
def test_validation_runs_after_the_right_steps(tmp_path, options, steps):
    *_, probe = fit(tmp_path, **{"limit_val_batches": 1.0, "num_sanity_val_steps": 0} | options)
    assert probe.val_steps == steps


def test_a_validation_that_is_switched_off_cuts_no_block(tmp_path):
    *_, probe = fit(tmp_path, data=Data(block_size=11), val_check_interval=1, limit_val_batches=0)
    assert probe.sizes == [11, 11, 11]


def test_checkpoints_are_saved_at_their_steps(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=6, save_top_k=-1)
    fit(tmp_path, callbacks=[checkpoint])
    assert {path.name for path in tmp_path.glob("*.ckpt")} == {f"step={step}.ckpt" for step in (6, 12, 18, 24, 30)}


def test_a_checkpoint_has_the_weights_of_its_step(tmp_path):
    fit(tmp_path, callbacks=[ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=6, save_top_k=-1)])
    fit(tmp_path, callbacks=[ModelCheckpoint(tmp_path / "end", "end", every_n_train_steps=6)], max_steps=6)
    one, other = (torch.load(tmp_path / name)["state_dict"] for name in ("step=6.ckpt", "end/end.ckpt"))
    assert all(torch.equal(one[key], other[key]) for key in one)


class Watch(Callback):
    """Keeps the weights after certain steps, for which blocks end."""

    def __init__(self, *steps):
        self.steps, self.weights = steps, {}

    def next_step_due(self, step):
        return min((due for due in self.steps if due > step), default=sys.maxsize)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.weights[trainer.global_step] = [weight.detach().clone() for weight in pl_module.parameters()]


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_blocks_end_where_a_callback_says(tmp_path, workers):
    watch = Watch(1, 3, 4, 9, 15)
    fit(tmp_path, data=Data(block_size=11, num_workers=workers), callbacks=[watch])
    assert list(watch.weights) == [1, 3, 4, 9, 11, 15, 22, 33]


def test_a_callback_sees_the_weights_of_its_step(tmp_path):
    watch = Watch(1, 7, 20)
    fit(tmp_path, callbacks=[watch])
    for step in watch.steps:
        _, net, _ = fit(tmp_path, max_steps=step)
        assert all(torch.equal(a, b) for a, b in zip(watch.weights[step], net.parameters(), strict=True))


def test_steps_of_a_callback_are_counted_from_the_start_of_a_resumed_training(tmp_path):
    fit(tmp_path, callbacks=[ModelCheckpoint(tmp_path, "half", every_n_train_steps=6)], max_steps=6)
    watch = Watch(5, 8, 13)
    fit(tmp_path, data=Data(block_size=11), callbacks=[watch], ckpt_path=tmp_path / "half.ckpt")
    assert list(watch.weights) == [8, 11, 13, 22, 33]


def test_the_step_that_a_callback_names_must_lie_ahead(tmp_path):
    class Behind(Callback):
        def next_step_due(self, step):
            return step

    with pytest.raises(ValueError, match=r"^Behind\.next_step_due\(0\) must be a step after 0\. Got 0 instead\.$"):
        fit(tmp_path, callbacks=[Behind()])


@pytest.mark.slow
def test_max_time_ends_a_training_without_other_limits(tmp_path):
    trainer, *_ = fit(tmp_path, max_epochs=-1, max_time={"seconds": 1})
    assert trainer.global_step > 0


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("shuffle", [False, True])
def test_worker_processes_change_no_loss(tmp_path, workers, shuffle):
    *_, here = fit(tmp_path, data=Data(7, shuffle=shuffle))
    *_, probe = fit(tmp_path, data=Data(7, shuffle=shuffle, num_workers=workers), max_epochs=3)
    assert probe.losses == here.losses


def test_worker_processes_leave_limits_to_the_step(tmp_path):
    *_, probe = fit(tmp_path, data=Data(num_workers=2), max_steps=17)
    assert len(probe.losses) == 17
