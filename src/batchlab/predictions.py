"""Predictions as a table that any program reads."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from batchlab.errors import BadInputError
from batchlab.files import write_whole


class PredictionWriter(BasePredictionWriter):
    """Writes a CSV file with a row an event: x1, x2, probability, with the nine digits that make a float32 exact.

    Args:
        path: The file; one that exists is replaced, and of a link the file that it leads to.

    Raises:
        BadInputError: If the file's folder does not exist, or the path is a folder, a device or a pipe.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(write_interval="batch")
        target = Path(os.path.realpath(path))
        if not target.parent.is_dir() or (target.exists() and not target.is_file()):
            raise BadInputError(f"output must be a file in a folder that exists. Got {str(path)!r} instead.")
        self.path = path
        self._target = target
        self._rows: list[Tensor] = []

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Tensor,
        batch_indices: Sequence[int] | None,
        batch: Sequence[Tensor],
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Keeps the batch's rows."""
        self._rows.append(torch.cat([batch[0], prediction], dim=1).cpu())

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the file."""
        rows: Any = torch.cat(self._rows).numpy()
        text = io.StringIO()
        np.savetxt(text, rows, fmt="%.9g", delimiter=",", header="x1,x2,probability", comments="")
        write_whole(self._target, text.getvalue().encode())
        print(f"predictions: {len(rows)} rows in {self.path}")
