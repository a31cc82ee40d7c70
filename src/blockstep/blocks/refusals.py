"""What training in blocks refuses: without this module, these settings would silently give wrong results."""

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    LearningRateFinder,
    StochasticWeightAveraging,
    ThroughputMonitor,
    WeightAveraging,
)
from torch.nn.modules.batchnorm import _BatchNorm

from blockstep.blocks.trainer_steps import callbacks_of

# They count calls of their batch hooks as steps, or read the weights in each.
CALLBACKS_BY_STEP = (BatchSizeFinder, LearningRateFinder, ThroughputMonitor, WeightAveraging)


def refuse_what_needs_single_steps(module: LightningModule) -> None:
    """Raise if the Trainer has a setting that would silently give wrong results in blocks.

    Raises:
        MisconfigurationException: With the setting, and what to switch off.
    """
    trainer = module.trainer
    by_step = [type(callback).__name__ for callback in callbacks_of(trainer) if isinstance(callback, CALLBACKS_BY_STEP)]
    swa = any(isinstance(callback, StochasticWeightAveraging) for callback in callbacks_of(trainer))
    averaged_norm = swa and any(isinstance(layer, _BatchNorm) for layer in module.modules())
    # It scales each step's loss and skips steps that overflow, in Lightning's optimizer step.
    scaled = trainer.precision == "16-mixed"
    refusals = {
        f"accumulate_grad_batches={trainer.accumulate_grad_batches}": trainer.accumulate_grad_batches != 1,
        f"precision={trainer.precision!r}": scaled,
        "torch.optim.LBFGS": any(isinstance(optimizer, torch.optim.LBFGS) for optimizer in trainer.optimizers),
        f"the callback {', '.join(by_step)}": bool(by_step),
        "StochasticWeightAveraging of a module with batch norm": averaged_norm,
    }
    for setting, refused in refusals.items():
        if refused:
            raise MisconfigurationException(
                f"Training in blocks does not support {setting}: switch it off, or set data.block_size to 1."
            )
