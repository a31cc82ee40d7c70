"""GracefulStop: Ctrl-C and SIGTERM end a run between two blocks, with its state saved."""

import os
import signal
import threading
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from batchlab.errors import InterruptedRunError
from batchlab.last_checkpoint import LastCheckpoint

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class GracefulStop(Callback):
    """On the first signal, lets the current block end, saves, and stops; a second one ends the process at once.

    Args:
        last: Saves the state.
    """

    def __init__(self, last: LastCheckpoint) -> None:
        self._last = last
        self._received = 0
        self._before: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listens."""
        if threading.current_thread() is threading.main_thread():  # nobody else may
            self._before = {number: signal.signal(number, self._receive) for number in SIGNALS}

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops between two epochs."""
        self._stop_if_told(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stops between two blocks of an epoch; after its last, what belongs to the epoch is done first."""
        if not trainer.is_last_batch:
            self._stop_if_told(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listens no more."""
        self._listen_no_more()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Listens no more."""
        self._listen_no_more()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._received:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._received = number

    def _stop_if_told(self, trainer: Trainer) -> None:
        # All processes of a run save together, whichever of them was told.
        if not trainer.strategy.reduce_boolean_decision(bool(self._received), all=False):
            return
        self._last.save(trainer)
        received = self._received or signal.SIGTERM
        raise InterruptedRunError(
            f"{signal.Signals(received).name} after {trainer.global_step} steps, which are saved. "
            f"To go on: batchlab fit --ckpt_path {self._last.path}",
            received,
        )

    def _listen_no_more(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
