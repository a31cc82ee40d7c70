"""LastCheckpoint: the state to go on from, as new as it has to be and no newer."""

import time
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from batchlab.loggers import write_logs

SECONDS_BETWEEN = 1.0
"""What is lost at most when a run is killed; an epoch may take a thousandth of it, and saving takes as long as one."""


class LastCheckpoint(Checkpoint):
    """Keeps the newest state of a run in one file: once a second, and at the end.

    An epoch's state is saved as the next one starts, since only then is everything of it done: its schedulers have
    been stepped, and its metrics are logged.

    Args:
        path: The checkpoint's file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
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
        if trainer.is_last_batch:
            return
        if trainer.global_step == trainer.max_steps:
            self.save(trainer)
        self._save_if_due(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the end."""
        if trainer.global_step > self._saved_step:
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
