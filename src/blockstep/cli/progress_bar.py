"""A progress bar drawn at most ten times a second: without it, drawing the bar could take longer than an epoch."""

import sys
import time
from collections.abc import Iterable
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from torch import Tensor

SECONDS_PER_FRAME = 0.1


class TimedTqdm(Tqdm):
    """A bar that is drawn at most ten times a second, and when it is closed."""

    _drawn_at = 0.0

    def refresh(self, *args: Any, **kwargs: Any) -> Any:
        """Draw the bar, if it was last drawn long enough ago."""
        if not self.is_due():
            return False
        self._drawn_at = time.monotonic()
        return super().refresh(*args, **kwargs)

    def is_due(self) -> bool:
        """Whether the bar is shown, and was last drawn long enough ago."""
        return not self.disable and time.monotonic() - self._drawn_at >= SECONDS_PER_FRAME

    def close(self) -> None:
        """Draw the bar a last time, and leave it."""
        self._drawn_at = 0.0
        if not self.disable:
            self.refresh()
        super().close()


class TimedProgressBar(TQDMProgressBar):
    """Lightning's progress bar, drawn at most ten times a second. It shows the loss and the metric that is watched.

    Args:
        watched: Metrics, of which the first that is logged is shown.
    """

    def __init__(self, watched: Iterable[str] = ()) -> None:
        super().__init__()
        self._watched = tuple(watched)
        self._loss: Tensor | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch, and show its loss if the bar is due: to read a loss may wait for the device."""
        if outputs and "loss" in outputs:  # not so after manual optimization, or a skipped batch
            self._loss = outputs["loss"]
        bar: Any = self.train_progress_bar
        if bar.is_due():
            bar.set_postfix(self.get_metrics(trainer, pl_module), refresh=False)
        bar.n = batch_idx + 1
        bar.refresh()

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Return what is shown: the loss, what the model logs for the bar, and the metric that is watched."""
        logged = trainer.callback_metrics
        loss = {} if self._loss is None else {"loss": self._loss.item()}
        watched = next(({tag: float(logged[tag])} for tag in self._watched if tag in logged), {})
        return {**loss, **trainer.progress_bar_metrics, **watched}

    def init_train_tqdm(self) -> Tqdm:
        """Make the bar of an epoch's training."""
        return TimedTqdm(
            desc=self.train_description,
            position=2 * self.process_position,
            disable=self.is_disabled,
            leave=True,
            dynamic_ncols=True,
            file=sys.stdout,
            smoothing=0,
            bar_format=self.BAR_FORMAT,
        )
