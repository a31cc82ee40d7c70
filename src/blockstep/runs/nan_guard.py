"""Stop on NaN or infinity and say where: without it, a diverged run would train on and overwrite its checkpoints."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from blockstep.base.errors import RunError
from blockstep.blocks.losses import batch_losses


class NanGuard(Callback):
    """Stop a run at the end of a block after which a loss or a weight is NaN or infinite.

    The message names the first step with such a loss; if all losses of the block are finite, its last step, after which
    weights are not. The state after the block is not saved.
    """

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Check the block's losses and the weights.

        Raises:
            RunError: If one is NaN or infinite.
        """
        losses = batch_losses(trainer, outputs)
        if losses is None:
            return
        trained = (p for o in trainer.optimizers for group in o.param_groups for p in group["params"])
        if _all_finite([losses, *trained]):
            return
        wrong = torch.nonzero(~torch.isfinite(losses)).flatten().tolist()
        first = wrong[0] if wrong else len(losses) - 1
        later = len(losses) - 1 - first  # steps of the block after it
        where = f"epoch {trainer.current_epoch}, batch {batch_idx - later}, step {trainer.global_step - later}"
        raise RunError(
            f"{where}: the loss is {losses[first].item()}, {_describe_weights(pl_module)}. Nothing after the last good "
            "checkpoint is kept. A smaller learning rate or trainer.gradient_clip_val often helps; on_nan=ignore "
            "trains on."
        )


def _all_finite(tensors: Sequence[Tensor]) -> bool:
    # If the sum is finite, so are its terms. If not, it may have overflowed, so each term is checked.
    total = torch.cat([tensor.detach().flatten() for tensor in tensors]).sum()
    return math.isfinite(total) or all(torch.isfinite(tensor).all() for tensor in tensors)


def _describe_weights(module: LightningModule) -> str:
    bad = [name for name, p in module.named_parameters() if not torch.isfinite(p).all()]
    return f"{bad[0]} and {len(bad) - 1} other parameters are not finite" if bad else "all weights are finite"
