"""The printed line and the time of each epoch: without it, the time of the training alone would be unknown."""

import sys
import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from blockstep.base.errors import at_least
from blockstep.base.showing import Showing
from blockstep.blocks.losses import batch_losses
from blockstep.blocks.training import log_to_all

LINES_PER_SECOND = 20
"""The most lines that are printed on a terminal, where nobody could read more."""


class Stopwatch:
    """Seconds that have passed while it was running."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since: float | None = None

    def resume(self) -> None:
        """Start, unless it is running."""
        if self._since is None:
            self._since = time.perf_counter()

    def pause(self) -> None:
        """Stop, if it is running, and add the time to `seconds`."""
        if self._since is not None:
            self.seconds += time.perf_counter() - self._since
            self._since = None


class EpochReport(Showing, Callback):
    """Print a line for each epoch, and log its time.

    The time is that of loading batches and taking steps, without validation, checkpoints, logging and drawing. The
    printed loss is the last batch's, before its update; the epoch's mean is train/loss.

    Args:
        print_every_n_epochs: Epochs from one printed line to the next. By default each epoch is printed, on a terminal
            at most twenty a second; the last one always is.

    Raises:
        ValueError: If a number of epochs is smaller than 1.
    """

    def __init__(self, print_every_n_epochs: int = 1) -> None:
        at_least(1, print_every_n_epochs=print_every_n_epochs)
        self.print_every_n_epochs = print_every_n_epochs
        self._stopwatch = Stopwatch()
        self._last_loss: Tensor | None = None
        self._line: str | None = None  # not printed yet
        self._printed_at = 0.0
        self._has_skipped = False

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the epoch's time."""
        self._stopwatch, self._last_loss = Stopwatch(), None
        self._stopwatch.resume()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Resume the time after a checkpoint."""
        self._stopwatch.resume()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the loss as a tensor, since reading its value would wait for the device."""
        losses = batch_losses(trainer, outputs)
        if losses is not None:
            self._last_loss = losses[-1]

    def pause_time(self) -> None:
        """Leave what a callback does now out of the epoch's time, until the next block."""
        self._stopwatch.pause()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Pause the time."""
        self._stopwatch.pause()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Resume the time after a validation within the epoch."""
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._stopwatch.resume()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Pause the time: a checkpoint is about to be written."""
        self._stopwatch.pause()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the epoch's time and last loss, and print them if they are due."""
        self._stopwatch.pause()
        loss = None if self._last_loss is None else self._last_loss.item()
        epoch, seconds = trainer.current_epoch, self._stopwatch.seconds
        logged = {"time/epoch_sec": seconds} | ({} if loss is None else {"train/last_batch_loss": loss})
        # Straight to the loggers: `self.log` takes a third of a millisecond for each value.
        log_to_all(trainer, logged)
        self._line = f"epoch = {epoch}, time = {seconds: .3f} sec" + ("" if loss is None else f", loss = {loss}")
        if (epoch + 1) % self.print_every_n_epochs == 0 and self._can_be_read(pl_module):
            self._print(pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the last epoch if it was not due. The last state has been saved by now."""
        self._print(pl_module)

    def _print(self, pl_module: LightningModule) -> None:
        if self._line is not None:
            pl_module.print(self._line)
        self._line = None

    def _can_be_read(self, pl_module: LightningModule) -> bool:
        """Whether a line can be printed now: by default, a terminal shows at most `LINES_PER_SECOND`."""
        now = time.monotonic()
        by_default = self.print_every_n_epochs == 1
        if by_default and sys.stdout.isatty() and now - self._printed_at < 1 / LINES_PER_SECOND:
            if not self._has_skipped:
                pl_module.print(
                    f"(a terminal shows at most {LINES_PER_SECOND} epochs a second; metrics.csv has all, and "
                    "epoch_report.print_every_n_epochs chooses others)"
                )
            self._has_skipped = True
            return False
        self._printed_at = now
        return True
