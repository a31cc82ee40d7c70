import csv

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningDataModule, Trainer, seed_everything
from lightning.pytorch.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    GradientAccumulationScheduler,
    LearningRateMonitor,
    ModelCheckpoint,
    StochasticWeightAveraging,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import CSVLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import ExponentialLR, OneCycleLR, ReduceLROnPlateau
from torch.utils.data import DataLoader, TensorDataset

from batchlab import block_loader
from batchlab.block_loader import Block, BlockLoader
from batchlab.block_refusals import refuse_what_needs_single_steps
from batchlab.block_training import BlockTraining, take_steps, take_steps_together
from batchlab.event_files import EventsSeen, RunEvents
from batchlab.loss_curve import LossCurve

pytestmark = pytest.mark.filterwarnings("ignore")
ROWS = 110


class Net(BlockTraining):
    """A small classifier; `make` gives what `configure_optimizers` returns."""

    def __init__(self, make=None, norm=False):
        super().__init__()
        torch.manual_seed(0)
        layers = [torch.nn.Linear(2, 8), *([torch.nn.BatchNorm1d(8)] if norm else []), torch.nn.ReLU()]
        self.net = torch.nn.Sequential(*layers, torch.nn.Linear(8, 1), torch.nn.Sigmoid())
        self.make = make or (lambda parameters: SGD(parameters, lr=0.1))

    def batch_loss(self, batch):
        x, t = batch
        return torch.nn.functional.binary_cross_entropy(self.net(x), t)

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", self.batch_loss(batch))

    def configure_optimizers(self):
        return self.make(list(self.parameters()))


def tensors(rows=ROWS):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(rows, 2, generator=generator)
    return x, (x[:, :1] + torch.randn(rows, 1, generator=generator) > 0).float()


class Data(LightningDataModule):
    def __init__(self, batch_size=10, rows=ROWS, **options):
        super().__init__()
        self.batch_size, self.dataset, self.options = batch_size, TensorDataset(*tensors(rows)), options

    def train_dataloader(self):
        return BlockLoader(self.dataset, self.batch_size, self.trainer, **self.options)

    def val_dataloader(self):
        return DataLoader(self.dataset, batch_size=ROWS)


class Probe(Callback):
    """What a callback sees of the training."""

    def __init__(self):
        self.losses, self.sizes, self.last_steps, self.epochs, self.val_steps, self.means = [], [], [], [], [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        losses = outputs.get("losses", outputs["loss"].view(1))
        self.losses += losses.tolist()
        self.sizes.append(len(losses))
        self.last_steps.append(batch_idx)

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            self.val_steps.append(trainer.global_step)

    def on_train_epoch_end(self, trainer, pl_module):
        self.epochs.append(len(self.losses))


def fit(tmp_path, net=None, data=None, ckpt_path=None, callbacks=(), **options):
    """Train for 3 epochs unless told otherwise; returns trainer, net and what a callback saw."""
    probe, net = Probe(), net or Net()
    defaults = {
        "max_epochs": 3, "logger": False,
        "enable_checkpointing": any(isinstance(c, ModelCheckpoint) for c in callbacks),
        "enable_progress_bar": any(isinstance(c, TQDMProgressBar) for c in callbacks), "enable_model_summary": False,
        "limit_val_batches": 0, "accelerator": "cpu", "devices": 1, "default_root_dir": tmp_path,
    }  # fmt: skip
    trainer = Trainer(**defaults | options, callbacks=[probe, *callbacks])
    trainer.fit(net, data or Data(), ckpt_path=ckpt_path)
    return trainer, net, probe


def plain_loop(batch_size=10, make=None, clip=None, dtype=torch.float32):
    """The bare loop of 3 epochs: losses of all steps, and the weights."""
    net = Net(make).to(dtype)
    optimizer, schedule = net.configure_optimizers(), None
    if isinstance(optimizer, dict):
        optimizer, schedule = optimizer["optimizer"], optimizer["lr_scheduler"]
    x, t = (tensor.to(dtype) for tensor in tensors())
    losses = []
    for start in list(range(0, ROWS, batch_size)) * 3:
        loss = net.batch_loss((x[start : start + batch_size], t[start : start + batch_size]))
        optimizer.zero_grad()
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
        optimizer.step()
        losses.append(loss.item())
        if schedule and (schedule["interval"] == "step" or start + batch_size >= ROWS):
            schedule["scheduler"].step()
    return losses, net


def same_weights(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


OPTIMIZERS = {
    "sgd": None,
    "momentum": lambda p: SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "adam": lambda p: Adam(p, lr=0.01),
    "two groups": lambda p: SGD([{"params": p[:2]}, {"params": p[2:], "lr": 0.01}], lr=0.1),
}


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
    monkeypatch.setattr(block_loader, "SECONDS_PER_BLOCK", 1e-9)
    *_, probe = fit(tmp_path)
    assert set(probe.sizes) == {1}


@pytest.mark.parametrize("seconds", [1e-9, 2e-3, 10])
def test_the_time_bound_changes_no_loss(tmp_path, monkeypatch, seconds):
    monkeypatch.setattr(block_loader, "SECONDS_PER_BLOCK", seconds)
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


def test_an_engine_may_use_its_memory_again(tmp_path):
    runs = tmp_path / "runs"
    for name, again in (("fresh", False), ("again", True)):
        memory = torch.empty(4)

        def engine(module, optimizer, block, again=again, memory=memory):
            losses = take_steps(module, optimizer, block)
            return memory[: block.steps].copy_(losses) if again else losses

        net = Net()
        net.engine = engine
        logger = RunEvents(runs / name / "version_0", EventsSeen())
        curve = [logger.seen, LossCurve(logger)]
        fit(tmp_path, net, Data(block_size=4), callbacks=curve, logger=logger)
    fresh, again = (EventAccumulator(str(runs / name / "version_0")).Reload() for name in ("fresh", "again"))
    points = [[(p.step, p.value) for p in events.Scalars("train/step_loss")] for events in (fresh, again)]
    assert points[0] == points[1]


def test_checkpoints_are_saved_at_their_steps(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=6, save_top_k=-1)
    fit(tmp_path, callbacks=[checkpoint])
    assert {path.name for path in tmp_path.glob("*.ckpt")} == {f"step={step}.ckpt" for step in (6, 12, 18, 24, 30)}


def test_a_checkpoint_has_the_weights_of_its_step(tmp_path):
    fit(tmp_path, callbacks=[ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=6, save_top_k=-1)])
    fit(tmp_path, callbacks=[ModelCheckpoint(tmp_path / "end", "end", every_n_train_steps=6)], max_steps=6)
    one, other = (torch.load(tmp_path / name)["state_dict"] for name in ("step=6.ckpt", "end/end.ckpt"))
    assert all(torch.equal(one[key], other[key]) for key in one)


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


def orders(tmp_path, seed, epochs=3):
    # Without learning the loss of a batch of one row says which row it was.
    net = Net(lambda p: SGD(p, lr=0))
    *_, probe = fit(tmp_path, net, Data(1, shuffle=True, seed=seed), max_epochs=epochs)
    return [probe.losses[epoch * ROWS : (epoch + 1) * ROWS] for epoch in range(epochs)]


def test_shuffling_gives_every_epoch_an_order_of_its_own(tmp_path):
    first, second, _ = orders(tmp_path, 0)
    assert first != second


def test_shuffling_visits_every_row_once_an_epoch(tmp_path):
    first, second, _ = orders(tmp_path, 0)
    assert sorted(first) == sorted(second)


def test_the_order_depends_on_seed_and_epoch_alone(tmp_path):
    seed_everything(1)
    one = orders(tmp_path, 5)
    seed_everything(2)
    assert orders(tmp_path, 5) == one


def test_another_seed_gives_another_order(tmp_path):
    assert orders(tmp_path, 0) != orders(tmp_path, 1)


RESUMABLE = {"lr": lambda p: ([o := SGD(p, lr=0.1, momentum=0.9)], [ExponentialLR(o, 0.5)])}


@pytest.mark.parametrize("block_size", [0, 1, 4])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("step", [3, 11, 15, 22, 25])
def test_a_run_resumed_at_any_step_equals_an_uninterrupted_one(tmp_path, block_size, shuffle, step):
    def run(path, **options):
        return fit(path, Net(RESUMABLE["lr"]), Data(shuffle=shuffle, block_size=block_size), **options)

    every = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=step, save_top_k=-1)
    _, whole, _ = run(tmp_path, callbacks=[every])
    _, resumed, _ = run(tmp_path, ckpt_path=tmp_path / f"step={step}.ckpt")
    assert same_weights(whole, resumed)


def test_a_run_resumed_in_an_epoch_takes_only_the_steps_that_are_left(tmp_path):
    fit(tmp_path, callbacks=[ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=15, save_top_k=-1)])
    *_, probe = fit(tmp_path, ckpt_path=tmp_path / "step=15.ckpt")
    assert probe.losses == plain_loop()[0][15:]


def test_a_run_resumed_at_an_epochs_end_goes_on_with_the_next(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1)
    fit(tmp_path, data=Data(shuffle=True), callbacks=[checkpoint], max_epochs=2)
    *_, probe = fit(tmp_path, data=Data(shuffle=True), ckpt_path=tmp_path / "epoch=1.ckpt")
    *_, whole = fit(tmp_path, data=Data(shuffle=True))
    assert probe.losses == whole.losses[22:]


def train_loss(trainer):
    return trainer.callback_metrics["train/loss"].item()


def test_the_mean_loss_survives_a_resume_in_an_epoch(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=25, save_top_k=-1)
    whole, *_ = fit(tmp_path, callbacks=[checkpoint])
    resumed, *_ = fit(tmp_path, ckpt_path=tmp_path / "step=25.ckpt")
    assert train_loss(resumed) == train_loss(whole)


@pytest.mark.parametrize("block_size", [2, 3, 5])
def test_the_mean_loss_does_not_depend_on_the_cuts(tmp_path, block_size):
    one, *_ = fit(tmp_path, data=Data(7, block_size=block_size))
    other, *_ = fit(tmp_path, data=Data(7, block_size=16))
    assert train_loss(one) == train_loss(other)


@pytest.mark.parametrize("block_size", [0, 1])
def test_the_mean_loss_is_the_mean_over_events(tmp_path, block_size):
    trainer, *_ = fit(tmp_path, data=Data(7, block_size=block_size), max_epochs=1)
    losses = plain_loop(7)[0][:16]
    assert train_loss(trainer) == pytest.approx((sum(losses[:-1]) * 7 + losses[-1] * 5) / ROWS)


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


def test_the_mean_loss_is_logged_at_the_last_step_of_each_epoch(tmp_path):
    logger = CSVLogger(tmp_path)
    fit(tmp_path, logger=logger)
    rows = (tmp_path / "lightning_logs" / "version_0" / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[1] for row in rows[1:]] == ["10", "21", "32"]


def test_stochastic_weight_averaging_averages_as_in_plain_training(tmp_path):
    nets = [
        fit(tmp_path, data=Data(block_size=k), callbacks=[StochasticWeightAveraging(0.05, 2)], max_epochs=5)[1]
        for k in (0, 1)
    ]
    assert same_weights(*nets)


@pytest.mark.parametrize("make", [None, OPTIMIZERS["adam"]])
def test_gradient_clipping_equals_the_plain_loop(tmp_path, make):
    *_, probe = fit(tmp_path, Net(make), gradient_clip_val=0.05)
    assert probe.losses == plain_loop(make=make, clip=0.05)[0]


@pytest.mark.parametrize("make", [None, OPTIMIZERS["adam"]])
def test_bfloat16_mixed_precision_equals_plain_training(tmp_path, make):
    losses = [fit(tmp_path, Net(make), Data(block_size=k), precision="bf16-mixed")[2].losses for k in (0, 1)]
    assert losses[0] == losses[1]


def test_mixed_precision_that_scales_losses_is_refused():
    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.precision_plugin.precision = "16-mixed"  # which wants an accelerator of its own to be set up
    net = Net()
    net.trainer = trainer
    with pytest.raises(MisconfigurationException, match="precision='16-mixed'"):
        refuse_what_needs_single_steps(net)


def test_double_precision_equals_the_plain_loop(tmp_path):
    *_, probe = fit(tmp_path, precision="64-true")
    assert probe.losses == plain_loop(dtype=torch.float64)[0]


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        ({"accumulate_grad_batches": 2}, "accumulate_grad_batches=2"),
        ({"callbacks": [GradientAccumulationScheduler({0: 3})]}, "accumulate_grad_batches=3"),
        ({"net": Net(torch.optim.LBFGS)}, "torch.optim.LBFGS"),
        ({"callbacks": [EMAWeightAveraging()]}, "the callback EMAWeightAveraging"),
        ({"net": Net(norm=True), "callbacks": [StochasticWeightAveraging(0.1)]}, "batch norm"),
    ],
)
def test_what_needs_single_steps_is_refused_with_what_to_do(tmp_path, options, setting):
    with pytest.raises(MisconfigurationException, match=f"{setting}.*: switch it off, or set data.block_size to 1"):
        fit(tmp_path, **options)


@pytest.mark.parametrize(
    "options",
    [{"accumulate_grad_batches": 2}, {"net": Net(torch.optim.LBFGS)}],
)
def test_block_size_one_trains_where_blocks_are_refused(tmp_path, options):
    trainer, *_ = fit(tmp_path, data=Data(block_size=1), **options)
    assert trainer.global_step > 0


@pytest.mark.parametrize("block_size", [0, 1])
def test_the_hooks_around_a_single_step_run_without_blocks_only(tmp_path, block_size):
    seen = []

    class Hooks(Callback):
        def on_before_zero_grad(self, *args):
            seen.append("zero_grad")

        def on_after_backward(self, *args):
            seen.append("backward")

        def on_before_optimizer_step(self, *args):
            seen.append("step")

    fit(tmp_path, data=Data(block_size=block_size), callbacks=[Hooks()], max_epochs=1)
    assert seen == (["zero_grad", "backward", "step"] * 11 if block_size == 1 else [])


def test_the_progress_bar_counts_steps(tmp_path):
    seen = []

    class Bar(TQDMProgressBar):
        def on_train_epoch_end(self, trainer, pl_module):
            seen.append((self.train_progress_bar.n, self.train_progress_bar.total))

    fit(tmp_path, callbacks=[Bar()])
    assert seen == [(11, 11)] * 3


def test_batch_hooks_get_the_number_of_the_blocks_last_step(tmp_path):
    *_, probe = fit(tmp_path, data=Data(block_size=4), max_epochs=1)
    assert probe.last_steps == [3, 7, 10]


@pytest.mark.parametrize("block_size", [1, 4])
def test_the_trainer_knows_the_last_batch_of_an_epoch(tmp_path, block_size):
    known = []

    class Listener(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if trainer.is_last_batch:
                known.append(batch_idx)

    fit(tmp_path, data=Data(block_size=block_size), callbacks=[Listener()])
    assert known == [10, 10, 10]


def test_a_loader_that_was_resumed_has_the_next_epoch_whole():
    loader = BlockLoader(TensorDataset(*tensors()), 10, Trainer(logger=False, enable_checkpointing=False))
    loader.load_state_dict({"epoch": 0, "position": 8})
    assert [sum(block.steps for block in loader) for _ in range(2)] == [3, 11]


@pytest.mark.parametrize("size", [4, 11])
def test_the_fast_way_of_plain_sgd_equals_the_general_way(tmp_path, size):
    fast, general = Net(), Net(lambda p: SGD([{"params": p[:1]}, {"params": p[1:]}], lr=0.1))
    for net in (fast, general):
        fit(tmp_path, net, Data(block_size=size))
    assert same_weights(fast, general)


def test_an_engine_of_ones_own_takes_the_steps(tmp_path):
    net, taken = Net(), []

    def engine(module, optimizer, block):
        taken.append(block.steps)
        return take_steps(module, optimizer, block)

    net.engine = engine
    fit(tmp_path, net)
    assert sum(taken) == 33


def test_a_weight_that_the_loss_does_not_use_stays_as_it_is(tmp_path):
    net = Net()
    net.unused = torch.nn.Parameter(torch.ones(3))
    fit(tmp_path, net)
    assert torch.equal(net.unused, torch.ones(3))


@pytest.mark.parametrize(("rule", "options"), [("batch_size", {"batch_size": 0}), ("block_size", {"block_size": -1})])
def test_a_number_out_of_range_is_refused_by_its_name(tmp_path, rule, options):
    with pytest.raises(ValueError, match=f"{rule} must be"):
        fit(tmp_path, data=Data(**options))


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 7, 10])
@pytest.mark.parametrize("clip", [None, 0.05])
def test_two_devices_reach_the_weights_of_one(tmp_path, batch_size, clip):
    net, options = Net(OPTIMIZERS["momentum"]), {"devices": 2, "strategy": "ddp_fork", "gradient_clip_val": clip}
    fit(tmp_path, net, Data(batch_size, shuffle=False), **options)
    one = plain_loop(batch_size, OPTIMIZERS["momentum"], clip=clip)[1]
    # Summed on two devices, gradients are rounded otherwise; how far that leads depends on the processor.
    two, one, start = (torch.nn.utils.parameters_to_vector(n.parameters()) for n in (net, one, Net()))
    assert (two - one).norm() < 0.01 * (one - start).norm()


@pytest.mark.slow
def test_two_devices_log_the_mean_loss_of_one(tmp_path):
    two, *_ = fit(tmp_path, devices=2, strategy="ddp_fork")
    one, *_ = fit(tmp_path)
    assert train_loss(two) == pytest.approx(train_loss(one), rel=1e-3)


def test_steps_taken_together_by_one_device_equal_the_plain_loop(tmp_path):
    net = Net()
    net.engine = take_steps_together
    *_, probe = fit(tmp_path, net, Data(7), gradient_clip_val=0.05)
    assert probe.losses == pytest.approx(plain_loop(7, clip=0.05)[0], rel=1e-3)


def test_a_block_goes_to_another_device_whole_and_is_itself_on_its_own():
    block = Block(tensors(), 10)
    assert block.to(torch.device("cpu")) is block
    moved = block.to(torch.device("meta"))
    assert [tensor.device.type for tensor in moved.tensors] == ["meta", "meta"]
    assert moved.batch_size == 10


def test_a_module_without_a_loss_says_what_to_define():
    with pytest.raises(NotImplementedError, match="BlockTraining must define batch_loss"):
        BlockTraining().batch_loss(())
