"""The first bad cell of a CSV file: without it, no error would name the row, which pyarrow's reader does not know."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

MISSING = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"]
"""Cells without a value."""


def describe_first_bad_cell(path: Path, delimiter: str, names: Sequence[str], numbers: Sequence[str]) -> str | None:
    """Find the first row that does not have a cell for each column, or has no number where one must be.

    This is slow, and only called once a faster reader has failed.

    Args:
        path: The file.
        delimiter: What separates its cells.
        names: The names of its columns.
        numbers: The columns that must be numbers.

    Returns:
        The rule that is broken, with column, row and value; None if no row breaks one.
    """
    places = {name: names.index(name) for name in numbers}
    csv.field_size_limit(2**31 - 1)  # a cell may be long
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = (row for row in csv.reader(file, delimiter=delimiter) if row)
        next(rows)
        for count, row in enumerate(rows, 1):
            if len(row) != len(names):
                return f"must have {len(names)} cells in each row, as in its first line. Got {len(row)} in row {count}"
            for name, place in places.items():
                if not _is_number(row[place]):
                    return f"must have a finite number in column {name!r}, row {count}. Got {_shown(row[place])}"
    return None


def _is_number(cell: str) -> bool:
    try:
        return "_" not in cell and math.isfinite(float(cell))
    except ValueError:
        return False


def _shown(cell: str) -> str:
    return "none" if cell in MISSING else repr(cell)
