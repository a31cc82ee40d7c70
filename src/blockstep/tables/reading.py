"""From tables to tensors: without it, each table would have its own columns, classes and units."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import TensorDataset

from blockstep.base.errors import BadInputError
from blockstep.tables.files import Numbers, TableFile
from blockstep.tables.labels import Labels
from blockstep.tables.learned import Learned
from blockstep.tables.rows import mapped_rows
from blockstep.tables.scaling import measure_scaling
from blockstep.tables.split import TRAINING, Parts, TooFewRowsError, split


@dataclass(frozen=True)
class Columns:
    """The columns of a table that are read.

    Attributes:
        label: The column of the label.
        features: The columns of the features; None for all but the label.
        delimiter: What separates the cells of a CSV file.
    """

    label: str
    features: list[str] | None
    delimiter: str

    def __post_init__(self) -> None:
        if len(self.delimiter) != 1:
            raise ValueError(f"delimiter must be one character. Got {self.delimiter!r} instead.")
        chosen = [self.label] if self.features is None else [self.label, *self.features]
        if self.features == [] or len(set(chosen)) < len(chosen):
            raise ValueError(
                f"features must be columns other than the label {self.label!r}, each once. Got {self.features} instead."
            )

    def open(self, path: str, key: str) -> tuple[TableFile, list[str]]:
        """Open a table to learn from, and return it with the names of its features.

        Args:
            path: Its file.
            key: The key that names the file.

        Raises:
            BadInputError: If a column is missing.
        """
        table = TableFile(path, key, self.delimiter)
        features = self.features
        if features is None:
            features = [name for name in table.names if name != self.label]
        _require(table, [self.label, *features])
        if not features:
            raise table.error(f"must have a column beside the label {self.label!r}. Got none")
        return table, features

    def open_another(self, path: str, key: str, learned: Learned, needs_label: bool = True) -> TableFile:
        """Open a table that is to be read as that of the training was.

        Args:
            path: Its file.
            key: The key that names the file.
            learned: What the training has learned.
            needs_label: Whether it must have the label.

        Raises:
            BadInputError: If a column is missing, or is one too many where all are features.
        """
        if self.features is not None and self.features != learned.features:
            raise BadInputError(
                f"data.features must be those of the training, {learned.features}. Got {self.features} instead."
            )
        table = TableFile(path, key, self.delimiter)
        _require(table, [*learned.features, *([self.label] if needs_label else [])])
        others = [name for name in table.names if name not in (*learned.features, self.label)]
        if self.features is None and others:
            raise table.error(f"must have the columns of the training, {learned.features}. Got {others} beside them")
        return table


def divide(table: TableFile, labels: Labels, fractions: tuple[float, float], seed: int) -> Parts:
    """Draw the part of each row, of each class the same fractions.

    Args:
        table: The table, for the message.
        labels: Its labels.
        fractions: Those of validation and test.
        seed: As for `split`.

    Raises:
        BadInputError: If a class has too few rows; it names column and row.
    """
    try:
        return split(labels.groups(), *fractions, seed)
    except TooFewRowsError as error:
        whose = f"of the class {labels.classes[error.group]!r}" if labels.classes else "in all"
        raise table.error(
            f"must have {error.needed} rows of each class in column {labels.column!r}, one for each of training, "
            f"validation and test. Got {len(error.rows)} {whose}, row {error.rows[0] + 1}: leave it out, set "
            "data.validation or data.test to 0, or to a file. A label that is a number needs data.target number"
        ) from error


def learn(path: str, table: TableFile, features: list[str], labels: Labels, parts: Parts) -> Learned:
    """Measure the training rows.

    Args:
        path: The table's file as it was given.
        table: The table.
        features: The names of its features.
        labels: Its labels.
        parts: The part of each row.
    """
    scaling = measure_scaling(rows[own == TRAINING] for rows, own in _with_parts(table.numbers(features), parts))
    for name, deviation in zip(features, scaling.deviation, strict=True):
        if not np.isfinite(deviation):
            raise table.error(f"must have numbers whose squares can be added up. Got larger ones in column {name!r}")
    label = labels.scaling(parts == TRAINING)
    return Learned(
        path=path,
        sha256=table.sha256(),
        label=labels.column,
        features=features,
        mean=scaling.mean.tolist(),
        deviation=scaling.deviation.tolist(),
        classes=labels.classes,
        label_mean=float(label.mean[0]),
        label_deviation=float(label.deviation[0]),
    )


def read_parts(
    table: TableFile, learned: Learned, labels: Labels, parts: Parts, wanted: Sequence[int]
) -> list[TensorDataset]:
    """Read parts of a table as pairs of x (n, features) and t (n, 1).

    Args:
        table: The table.
        learned: What the training has learned.
        labels: The table's labels.
        parts: The part of each row.
        wanted: The parts to read, each of which has rows.
    """
    pieces = _standardised(table, learned, parts)
    found = mapped_rows(pieces, len(learned.features), wanted)
    t = labels.standardised(learned.label_scaling)
    return [TensorDataset(x, torch.from_numpy(t[parts == part])) for x, part in zip(found, wanted, strict=True)]


def read_inputs(table: TableFile, learned: Learned) -> TensorDataset:
    """Read x (n, features) of all rows of a table, without labels."""
    pieces = ((rows, np.full(len(rows), TRAINING, dtype=np.uint8)) for rows in table.numbers(learned.features))
    scaling = learned.scaling
    standardised = ((scaling.standardise(rows), parts) for rows, parts in pieces)
    return TensorDataset(*mapped_rows(standardised, len(learned.features), [TRAINING]))


def _standardised(table: TableFile, learned: Learned, parts: Parts) -> Iterator[tuple[NDArray[np.float32], Parts]]:
    scaling = learned.scaling
    for rows, own in _with_parts(table.numbers(learned.features), parts):
        yield scaling.standardise(rows), own


def _with_parts(pieces: Iterator[Numbers], parts: Parts) -> Iterator[tuple[Numbers, Parts]]:
    first = 0
    for rows in pieces:
        yield rows, parts[first : first + len(rows)]
        first += len(rows)


def _require(table: TableFile, names: Sequence[str]) -> None:
    for name in names:
        if name not in table.names:
            raise table.error(f"must have the column {name!r}. Got the columns {table.names}")
