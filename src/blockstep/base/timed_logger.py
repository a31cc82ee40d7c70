"""Loggers that write at most once a second: without it, writing an epoch's numbers could take longer than the epoch."""

import time
from abc import abstractmethod

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger

SECONDS_BETWEEN_WRITES = 1.0
"""How old logs and the last checkpoint may become on disk. It is also what a kill can cost of a training at most."""


class TimedLogger(Logger):
    """A logger that writes at most once a second, before each checkpoint, and at the end."""

    _written_at = 0.0

    def save(self) -> None:
        """Write what was logged if the last write was long enough ago. Lightning calls this after every epoch."""
        if time.monotonic() - self._written_at > SECONDS_BETWEEN_WRITES:
            self.write()

    @abstractmethod
    def write(self) -> None:
        """Write what was logged. Subclasses call this method first."""
        self._written_at = time.monotonic()

    def finalize(self, status: str) -> None:
        """Write what is left, and close."""
        self.write()
        super().finalize(status)


def write_logs(trainer: Trainer) -> None:
    """Write everything that was logged up to now."""
    for logger in trainer.loggers:
        if isinstance(logger, TimedLogger):
            logger.write()
