import os
import re
import sys
import time
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from small_net import Data, Net
from systems import needs_terminal
from torch.optim import SGD
from torch.utils.data import DataLoader, TensorDataset

from blockstep.runs.csv_logger import read_rows
from blockstep.runs.epoch_report import EpochReport, Stopwatch


def fit(report, folder, callbacks=(), net=None, data=None, **settings):
    """Trains a small network; returns the rows that were logged."""
    defaults = {
        "accelerator": "cpu", "callbacks": [report, *callbacks], "logger": CSVLogger(folder), "log_every_n_steps": 1,
        "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    }  # fmt: skip
    trainer = Trainer(**defaults | settings)
    trainer.fit(net or Net(), data or Data())
    return [row for path in folder.rglob("metrics.csv") for row in read_rows(path) if row.get("time/epoch_sec")]


class Slow(Callback):
    """Takes its time outside of training."""

    def on_validation_epoch_start(self, trainer, pl_module):
        time.sleep(1)


def printed(capsys):
    return re.findall(r"^epoch = (\d+), time = +[\d.]+ sec, loss = (.+)$", capsys.readouterr().out, re.MULTILINE)


def test_each_epoch_prints_a_line(tmp_path, capsys):
    fit(EpochReport(), tmp_path, max_epochs=3)
    assert [epoch for epoch, _ in printed(capsys)] == ["0", "1", "2"]


def test_the_printed_loss_is_the_last_batchs_and_is_logged_too(tmp_path, capsys):
    (row,) = fit(EpochReport(), tmp_path, max_epochs=1)
    ((_, loss),) = printed(capsys)
    assert float(row["train/last_batch_loss"]) == float(loss)


def test_lines_can_be_fewer_and_the_last_is_always_printed(tmp_path, capsys):
    fit(EpochReport(print_every_n_epochs=2), tmp_path, max_epochs=5)
    assert [epoch for epoch, _ in printed(capsys)] == ["1", "3", "4"]


@needs_terminal
def test_a_terminal_shows_at_most_twenty_epochs_a_second_and_the_last(tmp_path):
    import pty

    shown = bytearray()

    def keep(descriptor):
        shown.extend(data := os.read(descriptor, 10_000))
        return data

    words = ["fit", "--trainer.max_epochs=200", "--trainer.enable_progress_bar=false", "--data.batch_size=1100"]
    began = time.monotonic()
    assert pty.spawn([sys.executable, "-m", "example", *words], keep) == 0
    lines = re.findall(r"^epoch = (\d+)", shown.decode(), re.MULTILINE)
    assert 2 <= len(lines) <= min(20 * (time.monotonic() - began) + 2, 199)
    assert lines[-1] == "199"
    assert shown.count(b"at most 20 epochs a second; metrics.csv has all") == 1
    assert len(read_rows(Path("runs/run/version_0/metrics.csv"))) >= 200


@pytest.mark.parametrize("settings", [{}, {"val_check_interval": 3}], ids=str)
def test_validation_is_not_part_of_the_time(settings, tmp_path):
    (row,) = fit(EpochReport(), tmp_path, [Slow()], max_epochs=1, **settings)
    assert float(row["time/epoch_sec"]) < 1


class Skipping(LightningModule):
    """Has no loss: its training step returns none, or takes its step itself."""

    def __init__(self, automatic):
        super().__init__()
        self.automatic_optimization = automatic
        self.line = torch.nn.Linear(2, 1)

    def training_step(self, batch, batch_idx):
        return None

    def configure_optimizers(self):
        return SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore:.*training_step. returned .None")
@pytest.mark.parametrize("automatic", [True, False])
def test_an_epoch_without_a_loss_is_printed_without_one(automatic, tmp_path, capsys):
    loader = DataLoader(TensorDataset(torch.zeros(4, 2)), batch_size=2)
    (row,) = fit(EpochReport(), tmp_path, net=Skipping(automatic), data=loader, max_epochs=1)
    assert "train/last_batch_loss" not in row
    assert re.fullmatch(r"epoch = 0, time = +[\d.]+ sec", capsys.readouterr().out.splitlines()[-1])


def test_a_stopwatch_counts_only_while_it_runs():
    stopwatch, start = Stopwatch(), time.perf_counter()
    for _ in range(2):
        stopwatch.resume()
        stopwatch.resume()
        time.sleep(0.01)
        stopwatch.pause()
        stopwatch.pause()
        time.sleep(0.05)
    assert 2 * 0.01 <= stopwatch.seconds <= time.perf_counter() - start - 2 * 0.05


def test_reporting_every_zeroth_epoch_is_refused():
    with pytest.raises(ValueError, match=r"print_every_n_epochs must be at least 1\. Got 0 instead\."):
        EpochReport(print_every_n_epochs=0)
