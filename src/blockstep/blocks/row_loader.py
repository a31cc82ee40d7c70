"""Rows for an evaluation, sliced: torch's DataLoader collates row by row, which takes longer than the arithmetic."""

import math
from collections.abc import Iterator

from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import Dataset

from blockstep.blocks.block import Batch
from blockstep.blocks.loader import fetch

ROWS_OF_BATCH = 2**16
"""Rows of a batch: few batches cost little time of Lightning's, and none of them takes much memory."""

ROWS_OF_SMALL_BATCH = 1000
"""Rows of a batch if the trainer is limited to a fraction of the batches, of which there must then be some."""


class RowLoader:
    """Load the rows of a data set in order, in large batches. On several devices, each gets its part of every batch.

    Args:
        dataset: As in `BlockLoader`: `dataset[rows]`, for a slice, gives a tuple of tensors with these rows.
        trainer: The trainer, which knows the devices; None for all rows.
        batch_size: Rows of a batch, over all devices together; fewer if the trainer takes a fraction of the batches.
        num_workers: Processes that load rows.
    """

    def __init__(
        self,
        dataset: Dataset[Batch],
        trainer: Trainer | None = None,
        batch_size: int = ROWS_OF_BATCH,
        num_workers: int = 0,
    ) -> None:
        limited = trainer is not None and any(isinstance(limit, float) and 0 < limit < 1 for limit in _limits(trainer))
        self.dataset, self.trainer = dataset, trainer
        self.batch_size = min(batch_size, ROWS_OF_SMALL_BATCH) if limited else batch_size
        self.num_workers = num_workers
        self.rows = len(dataset)  # type: ignore[arg-type] # torch's Dataset leaves __len__ to its subclasses

    def __len__(self) -> int:
        return math.ceil(self.rows / self.batch_size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.rows} rows, {len(self)} batches of {self.batch_size})"

    def __iter__(self) -> Iterator[Batch]:
        cuts = (slice(first, first + self.batch_size) for first in range(0, self.rows, self.batch_size))
        for tensors in fetch(self.dataset, cuts, num_workers=self.num_workers):
            yield tuple(self._share_of_device(tensor) for tensor in tensors)

    def _share_of_device(self, tensor: Tensor) -> Tensor:
        if self.trainer is None or self.trainer.world_size == 1:
            return tensor
        return tensor.tensor_split(self.trainer.world_size)[self.trainer.global_rank]


def _limits(trainer: Trainer) -> tuple[float | int, ...]:
    return (trainer.limit_val_batches, trainer.limit_test_batches, trainer.limit_predict_batches)
