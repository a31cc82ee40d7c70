"""last.ckpt, saved at most once a second: without it, a killed run would lose all of its training."""

import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from lightning.pytorch.utilities import rank_zero_only

from blockstep.base import timed_logger
from blockstep.base.timed_logger import write_logs
from blockstep.blocks.trainer_steps import callbacks_of


def is_complete(trainer: Trainer, batch_idx: int) -> bool:
    """Whether training can be resumed from the state after a batch within an epoch.

    It cannot if gradients are being accumulated, or if a validation runs right after this batch.

    Args:
        trainer: The trainer.
        batch_idx: The batch's number in its epoch; for a block, that of its last batch.
    """
    every = trainer.val_check_batch
    if (batch_idx + 1) % trainer.accumulate_grad_batches:
        return False
    if not trainer.enable_validation or every is None or every == float("inf"):
        return True
    done = trainer.fit_loop.total_batch_idx if trainer.check_val_every_n_epoch is None else batch_idx
    return (done + 1) % int(every) != 0


class LastCheckpoint(Checkpoint):
    """Save the newest state of a run, at most once a second, and at the end.

    An epoch's state is saved when the next one starts: only then have its schedulers been stepped and its metrics been
    logged. If a validation follows a batch, the state is saved after the validation.

    Args:
        path: The checkpoint's file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._end = path.with_name(f".{path.name}.end.part")  # renamed at the end of training
        self._saved_at = time.monotonic()
        self._saved_step = 0
        self._ends_with_an_epoch = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the finished epochs, if the last save was long enough ago."""
        self._save_if_due(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save the finished steps, if the last save was long enough ago or training ends within the epoch."""
        if trainer.is_last_batch or not is_complete(trainer, batch_idx):
            return
        if trainer.global_step == trainer.max_steps:
            trainer.save_checkpoint(self._end, weights_only=False)
        else:
            self._save_if_due(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the finished steps and their validation within an epoch, if the last save was long enough ago."""
        if not (trainer.sanity_checking or trainer.is_last_batch):
            self._save_if_due(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the end once more if another callback or the module has had a part in it: it may have set weights."""
        self.save_end(trainer)
        if self._ends_with_an_epoch and _is_ended_by_others(trainer, pl_module):
            self.save(trainer)

    def save_end(self, trainer: Trainer) -> None:
        """Save the end. A run that ended within an epoch is saved as it was before the end-of-epoch hooks ran."""
        if trainer.strategy.broadcast(self._end.exists()):  # which all processes must see alike
            write_logs(trainer)
            rank_zero_only(self._end.replace)(self.path)
            self._saved_step = trainer.global_step
        elif trainer.global_step > self._saved_step:
            self.save(trainer)
            self._ends_with_an_epoch = True

    def save(self, trainer: Trainer) -> None:
        """Save the current state."""
        write_logs(trainer)  # a resumed run takes back only what was logged after the checkpoint
        trainer.save_checkpoint(self.path, weights_only=False)
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step

    def _save_if_due(self, trainer: Trainer) -> None:
        # Every process takes part in saving, so they must agree.
        due = time.monotonic() - self._saved_at > timed_logger.SECONDS_BETWEEN_WRITES
        if trainer.global_step > self._saved_step and trainer.strategy.broadcast(due):
            self.save(trainer)


class SaveEndFirst(Callback):
    """Save the end of a run before any other callback ends it, since one of the user's own may fail then.

    Put it before all other callbacks. Lightning calls a `Checkpoint` after them.

    Args:
        last: Saves the state.
    """

    def __init__(self, last: LastCheckpoint) -> None:
        self._last = last

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the end."""
        self._last.save_end(trainer)


def _is_ended_by_others(trainer: Trainer, module: LightningModule) -> bool:
    """Whether code that was not written for this package runs at the end, as Lightning's weight averaging does."""
    parts: list[Any] = [own for own in callbacks_of(trainer) if not isinstance(own, Checkpoint | ProgressBar)]
    hooks = [type(part).on_train_end for part in (*parts, module)]
    empty = (Callback.on_train_end, LightningModule.on_train_end)
    return any(hook not in empty and hook.__module__.partition(".")[0] != "blockstep" for hook in hooks)
