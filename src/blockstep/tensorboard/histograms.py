"""Histograms of weights and gradients, on request: without them, vanishing gradients would be hard to see.

This is an extra: see CONTRIBUTING.md for how to delete it.
"""

from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.tensorboard.summary import histogram

from blockstep.base.errors import at_least
from blockstep.base.showing import Showing
from blockstep.blocks.block import Block
from blockstep.blocks.training import BlockTraining
from blockstep.tensorboard.charts import AXIS
from blockstep.tensorboard.event_files import RunEvents

DESCRIPTIONS = {
    "weights": f"How a layer's weights are distributed. {AXIS}",
    "gradients": f"How the gradients of the last batch before this point are distributed. {AXIS}",
}


class WeightHistograms(Showing, Callback):
    """Draw histograms of the weights and of the last batch's gradients.

    They are drawn if asked for by `--trainer.callbacks+=blockstep.tensorboard.histograms.WeightHistograms`, since they
    take 31 ms for a network of 17,000 weights (one thread of an AMD EPYC), and 180 kB of the event file.

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
        """Keep the last batch."""
        self._batch = batch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw, if it is due."""
        loggers = [logger for logger in trainer.loggers if isinstance(logger, RunEvents)]
        if (trainer.current_epoch + 1) % self.every_n_epochs or not loggers or not isinstance(pl_module, BlockTraining):
            return
        names, weights = zip(*pl_module.named_parameters(), strict=True)
        gradients = torch.autograd.grad(pl_module.batch_loss(self._last_batch()), weights)
        for logger in loggers if trainer.is_global_zero else []:
            for name, weight, gradient in zip(names, weights, gradients, strict=True):
                _draw(logger, f"weights/{name}", weight.detach())
                _draw(logger, f"gradients/{name}", gradient)

    def _last_batch(self) -> Any:
        batch = self._batch
        return next(batch.part(batch.steps - 1, batch.steps).batches()) if isinstance(batch, Block) else batch


def _draw(logger: RunEvents, tag: str, values: Tensor) -> None:
    if torch.isfinite(values).all():
        logger.descriptions |= DESCRIPTIONS
        bins = np.array(logger.experiment.default_bins)
        within = np.clip(values.float().numpy(force=True), bins[0], bins[-1])  # torch raises if no value is
        logger.log_summary(histogram(tag, within, bins))
