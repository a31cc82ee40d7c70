"""Fits of the small network in blocks, and the plain loop that they are compared with."""

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import (
    ModelCheckpoint,
    TQDMProgressBar,
)
from small_net import ROWS, Data, Net, Probe, tensors
from torch.optim import SGD, Adam


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
    trainer.fit(net, Data() if data is None else data, ckpt_path=ckpt_path)
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


OPTIMIZERS = {
    "sgd": None,
    "momentum": lambda p: SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "adam": lambda p: Adam(p, lr=0.01),
    "two groups": lambda p: SGD([{"params": p[:2]}, {"params": p[2:], "lr": 0.01}], lr=0.1),
}


def train_loss(trainer):
    return trainer.callback_metrics["train/loss"].item()
