"""Labels as numbers: without it, the name of a class could not be learned."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from blockstep.tables.files import Numbers, TableFile
from blockstep.tables.scaling import Scaling, measure_scaling

Target = Literal["class", "number"]
"""What a label is: the name of a class, or a number."""


@dataclass(frozen=True)
class Labels:
    """The labels of a table.

    Attributes:
        column: The name of their column.
        values: Of each row, the number of its class, or a number.
        classes: The names of the classes, in the order of their numbers; none for numbers.
    """

    column: str
    values: NDArray[np.int32] | Numbers
    classes: list[str]

    def groups(self) -> NDArray[np.integer]:
        """Return the number of each row's class; 0 for numbers."""
        return self.values.astype(np.int32) if self.classes else np.zeros(len(self.values), dtype=np.int32)

    def scaling(self, training: NDArray[np.bool]) -> Scaling:
        """Measure the labels of the training rows. The number of a class stays as it is."""
        if self.classes:
            return Scaling(np.zeros(1), np.ones(1))
        return measure_scaling([self.values[training, np.newaxis].astype(np.float64)])

    def standardised(self, scaling: Scaling) -> NDArray[np.float32]:
        """Return the labels, shape (n, 1)."""
        return scaling.standardise(self.values[:, np.newaxis].astype(np.float64))


def read_labels(table: TableFile, column: str, target: Target, classes: list[str] | None = None) -> Labels:
    """Read the labels of a table.

    Args:
        table: The table.
        column: Their column.
        target: What they are.
        classes: The classes of the training. The default takes them from the table: in the order of the numbers if all
            names are numbers, or else of the alphabet.

    Raises:
        BadInputError: If a label is missing, is no number where it must be, or is not among the classes.
    """
    if target == "number":
        return Labels(column, np.concatenate(list(table.numbers([column])))[:, 0], [])
    numbers, found = _read_names(table, column)
    classes = _sorted(found) if classes is None else classes
    places = {name: place for place, name in enumerate(classes)}
    for number, name in enumerate(found):
        if name not in places:
            row = int(np.flatnonzero(numbers == number)[0]) + 1
            raise table.error(
                f"must have a class of the training, {classes}, in column {column!r}. Got {name!r} in row {row}"
            )
    return Labels(column, np.array([places[name] for name in found], dtype=np.int32)[numbers], classes)


def _read_names(table: TableFile, column: str) -> tuple[NDArray[np.int32], list[str]]:
    """Read the number of each row's name, and the names in the order in which they first appear."""
    known: dict[str, int] = {}
    pieces = []
    for piece in table.texts(column):
        numbers = [known.setdefault(name, len(known)) for name in piece.dictionary.to_pylist()]
        pieces.append(np.array(numbers, dtype=np.int32)[piece.indices.to_numpy()])
    return np.concatenate(pieces), list(known)


def _sorted(names: list[str]) -> list[str]:
    try:
        return sorted(names, key=float)
    except ValueError:
        return sorted(names)
