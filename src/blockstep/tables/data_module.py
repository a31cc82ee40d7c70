"""TableDataModule: the rows of a CSV or Parquet file as a LightningDataModule."""

from dataclasses import asdict
from typing import Any

import numpy as np
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import TensorDataset

from blockstep.base.errors import BadInputError, at_least, at_most
from blockstep.blocks.loader import BlockLoader
from blockstep.blocks.row_loader import RowLoader
from blockstep.checkpoints.checkpoint_file import CheckedLoading
from blockstep.tables.files import Numbers
from blockstep.tables.labels import Target
from blockstep.tables.learned import Learned
from blockstep.tables.reading import Columns
from blockstep.tables.sources import Sources


class TableDataModule(CheckedLoading, LightningDataModule):
    """The rows of a CSV or Parquet file, standardised by the training rows.

    A batch is x (n, features) and t (n, 1), float32. x has mean 0 and standard deviation 1 in the training rows. t is
    the number of the class, or a number that is standardised likewise. Where a value is missing or no number, an error
    names column and row; docs/your-data.md has all rules.

    Args:
        path: The table: a Parquet file if its name ends in .parquet or .pq, or else a CSV file. predict reads all of
            its rows.
        label: The column of the label, which predict does not need.
        target: What the label is: the name of a class, or a number.
        features: The columns of the features, all of numbers. The default is every column but the label.
        validation: The fraction of the rows that are for validation, drawn at random, of each class the same; or a
            file of its own. 0 is no validation.
        test: Likewise for test.
        batch_size: Rows per step, over all devices together. The default is small enough for many steps an epoch.
        shuffle: Whether training visits the rows in a new random order each epoch, as is usual.
        block_size: Most steps in one call of `training_step`; 1 is Lightning's ordinary way, one step a call. By
            default, 0, a block is as long as takes a quarter of a second.
        num_workers: Processes that load batches. The default 0 loads in the training process, which is fastest.
        seed: Decides which rows are for validation and test, and the orders, from 0 to 4294967295.
        delimiter: What separates the cells of a CSV file.

    Attributes:
        learned: What the training has learned of its table: columns, classes, means and deviations; None before.

    Raises:
        ValueError: If an argument is out of its range.
    """

    training: TensorDataset

    def __init__(
        self,
        path: str,
        label: str,
        target: Target = "class",
        features: list[str] | None = None,
        validation: float | str = 0.15,
        test: float | str = 0.15,
        batch_size: int = 32,
        shuffle: bool = True,
        block_size: int = 0,
        num_workers: int = 0,
        seed: int = 0,
        delimiter: str = ",",
    ) -> None:
        super().__init__()
        at_least(1, batch_size=batch_size)
        at_least(0, block_size=block_size, num_workers=num_workers, seed=seed)
        at_most(2**32 - 1, seed=seed)
        at_most(1000, num_workers=num_workers)  # each is a process
        self.save_hyperparameters()
        self.sources = Sources(Columns(label, features, delimiter), target, path, validation, test, seed)
        self.batch_size, self.shuffle, self.block_size = batch_size, shuffle, block_size
        self.num_workers, self.seed = num_workers, seed
        self.learned: Learned | None = None
        self._validation: TensorDataset | None = None
        self._is_fit = False

    def setup(self, stage: str) -> None:
        """Read the training and validation rows for "fit". Other stages read theirs when their loader is made.

        They need what the training has learned, which Lightning restores from the checkpoint after `setup`.
        """
        self._is_fit = stage == "fit"
        if self._is_fit:
            self._read_training()

    def state_dict(self) -> dict[str, Any]:
        """Return what the training has learned of its table; Lightning saves it in checkpoints."""
        return {} if self.learned is None else asdict(self.learned)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Read all tables as a training has read its own, also if training goes on with another table.

        Raises:
            BadInputError: If training goes on with a table whose content has changed, or that has other columns.
        """
        now, before = self.learned, Learned(**state_dict)
        self.learned = before
        if self._is_fit and now is not None and now != before:
            if now.path == before.path and now.sha256 != before.sha256:
                raise BadInputError(
                    f"data.path must be as it was when the training was started. The content of {now.path!r} has "
                    "changed: put the old one back, or give the new one another name, as --data.path, and "
                    "--allow_changes true."
                )
            self._read_training(before)

    def train_dataloader(self) -> BlockLoader:
        """Load batches of x (batch_size, features) and t (batch_size, 1), float32; for a Trainer, in blocks."""
        return BlockLoader(
            self.training,
            min(self.batch_size, len(self.training)),
            self.trainer,
            block_size=self.block_size,
            shuffle=self.shuffle,
            seed=self.seed,
            num_workers=self.num_workers,
        )

    def val_dataloader(self) -> RowLoader | list[RowLoader]:
        """Load large batches of x (n, features) and t (n, 1); none if a training has no validation."""
        if not self._is_fit:
            return self._loader(self.sources.read_part("validation", self._learned()))
        return [] if self._validation is None else self._loader(self._validation)

    def test_dataloader(self) -> RowLoader:
        """Load the test rows, in batches as in validation."""
        return self._loader(self.sources.read_part("test", self._learned()))

    def predict_dataloader(self) -> RowLoader:
        """Load x (n, features) of all rows of the table, in its order."""
        return self._loader(self.sources.read_inputs(self._learned()))

    def predicted_table(self, predictions: Numbers) -> tuple[list[str], Numbers]:
        """Return what predict writes: the features as they are in the table, and the predictions.

        Args:
            predictions: Of the first rows of the table, shape (n, outputs).

        Returns:
            The names of the columns, and their values.
        """
        learned = self._learned()
        pieces = list(self.sources.open_inputs(learned).numbers(learned.features))
        rows = np.concatenate(pieces)[: len(predictions)]
        names = [*learned.features, *learned.names_of_outputs(predictions.shape[1])]
        return names, np.hstack([rows, predictions])

    def _read_training(self, learned: Learned | None = None) -> None:
        self.learned, self.training, self._validation = self.sources.read_training(learned)
        if self._validation is None and self.trainer is not None:
            self.trainer.limit_val_batches = 0  # Lightning warns of a loader without rows
        _say(self.learned, self.training, self._validation)

    def _learned(self) -> Learned:
        if self.learned is None:
            raise BadInputError(
                "a table is read as the training has read its own: train first, or give the checkpoint. Got neither."
            )
        return self.learned

    def _loader(self, rows: TensorDataset) -> RowLoader:
        return RowLoader(rows, self.trainer, num_workers=self.num_workers)


@rank_zero_only
def _say(learned: Learned, training: TensorDataset, validation: TensorDataset | None) -> None:
    kind = f"{len(learned.classes)} classes" if learned.classes else "a number"
    rows = f"{len(training):,} rows" + (f" and {len(validation):,} of validation" if validation else "")
    features = "1 feature" if len(learned.features) == 1 else f"{len(learned.features)} features"
    print(f"training data: {rows}, {features}, the label is {kind}")
    if learned.constant:
        print(f"constant in the training rows, and 0 throughout: {', '.join(learned.constant)}")
