"""The losses that callbacks' batch hooks are given: without it, each callback would have to know their three forms."""

from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor


def batch_losses(trainer: Trainer, outputs: Any) -> Tensor | None:
    """Return the losses of a block's batches, shape (K,), or of a single batch, shape (1,), each before its update.

    Args:
        trainer: The trainer that calls the hook.
        outputs: What `on_train_batch_end` is given.

    Returns:
        None after manual optimization, and if the batch was skipped.
    """
    if not outputs or "loss" not in outputs:
        return None
    if "losses" in outputs:
        return torch.as_tensor(outputs["losses"])
    # Lightning has divided a loss whose gradients are accumulated, which a block's never are.
    return torch.as_tensor(outputs["loss"]).view(1) * trainer.accumulate_grad_batches
