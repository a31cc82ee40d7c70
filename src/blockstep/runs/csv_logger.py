"""metrics.csv: without it, a run's numbers could only be read with TensorBoard."""

import csv
import io
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import rank_zero_only

from blockstep.base.atomic_files import write_atomically
from blockstep.base.errors import BadInputError
from blockstep.base.timed_logger import TimedLogger


class MetricsTable(TimedLogger, CSVLogger):
    """Lightning's CSVLogger, written at most once a second, and without what was logged after a resumed checkpoint.

    The table has a row for each step at which something was logged, by default one an epoch, and a column for each
    metric that was ever logged. More values of the step that was logged last are added to its row, which may have been
    written already.

    Args:
        folder: The run's: runs/NAME/version_N.
        resume_step: Of a table that exists, keep the rows before this step; None starts a new one.
    """

    def __init__(self, folder: Path, resume_step: int | None = None) -> None:
        super().__init__(folder.parent.parent, folder.parent.name, folder.name)
        self._path = folder / "metrics.csv"
        self._columns = ["step"]
        self._rows: list[dict[str, Any]] = []  # the last one that was written, since values may be added, and new ones
        self._end_of_others = 0  # where the first of them begins in the file, in bytes
        self._has_changed = self._starts_file = True
        self._has_logged = False
        if resume_step is not None:
            self._rows = [row for row in read_rows(self._path) if int(row["step"]) < resume_step]

    @property
    def experiment(self) -> None:
        """None: Lightning's writer would delete the table of a resumed run, which a kill would then have lost."""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace | None = None) -> None:
        """Do nothing: config.yaml has the hyperparameters."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Add a row or, for the same step as the last one, values to that row."""
        row = {"step": step or 0, **{key: float(value) for key, value in metrics.items()}}
        self._has_changed = self._has_logged = True
        if self._rows and int(self._rows[-1]["step"]) == row["step"]:
            self._rows[-1] |= row
        else:
            self._rows.append(row)

    @rank_zero_only
    def write(self) -> None:
        """Write the rows that are new or have changed. If they have new columns, write the file anew."""
        super().write()
        if not self._has_changed:
            return
        added = sorted({key for row in self._rows for key in row} - set(self._columns))
        if added or self._starts_file:
            others = [] if self._starts_file else read_rows(self._path)[:-1]
            self._columns += added
            write_atomically(self._path, self._text(others + self._rows, header=True))
        else:
            with self._path.open("r+b") as file:
                file.seek(self._end_of_others)
                file.write(self._text(self._rows, header=False))
                file.truncate()
        self._rows = self._rows[-1:]
        self._end_of_others = self._path.stat().st_size - len(self._text(self._rows, header=False))
        self._has_changed = self._starts_file = False

    def finalize(self, status: str) -> None:
        """Write what is left, and close. A run that goes on and is refused at its start leaves the table as it was."""
        if self._has_logged or status == "success":
            super().finalize(status)

    def _text(self, rows: list[dict[str, Any]], header: bool) -> bytes:
        file = io.StringIO(newline="")
        writer = csv.DictWriter(file, self._columns)
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return file.getvalue().encode()


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table, without an unfinished last line; none if there is no file.

    Args:
        path: The table's file, which only `MetricsTable` writes.

    Raises:
        BadInputError: If it is no such table, and names the file.
    """
    if not path.is_file():
        return []
    try:
        lines, end, _ = path.read_text(encoding="utf-8").rpartition("\n")
        rows = list(csv.DictReader(io.StringIO(lines + end, newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise _no_table(path, f"another: {error}") from error
    wrong = next((number for number, row in enumerate(rows, start=2) if not _is_row(row)), None)
    if wrong is not None:
        raise _no_table(path, f"one whose line {wrong} is no row of it")
    return rows


def _is_row(row: dict[str, str]) -> bool:
    """Whether a line has a step, no more values than columns, and no NUL bytes, which a loss of power can leave."""
    step = row.get("step") or ""  # -1 before any step, as in an epoch whose steps were all skipped
    complete = step.removeprefix("-").isdecimal() and None not in row
    return complete and not any("\0" in value for value in row.values() if value)


def _no_table(path: Path, found: str) -> BadInputError:
    return BadInputError(
        f"{path} must be the table that its run has written. Got {found}. Put it back, or delete it to go on without "
        "the rows up to now."
    )
