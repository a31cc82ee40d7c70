"""LastCheckpoint: the state to go on from, as new as it has to be and no newer."""

import time
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities import rank_zero_only

from batchlab.loggers import write_logs

SECONDS_BETWEEN = 1.0
"""What is lost at most when a run is killed; an epoch may take a thousandth of it, and saving takes as long as one."""


def is_complete(trainer: Trainer, batch_idx: int) -> bool:
    """Whether the state after a batch within an epoch is one to go on from: gradients and validations are not kept.

    Args:
        trainer: Says how often gradients are accumulated, and when a validation is due.
        batch_idx: The batch's number in its epoch, of a block its last.
    """
    every = trainer.val_check_batch
    if (batch_idx + 1) % trainer.accumulate_grad_batches:
        return False
    if not trainer.enable_validation or every is None or every == float("inf"):
        return True
    done = trainer.fit_loop.total_batch_idx if trainer.check_val_every_n_epoch is None else batch_idx
    return (done + 1) % int(every) != 0


class LastCheckpoint(Checkpoint):
    """Keeps the newest state of a run in one file: once a second, and at the end.

    An epoch's state is saved as the next one starts, since only then is everything of it done: its schedulers have
    been stepped, and its metrics are logged. Where a validation follows a batch, the state is saved after that.

    Args:
        path: The checkpoint's file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._end = path.with_name(f".{path.name}.end.part")  # not the last one before all that belongs to it is done
        self._saved_at = time.monotonic()
        self._saved_step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the epochs that are done, if the last time was long enough ago."""
        self._save_if_due(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves the steps that are done, if the last time was long enough ago, or training ends within the epoch."""
        if trainer.is_last_batch or not is_complete(trainer, batch_idx):
            return
        if trainer.global_step == trainer.max_steps:
            trainer.save_checkpoint(self._end, weights_only=False)
        else:
            self._save_if_due(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the steps and the validation within an epoch that are done, if the last time was long enough ago."""
        if not (trainer.sanity_checking or trainer.is_last_batch):
            self._save_if_due(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the end; of a run that ended within an epoch, as it was before the epoch was wound up."""
        if self._end.exists():
            write_logs(trainer)
            rank_zero_only(self._end.replace)(self.path)
        elif trainer.global_step > self._saved_step:
            self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Saves the state as it is now."""
        write_logs(trainer)  # what comes before the checkpoint must not be lost with what comes after it
        trainer.save_checkpoint(self.path, weights_only=False)
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step

    def _save_if_due(self, trainer: Trainer) -> None:
        # Every process takes part in saving, so they must agree that it is time.
        due = time.monotonic() - self._saved_at > SECONDS_BETWEEN
        if trainer.global_step > self._saved_step and trainer.strategy.broadcast(due):
            self.save(trainer)
