import csv

import pytest
from block_fits import fit, plain_loop
from lightning.pytorch.callbacks import (
    EarlyStopping,
    LearningRateMonitor,
)
from lightning.pytorch.loggers import CSVLogger
from small_net import Data, Net, same_weights
from torch.optim import SGD
from torch.optim.lr_scheduler import ExponentialLR, OneCycleLR, ReduceLROnPlateau

pytestmark = pytest.mark.filterwarnings("ignore")


def learning_rates(tmp_path, make, block_size=0, **options):
    trainer, *_ = fit(tmp_path, Net(make), Data(block_size=block_size), **options)
    return trainer.optimizers[0].param_groups[0]["lr"]


def by_step(scheduler, frequency=1):
    def make(parameters):
        optimizer = SGD(parameters, lr=0.1)
        config = {"scheduler": scheduler(optimizer), "interval": "step", "frequency": frequency}
        return {"optimizer": optimizer, "lr_scheduler": config}

    return make


def test_a_schedule_finds_the_optimizers_steps_taken(tmp_path, recwarn):
    fit(tmp_path, Net(lambda p: ([o := SGD(p, lr=0.1)], [ExponentialLR(o, 0.5)])))
    assert not [warning for warning in recwarn if "lr_scheduler.step" in str(warning.message)]


def test_schedules_of_two_frequencies_step_as_lightning_steps_them(tmp_path):
    def make(parameters):
        optimizer = SGD(parameters, lr=0.1)
        config = {"scheduler": ExponentialLR(optimizer, 0.9), "interval": "step"}
        other = {"scheduler": ExponentialLR(optimizer, 0.8), "interval": "step"}
        return [optimizer], [config | {"frequency": 4}, other | {"frequency": 6}]

    nets = [fit(tmp_path, Net(make), Data(block_size=size))[1] for size in (0, 1)]
    assert same_weights(*nets)


def test_a_schedule_by_epoch_gives_the_losses_of_the_plain_loop(tmp_path):
    def make(parameters):
        optimizer = SGD(parameters, lr=0.1)
        config = {"scheduler": ExponentialLR(optimizer, 0.5), "interval": "epoch"}
        return {"optimizer": optimizer, "lr_scheduler": config}

    *_, probe = fit(tmp_path, Net(make))
    assert probe.losses == plain_loop(make=make)[0]


def test_a_schedule_by_step_gives_the_losses_of_the_plain_loop(tmp_path):
    make = by_step(lambda optimizer: OneCycleLR(optimizer, 0.2, total_steps=33))
    *_, probe = fit(tmp_path, Net(make))
    assert probe.losses == plain_loop(make=make)[0]


@pytest.mark.parametrize("frequency", [2, 3, 11])
@pytest.mark.parametrize("size", [0, 4])
def test_a_schedule_of_another_frequency_steps_as_lightning_steps_it(tmp_path, frequency, size):
    make = by_step(lambda optimizer: ExponentialLR(optimizer, 0.9), frequency)
    _, net, _ = fit(tmp_path, Net(make), Data(block_size=size))
    _, plain, _ = fit(tmp_path, Net(make), Data(block_size=1))
    assert same_weights(net, plain)


@pytest.mark.parametrize("monitor", ["train/loss", "val/loss"])
def test_reduce_on_plateau_follows_its_metric_each_epoch(tmp_path, monitor):
    def make(parameters):
        optimizer = SGD(parameters, lr=0.1)
        scheduler = ReduceLROnPlateau(optimizer, patience=0, threshold=1e9, factor=0.5)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": monitor}}

    rates = [learning_rates(tmp_path, make, size, limit_val_batches=1.0, max_epochs=5) for size in (0, 1)]
    assert rates == [0.1 / 2**5] * 2


def test_estimated_stepping_batches_counts_steps(tmp_path):
    trainer, *_ = fit(tmp_path)
    assert trainer.estimated_stepping_batches == 33


@pytest.mark.parametrize("monitor", ["train/loss", "val/loss"])
def test_early_stopping_stops(tmp_path, monitor):
    stop = EarlyStopping(monitor, patience=1, min_delta=10)
    trainer, *_ = fit(tmp_path, callbacks=[stop], max_epochs=20, limit_val_batches=1.0)
    assert trainer.global_step == 22


@pytest.mark.parametrize("block_size", [0, 1])
def test_min_steps_holds_early_stopping_back_to_the_step(tmp_path, block_size):
    stop = EarlyStopping("val/loss", patience=1, min_delta=10)
    options = {"val_check_interval": 2, "limit_val_batches": 1.0, "min_epochs": 0, "num_sanity_val_steps": 0}
    trainer, *_ = fit(tmp_path, data=Data(block_size=block_size), callbacks=[stop], min_steps=7, **options)
    assert trainer.global_step == 7


def logged_rates(tmp_path, block_size):
    logger = CSVLogger(tmp_path, version=block_size)
    net = Net(by_step(lambda optimizer: ExponentialLR(optimizer, 0.9)))
    callbacks = [LearningRateMonitor("step")]
    fit(tmp_path, net, Data(block_size=block_size), logger=logger, callbacks=callbacks, log_every_n_steps=5)
    with (tmp_path / "lightning_logs" / f"version_{block_size}" / "metrics.csv").open() as file:
        return [(row["step"], row["lr-SGD"]) for row in csv.DictReader(file) if row["lr-SGD"]]


def test_learning_rate_monitor_logs_the_rates_and_steps_of_plain_training(tmp_path):
    rates = logged_rates(tmp_path, 0)
    assert len(rates) == 6
    assert rates == logged_rates(tmp_path, 1)
