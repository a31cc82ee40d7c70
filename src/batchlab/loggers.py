"""Where a run's numbers go: loggers that write by the clock, and the one that keeps a table.

An epoch can be shorter than writing down that it was. So both are written once a second, before each checkpoint, and at
the end; and a run that goes on from a checkpoint takes back what was logged after it.
"""

import csv
import io
import time
from abc import abstractmethod
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from batchlab.files import write_whole

SECONDS_BETWEEN = 1.0
"""How old what the files say may get."""


class ByTheClock(Logger):
    """A logger whose `save` writes if the last time was long enough ago, and whose `write` writes."""

    _written = 0.0

    def save(self) -> None:
        """Writes what was logged, if it is time; Lightning asks for it after every epoch."""
        if time.monotonic() - self._written > SECONDS_BETWEEN:
            self.write()

    @abstractmethod
    def write(self) -> None:
        """Writes what was logged."""

    def _started_writing(self) -> None:
        self._written = time.monotonic()

    def finalize(self, status: str) -> None:
        """Writes what is left, and closes."""
        self.write()
        super().finalize(status)


class RunTable(ByTheClock):
    """A CSV file with a row for each call of `log_metrics`, and a column for each metric that was ever logged.

    Args:
        path: The file.
        resume_step: Of a file that exists, keeps the rows before this step; None starts a new one.
    """

    def __init__(self, path: Path, resume_step: int | None = None) -> None:
        super().__init__()
        self._path = path
        self._columns = ["step"]
        self._new: list[dict[str, Any]] = []
        self._fresh = True
        if resume_step is not None:
            self._new = [row for row in read_rows(path) if int(row["step"]) < resume_step]

    @property
    def name(self) -> str:
        """The run's name."""
        return self._path.parent.parent.name

    @property
    def version(self) -> str:
        """The run's version."""
        return self._path.parent.name

    @property
    def log_dir(self) -> str:
        """The run's folder."""
        return str(self._path.parent)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Does nothing: config.yaml has them."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Adds a row."""
        self._new.append({"step": step or 0, **{key: float(value) for key, value in metrics.items()}})

    @rank_zero_only
    def write(self) -> None:
        """Appends the new rows; where they bring a column along, writes the file anew."""
        self._started_writing()
        added = sorted({key for row in self._new for key in row} - set(self._columns))
        if added or self._fresh:
            rows = self._new if self._fresh else read_rows(self._path) + self._new
            self._columns += added
            write_whole(self._path, self._text(rows, header=True))
        elif self._new:
            with self._path.open("ab") as file:
                file.write(self._text(self._new, header=False))
        self._fresh, self._new = False, []

    def _text(self, rows: list[dict[str, Any]], header: bool) -> bytes:
        file = io.StringIO(newline="")
        writer = csv.DictWriter(file, self._columns)
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return file.getvalue().encode()


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table, without a last one that was cut short; none if there is no file."""
    if not path.exists():
        return []
    whole, end, _ = path.read_text().rpartition("\n")
    return list(csv.DictReader(io.StringIO(whole + end)))


def write_logs(trainer: Trainer) -> None:
    """Writes what was logged up to now."""
    for logger in trainer.loggers:
        if isinstance(logger, ByTheClock):
            logger.write()
