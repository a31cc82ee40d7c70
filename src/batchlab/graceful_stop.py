"""GracefulStop: Ctrl-C and SIGTERM end a run between two blocks, with its state saved."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from batchlab.errors import Interrupted, InterruptedRunError
from batchlab.last_checkpoint import LastCheckpoint, is_complete
from batchlab.stop_signals import STOP_SIGNALS

PATIENCE = 1.0
"""Seconds that a validation may still take after a signal; leaving it loses what was trained since the last save."""


class KeepListening(Callback):
    """Takes the signals back from Lightning, whose own end at a SIGTERM saves nothing and has the exit status 0."""

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listens again: Lightning has just taken over."""
        STOP_SIGNALS.listen()

    on_train_start = on_validation_start = on_test_start = on_predict_start = on_sanity_check_start

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Hands a signal on to the processes that Lightning has started."""
        launcher = trainer.strategy.launcher
        if isinstance(exception, Interrupted) and launcher is not None:
            launcher.kill(exception.number)


class GracefulStop(Checkpoint):
    """On the first signal, lets the current block end, saves, and stops; a second one ends the process at once.

    From the first block on; before it there is nothing to save. Lightning calls it, as all that save, after others.

    Args:
        last: Saves the state.
    """

    def __init__(self, last: LastCheckpoint) -> None:
        self._last = last

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops between two epochs."""
        self._stop_if_told(trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """From now on there is something to save first."""
        STOP_SIGNALS.postpone()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stops between two blocks of an epoch; after the last one, what belongs to the end is done first."""
        is_last = trainer.is_last_batch or trainer.global_step == trainer.max_steps
        if not is_last and is_complete(trainer, batch_idx):
            self._stop_if_told(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops after a validation within an epoch."""
        if not (trainer.sanity_checking or trainer.is_last_batch):
            self._stop_if_told(trainer)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Leaves a validation that does not end in a moment.

        Within it there is no state to go on from exactly, so the last one that was saved stays what it is: to go on
        from there trains the last steps once more, and validates them.
        """
        if not _any_process(trainer, STOP_SIGNALS.seconds_ago > PATIENCE):
            return
        kept = "Nothing was saved yet, and nothing is left."
        if self._last.path.exists():
            kept = f"What was saved before it is kept. To go on: batchlab fit --ckpt_path {self._last.path}"
        message = f"in the validation after {trainer.global_step} steps, which was left. {kept}"
        raise InterruptedRunError(message, _number(trainer))

    def _stop_if_told(self, trainer: Trainer) -> None:
        # All processes of a run save together, whichever of them was told.
        if not _any_process(trainer, bool(STOP_SIGNALS.received)):
            return
        self._last.save(trainer)
        message = f"after {trainer.global_step} steps, which are saved. To go on: batchlab fit --ckpt_path "
        raise InterruptedRunError(f"{message}{self._last.path}", _number(trainer))


def _any_process(trainer: Trainer, told: bool) -> bool:
    return trainer.strategy.reduce_boolean_decision(told, all=False)


def _number(trainer: Trainer) -> int:
    return int(trainer.strategy.reduce(torch.tensor(STOP_SIGNALS.received), reduce_op="max"))
