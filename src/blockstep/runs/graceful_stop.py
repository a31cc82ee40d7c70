"""Save and stop at a signal: without it, Ctrl-C and SIGTERM would lose what was trained since the last save."""

import shlex
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from blockstep.base.errors import Interrupted, InterruptedRunError
from blockstep.checkpoints.last_checkpoint import LastCheckpoint, is_complete
from blockstep.runs.stop_signals import STOP_SIGNALS

PATIENCE = 1.0
"""Seconds that a validation may still take after a signal."""


class HandleSignals(Callback):
    """Replace Lightning's signal handlers: at SIGTERM, they save nothing and exit with status 0."""

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Install our handlers again, since Lightning has just installed its own."""
        STOP_SIGNALS.listen()

    on_train_start = on_validation_start = on_test_start = on_predict_start = on_sanity_check_start

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Send the signal to the processes that Lightning has started."""
        launcher = trainer.strategy.launcher
        if isinstance(exception, Interrupted) and launcher is not None:
            launcher.kill(exception.number)


class GracefulStop(Checkpoint):
    """At the first signal, finish the current block, save, and stop. A second signal ends the process at once.

    Before the first block there is nothing to save, and signals end the command at once. It is a
    `Checkpoint` because Lightning calls those after all other callbacks.

    Args:
        last: Saves the state.
        program: Name of the command, for the message that says how to go on.
    """

    def __init__(self, last: LastCheckpoint, program: str) -> None:
        self._last = last
        self._resume = f"To go on: {program} fit --ckpt_path {shlex.quote(str(last.path))}"

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop between two epochs."""
        self._stop_at_signal(trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """From now on, there is something to save before stopping."""
        STOP_SIGNALS.postpone()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop between two blocks of an epoch. After the last block, the end-of-epoch hooks run first."""
        is_last = trainer.is_last_batch or trainer.global_step == trainer.max_steps
        if not is_last and is_complete(trainer, batch_idx):
            self._stop_at_signal(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop after a validation within an epoch."""
        if not (trainer.sanity_checking or trainer.is_last_batch):
            self._stop_at_signal(trainer)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Leave a validation that takes longer than `PATIENCE`.

        Training cannot be resumed within a validation, so nothing is saved: a resumed run takes the steps since the
        last save again, and then validates.
        """
        if not _any_process(trainer, STOP_SIGNALS.seconds_since > PATIENCE):
            return
        kept = "Nothing was saved yet, and nothing is left."
        if self._last.path.exists():
            kept = f"What was saved before it is kept. {self._resume}"
        message = f"in the validation after {trainer.global_step} steps, which was left. {kept}"
        raise InterruptedRunError(message, _signal_of_any_process(trainer))

    def _stop_at_signal(self, trainer: Trainer) -> None:
        # All processes of a run must save together, even if only one has received the signal.
        if not _any_process(trainer, bool(STOP_SIGNALS.received)):
            return
        self._last.save(trainer)
        message = f"after {trainer.global_step} steps, which are saved. {self._resume}"
        raise InterruptedRunError(message, _signal_of_any_process(trainer))


def _any_process(trainer: Trainer, condition: bool) -> bool:
    return trainer.strategy.reduce_boolean_decision(condition, all=False)


def _signal_of_any_process(trainer: Trainer) -> int:
    return int(trainer.strategy.reduce(torch.tensor(STOP_SIGNALS.received), reduce_op="max"))
