"""The loss before the first step: without it, the curve of mean losses would start flat, as if nothing was learned."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from blockstep.base.showing import Showing
from blockstep.blocks.losses import batch_losses
from blockstep.tensorboard.event_files import RunEvents


class FirstLoss(Showing, Callback):
    """Let the curve of train/loss start with the loss of the first batch, before its update.

    Args:
        logger: Draws the curve.
    """

    def __init__(self, logger: RunEvents) -> None:
        self._at_start = logger.at_start

    def state_dict(self) -> dict[str, Any]:
        """Return the loss, for a run that is resumed in its first epoch, after which the curve is drawn."""
        return dict(self._at_start)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the loss."""
        self._at_start.update(state_dict)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the loss of the first batch."""
        if self._at_start:
            return
        losses = batch_losses(trainer, outputs)
        if losses is not None:
            self._at_start["train/loss"] = float(losses[0])
