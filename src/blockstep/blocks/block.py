"""Consecutive batches as one item of a loader: without this module, K steps would take K items."""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device
from numpy.typing import NDArray
from torch import Tensor

Batch = tuple[Tensor, ...]


class Block(NamedTuple):
    """K consecutive batches, end to end in the same tensors.

    Args:
        tensors: What the data set holds (x and t, say), each with the rows of all K batches.
        batch_size: Rows of a batch; the last batch of an epoch may be shorter.
    """

    tensors: Batch
    batch_size: int

    @property
    def steps(self) -> int:
        """K, the number of batches."""
        return math.ceil(len(self.tensors[0]) / self.batch_size)

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows of each batch, shape (K,), not to be written to."""
        return _rows(len(self.tensors[0]), self.batch_size)

    def batches(self) -> Iterator[Batch]:
        """The batches in order, as views."""
        return zip(*(torch.split(tensor, self.batch_size) for tensor in self.tensors), strict=True)

    def to(self, device: torch.device) -> "Block":
        """Move the block to a device. Lightning would otherwise search all that a block holds for tensors."""
        if all(tensor.device == device for tensor in self.tensors):
            return self
        return Block(move_data_to_device(self.tensors, device), self.batch_size)

    def part(self, start: int, stop: int) -> "Block":
        """The block that holds batches `start` to `stop` of this one, as views."""
        rows = slice(start * self.batch_size, stop * self.batch_size)
        return Block(tuple(tensor[rows] for tensor in self.tensors), self.batch_size)


@lru_cache(maxsize=16)  # several callbacks read it in each block, and most blocks are alike
def _rows(total: int, batch_size: int) -> NDArray[np.int64]:
    rows = np.full(math.ceil(total / batch_size), batch_size)
    rows[-1] = total - rows[:-1].sum()
    rows.flags.writeable = False
    return rows
