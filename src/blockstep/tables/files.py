"""CSV and Parquet files in pieces of rows: without it, a table of ten million rows would have to fit into memory.

Values are read in double precision, since standardising a column of time stamps in single precision would lose them.
"""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blockstep.base.errors import BadInputError
from blockstep.tables.bad_cells import MISSING, describe_first_bad_cell

Numbers = NDArray[np.float64]

ROWS_OF_PIECE = 2**17
"""Rows of a piece of a Parquet file."""

BYTES_OF_PIECE = 2**24
"""Bytes of a piece of a CSV file."""


class TableFile:
    """A table whose columns have names: a Parquet file, if it is called .parquet or .pq, or else a CSV file in UTF-8.

    Args:
        path: The file.
        key: The key that names the file, for messages.
        delimiter: What separates the cells of a CSV file.

    Attributes:
        names: The names of the columns, in the file's order.

    Raises:
        BadInputError: If the file cannot be read, is empty, or has two columns of the same name.
    """

    def __init__(self, path: str, key: str = "data.path", delimiter: str = ",") -> None:
        self.path, self.key, self.delimiter = Path(path).expanduser(), key, delimiter
        if not self.path.is_file():
            why = "is a folder" if self.path.is_dir() else "does not exist"
            raise BadInputError(f"{key} must be a CSV or Parquet file. Got {path!r} instead, which {why}.")
        self.is_parquet = self.path.suffix.lower() in (".parquet", ".pq")
        self.names = self._read_names()
        for place, name in enumerate(self.names, 1):
            first = self.names.index(name) + 1
            if first != place:
                raise self.error(f"must have each column once. Got {name!r} as column {first} and as column {place}")

    def error(self, rule: str) -> BadInputError:
        """Return the error that the table breaks a rule."""
        return BadInputError(f"the table {str(self.path)!r} ({self.key}) {rule}.")

    def sha256(self) -> str:
        """Return the hash of the file's bytes."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def numbers(self, columns: Sequence[str]) -> Iterator[Numbers]:
        """Read columns of numbers.

        Args:
            columns: Their names.

        Yields:
            The values of the next rows, shape (rows, columns).

        Raises:
            BadInputError: If a value is missing, is no number, or is not finite; it names column and row.
        """
        first = 1
        for piece in self._pieces(columns, numbers=columns):
            values: Numbers = np.column_stack([piece.column(name).to_numpy() for name in columns])
            if not np.isfinite(values).all():
                row, column = np.argwhere(~np.isfinite(values))[0]
                raise self.cell_error(columns[column], first + row, f"{values[row, column]}, which is not finite")
            yield values
            first += len(values)

    def texts(self, column: str) -> Iterator[Any]:
        """Read a column as text: the next rows as pyarrow's dictionary array, which has each text once.

        Raises:
            BadInputError: If a value is missing; it names column and row.
        """
        for piece in self._pieces([column], numbers=[]):
            yield piece.column(column).dictionary_encode()

    def cell_error(self, column: str, row: int, found: str) -> BadInputError:
        """Return the error that a cell does not hold a number."""
        return self.error(f"must have a finite number in column {column!r}, row {row}. Got {found}")

    def _read_names(self) -> list[str]:
        if self.is_parquet:
            names: list[str] = list(self._open_parquet().schema_arrow.names)
            return names
        try:
            with self.path.open(newline="", encoding="utf-8-sig") as file:
                names = next((row for row in csv.reader(file, delimiter=self.delimiter) if row), [])
        except (csv.Error, UnicodeDecodeError) as error:
            raise self.error(f"must be a CSV file in UTF-8. Got another: {error}") from error
        if not names:
            raise self.error("must have a first line with the names of its columns. Got an empty file")
        return names

    def _pieces(self, columns: Sequence[str], numbers: Sequence[str]) -> Iterator[Any]:
        """Yield the record batches that have rows; `numbers` are the columns that must be numbers."""
        row = 1
        try:
            for piece in self._parquet(columns, numbers) if self.is_parquet else self._csv(columns, numbers):
                self._refuse_missing(piece, columns, row)
                row += piece.num_rows
                if piece.num_rows:
                    yield piece
        except pyarrow().ArrowException as error:
            bad = None if self.is_parquet else describe_first_bad_cell(self.path, self.delimiter, self.names, numbers)
            raise self.error(bad or f"cannot be read: {error}".rstrip(".")) from error
        if row == 1:
            raise self.error("must have rows. Got none")

    def _csv(self, columns: Sequence[str], numbers: Sequence[str]) -> Iterator[Any]:
        from pyarrow import csv as reader

        arrow = pyarrow()
        types = {name: arrow.float64() if name in numbers else arrow.string() for name in columns}
        yield from reader.open_csv(
            self.path,
            reader.ReadOptions(block_size=BYTES_OF_PIECE),
            reader.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            reader.ConvertOptions(
                include_columns=columns, column_types=types, null_values=MISSING, strings_can_be_null=True
            ),
        )

    def _parquet(self, columns: Sequence[str], numbers: Sequence[str]) -> Iterator[Any]:
        arrow, file = pyarrow(), self._open_parquet()
        for name in numbers:
            kind = file.schema_arrow.field(name).type
            known = (arrow.types.is_integer, arrow.types.is_floating, arrow.types.is_decimal, arrow.types.is_boolean)
            if not any(is_kind(kind) for is_kind in known):
                raise self.error(f"must have a number in column {name!r}, row 1. Got a column of type {kind}")
        for piece in file.iter_batches(ROWS_OF_PIECE, columns=list(columns)):
            cast = [_cast(arrow, piece.column(name), name in numbers) for name in columns]
            yield arrow.record_batch(cast, list(columns))

    def _open_parquet(self) -> Any:
        from pyarrow import parquet

        try:
            return parquet.ParquetFile(self.path)
        except pyarrow().ArrowException as error:
            raise self.error(f"must be a Parquet file. Got another: {error}".rstrip(".")) from error

    def _refuse_missing(self, piece: Any, columns: Sequence[str], first: int) -> None:
        for name in columns:
            if piece.column(name).null_count:
                row = first + int(np.flatnonzero(piece.column(name).is_null().to_numpy(zero_copy_only=False))[0])
                raise self.error(f"must have a value in column {name!r}, row {row}. Got none")


def pyarrow() -> Any:
    """Import pyarrow, which is an optional dependency.

    Raises:
        BadInputError: If it is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise BadInputError("tables need pyarrow: install it, or this package with the extra [tables].") from error
    return pa


def _cast(arrow: Any, column: Any, is_number: bool) -> Any:
    if not is_number:
        return column.cast(arrow.string())
    whole = arrow.types.is_boolean(column.type)  # which is only cast to integers
    return (column.cast(arrow.int8()) if whole else column).cast(arrow.float64(), safe=False)
