"""Rows in files that are mapped into memory: without it, a table would have to be smaller than the memory."""

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blockstep.tables.split import Parts


def mapped_rows(
    pieces: Iterable[tuple[NDArray[np.float32], Parts]], columns: int, wanted: Sequence[int]
) -> list[Tensor]:
    """Write the rows of each part into a temporary file, and return them as tensors over these files.

    The system keeps as much of them in memory as there is room for. The files have no names: they go with the process,
    however that ends. The environment variable `TMPDIR` says where they lie.

    Args:
        pieces: Rows, shape (n, columns), and the part of each.
        columns: The number of columns.
        wanted: The parts to return, each of which has rows.

    Raises:
        OSError: If the disk is full. (Written through the mapping, a full disk would end the process at once.)
    """
    with ExitStack() as stack:
        files = {part: stack.enter_context(TemporaryFile(prefix="blockstep-")) for part in wanted}
        for rows, parts in pieces:
            for part, file in files.items():
                file.write(rows[parts == part].data)
        return [_mapped(files[part], columns) for part in wanted]


def _mapped(file: Any, columns: int) -> Tensor:
    file.flush()
    rows = os.fstat(file.fileno()).st_size // (4 * columns)
    return torch.from_numpy(np.memmap(file, dtype=np.float32, mode="r+", shape=(rows, columns)))
