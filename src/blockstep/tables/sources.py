"""Which rows are for training, validation and test: without it, they would be told apart anew in each command."""

from dataclasses import dataclass

from torch.utils.data import TensorDataset

from blockstep.base.errors import BadInputError
from blockstep.tables.files import TableFile
from blockstep.tables.labels import Target, read_labels
from blockstep.tables.learned import Learned
from blockstep.tables.reading import Columns, divide, learn, read_inputs, read_parts
from blockstep.tables.split import TEST, TRAINING, VALIDATION

PARTS = {"validation": VALIDATION, "test": TEST}


@dataclass(frozen=True)
class Sources:
    """The tables of a data module. The arguments are those of `TableDataModule`."""

    columns: Columns
    target: Target
    path: str
    validation: float | str
    test: float | str
    seed: int

    def __post_init__(self) -> None:
        fractions = [part for part in (self.validation, self.test) if not isinstance(part, str)]
        if not (all(fraction >= 0 for fraction in fractions) and sum(fractions) < 1):
            raise ValueError(
                "validation and test must be files, or fractions from 0 to less than 1 in all. "
                f"Got {self.validation!r} and {self.test!r} instead."
            )

    def read_training(self, learned: Learned | None = None) -> tuple[Learned, TensorDataset, TensorDataset | None]:
        """Read the training and the validation rows.

        Args:
            learned: What an earlier training has learned, to go on from it; by default this one learns.

        Returns:
            What was learned; the training rows; the validation rows, if there are any.
        """
        if learned is None:
            table, features = self.columns.open(self.path, "data.path")
        else:
            table, features = self.columns.open_another(self.path, "data.path", learned), learned.features
        labels = read_labels(table, self.columns.label, self.target, learned.classes if learned else None)
        parts = divide(table, labels, self._fractions, self.seed)
        learned = learned or learn(self.path, table, features, labels, parts)
        wanted = [TRAINING] + [VALIDATION] * (self._fractions[0] > 0)
        training, *validation = read_parts(table, learned, labels, parts, wanted)
        if isinstance(self.validation, str):
            validation = [self.read_part("validation", learned)]
        return learned, training, next(iter(validation), None)

    def read_part(self, name: str, learned: Learned) -> TensorDataset:
        """Read the rows of "validation" or "test".

        Args:
            name: The part.
            learned: What the training has learned.

        Raises:
            BadInputError: If the part is a fraction of a table that is not the training's, or there is none.
        """
        given, key = getattr(self, name), f"data.{name}"
        if given == 0:
            raise BadInputError(f"{key} must be a fraction or a file. Got 0, which is none.")
        table = self.columns.open_another(
            *((given, key) if isinstance(given, str) else (self.path, "data.path")), learned
        )
        labels = read_labels(table, self.columns.label, self.target, learned.classes)
        fractions, wanted = (0.0, 0.0), TRAINING  # all rows of a file
        if not isinstance(given, str):
            refuse_changed(table, learned, f"{key} is a fraction of it: to evaluate other rows, name a file as {key}")
            fractions, wanted = self._fractions, PARTS[name]
        parts = divide(table, labels, fractions, self.seed)
        return read_parts(table, learned, labels, parts, [wanted])[0]

    def read_inputs(self, learned: Learned) -> TensorDataset:
        """Read the features of all rows of the table."""
        return read_inputs(self.open_inputs(learned), learned)

    def open_inputs(self, learned: Learned) -> TableFile:
        """Open the table, which may be another one than the training's, without labels."""
        return self.columns.open_another(self.path, "data.path", learned, needs_label=False)

    @property
    def _fractions(self) -> tuple[float, float]:
        validation, test = (0.0 if isinstance(part, str) else part for part in (self.validation, self.test))
        return validation, test


def refuse_changed(table: TableFile, learned: Learned, reason: str) -> None:
    """Raise BadInputError if a table's content is not that of the training's.

    Args:
        table: The table.
        learned: What the training has learned.
        reason: Why it must be.
    """
    found = table.sha256()
    if found != learned.sha256:
        raise table.error(
            f"must have the content that the training has read, since {reason}. Got another: its SHA-256 is "
            f"{found[:12]}…, and was {learned.sha256[:12]}…"
        )
