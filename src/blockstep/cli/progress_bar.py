"""A progress bar drawn at most ten times a second: without it, drawing the bar could take longer than an epoch."""

import sys
import time
from typing import Any

from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm

SECONDS_PER_FRAME = 0.1


class TimedTqdm(Tqdm):
    """A bar that is drawn at most ten times a second, and when it is closed."""

    _drawn_at = 0.0

    def refresh(self, *args: Any, **kwargs: Any) -> Any:
        """Draw the bar, if it was last drawn long enough ago."""
        now = time.monotonic()
        if now - self._drawn_at < SECONDS_PER_FRAME:
            return False
        self._drawn_at = now
        return super().refresh(*args, **kwargs)

    def close(self) -> None:
        """Draw the bar a last time, and leave it."""
        self._drawn_at = 0.0
        if not self.disable:
            self.refresh()
        super().close()


class TimedProgressBar(TQDMProgressBar):
    """Lightning's progress bar, drawn at most ten times a second."""

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
