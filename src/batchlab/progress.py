"""A progress bar that is drawn by the clock: an epoch can be shorter than drawing it."""

import sys
import time
from typing import Any

from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm

SECONDS_PER_FRAME = 0.1


class TimedTqdm(Tqdm):
    """A bar that is drawn at most ten times a second, and as it stands when it is closed."""

    _drawn = 0.0

    def refresh(self, *args: Any, **kwargs: Any) -> Any:
        """Draws the bar, if the last time was long enough ago."""
        now = time.monotonic()
        if now - self._drawn < SECONDS_PER_FRAME:
            return False
        self._drawn = now
        return super().refresh(*args, **kwargs)

    def close(self) -> None:
        """Draws the bar once more, and leaves it."""
        self._drawn = 0.0
        if not self.disable:
            self.refresh()
        super().close()


class TimedProgressBar(TQDMProgressBar):
    """Lightning's progress bar, counting steps, drawn by the clock."""

    def init_train_tqdm(self) -> Tqdm:
        """The bar of an epoch's training."""
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
