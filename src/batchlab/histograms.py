"""Histograms of weights and gradients for TensorBoard, for whoever asks for them."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from batchlab.block_loader import Block
from batchlab.block_training import BlockTraining
from batchlab.checks import at_least
from batchlab.event_files import RunEvents


class WeightHistograms(Callback):
    """Draws how the weights and the last batch's gradients are distributed.

    Off unless asked for by `--trainer.callbacks+=batchlab.histograms.WeightHistograms`: a drawing of the default
    network takes nearly as long as a mini-batch epoch (31 ms beside 40 ms, one thread of an AMD EPYC), and 180 kB of
    the event file.

    Args:
        every_n_epochs: Epochs from one drawing to the next.

    Raises:
        ValueError: If it is smaller than 1.
    """

    def __init__(self, every_n_epochs: int = 1) -> None:
        at_least(1, every_n_epochs=every_n_epochs)
        self.every_n_epochs = every_n_epochs
        self._batch: Any = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Remembers the last batch."""
        self._batch = batch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws, if it is time."""
        loggers = [logger for logger in trainer.loggers if isinstance(logger, RunEvents)]
        if (trainer.current_epoch + 1) % self.every_n_epochs or not loggers or not isinstance(pl_module, BlockTraining):
            return
        names, weights = zip(*pl_module.named_parameters(), strict=True)
        gradients = torch.autograd.grad(pl_module.batch_loss(self._last_batch()), weights)
        for logger in loggers if trainer.is_global_zero else []:
            for name, weight, gradient in zip(names, weights, gradients, strict=True):
                logger.log_histogram(f"weights/{name}", weight.detach())
                logger.log_histogram(f"gradients/{name}", gradient)

    def _last_batch(self) -> Any:
        batch = self._batch
        return next(batch.part(batch.steps - 1, batch.steps).batches()) if isinstance(batch, Block) else batch
