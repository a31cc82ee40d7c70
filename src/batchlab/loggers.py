"""Lightning's loggers, writing by the clock: an epoch can be shorter than writing down that it was."""

import time

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

SECONDS_BETWEEN = 1.0
"""How old what the files say may get. They are written before a checkpoint in any case, and at the end."""


class ByTheClock(Logger):
    """A logger whose `save` writes if the last time was long enough ago, and whose `write` writes."""

    _written = 0.0

    def save(self) -> None:
        """Writes what was logged, if it is time; Lightning asks for it after every epoch."""
        if time.monotonic() - self._written > SECONDS_BETWEEN:
            self.write()

    def write(self) -> None:
        """Writes what was logged."""
        self._written = time.monotonic()
        super().save()

    def finalize(self, status: str) -> None:
        """Writes what is left, and closes."""
        self._written = 0.0
        super().finalize(status)


class RunEvents(ByTheClock, TensorBoardLogger):
    """Lightning's TensorBoardLogger, by the clock."""


class RunTable(ByTheClock, CSVLogger):
    """Lightning's CSVLogger, by the clock."""


def write_logs(trainer: Trainer) -> None:
    """Writes what was logged up to now."""
    for logger in trainer.loggers:
        if isinstance(logger, ByTheClock):
            logger.write()
