"""Predictions as a CSV file: without it, they could only be read in Python."""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse import Namespace
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.data import extract_batch_size
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from blockstep.base.atomic_files import write_atomically
from blockstep.base.errors import BadInputError
from blockstep.runs.run_mark import run_above


def check_output(output: Path, settings: Namespace) -> None:
    """Raise BadInputError if the predictions would replace what the command reads, or what is a run's.

    Args:
        output: The file to write, by any of its names.
        settings: The command's, which may name files: the checkpoint, configs, data.
    """
    for key, value in vars(settings.as_flat()).items():
        names = value if isinstance(value, list) else [value]
        if key not in ("output", "name") and any(_is_same_file(output, name) for name in names):
            raise BadInputError(f"output must not be a file that is read. Got {str(output)!r} instead, as {key} is.")
    target = Path(os.path.realpath(output))
    run = run_above(target)
    if run is not None and os.path.lexists(target):
        raise BadInputError(
            f"output must be a new file if it lies in a run's folder, as {str(run)!r} is. Got {str(output)!r} instead, "
            "which exists."
        )


def _is_same_file(path: Path, other: Any) -> bool:
    try:
        return isinstance(other, str | os.PathLike) and path.samefile(other)
    except (OSError, ValueError):  # one of them does not exist, or is no path
        return False


class PredictionWriter(Callback):
    """Write a row for each event: its inputs, its predictions and, where it is known, its label.

    The label is what follows the inputs in a batch, if it has a row for each event. Values have nine digits, which a
    float32 needs.

    Args:
        path: The file. An existing file is replaced; a link is followed.
        columns: Names of the columns of inputs and predictions. If there are not as many, inputs are x and a number,
            predictions y and a number. Labels are "label", with a number if there are several.

    Raises:
        BadInputError: If the folder does not exist, or the path is a folder, a device or a pipe.
    """

    def __init__(self, path: Path, columns: Sequence[str] = ()) -> None:
        target = Path(os.path.realpath(path))
        if not target.parent.is_dir() or (target.exists() and not target.is_file()):
            raise BadInputError(f"output must be a file in a folder that exists. Got {str(path)!r} instead.")
        self.path = path
        self._target = target
        self._columns = columns
        self._inputs: list[Tensor] = []
        self._predictions: list[Tensor] = []
        self._labels: list[Tensor] = []

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the batch's rows.

        Raises:
            BadInputError: If `predict_step` does not return a tensor with a row for each event.
        """
        inputs = batch[0] if isinstance(batch, (tuple, list)) else batch
        if not isinstance(inputs, Tensor):
            # A dictionary, for example, has no order of columns: only the predictions are written.
            inputs = torch.empty(extract_batch_size(batch), 0)
        if not (isinstance(outputs, Tensor) and outputs.dim() and len(outputs) == len(inputs)):
            raise BadInputError(
                "predict_step must return a tensor with a row for each event of the batch, to be written as a table. "
                f"Got {type(outputs).__name__} instead."
            )
        self._inputs.append(inputs.reshape(len(inputs), -1).cpu())
        self._predictions.append(outputs.reshape(len(inputs), -1).cpu())
        self._labels.append(_labels(batch, len(inputs)))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file. A data module with a `predicted_table` says itself what is written beside the predictions."""
        predictions = torch.cat(self._predictions).double().numpy()
        data: Any = getattr(trainer, "datamodule", None)
        table = data.predicted_table if hasattr(data, "predicted_table") else self._numbered_table
        names, rows = table(predictions)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(names)
        np.savetxt(text, rows, fmt="%.9g", delimiter=",")
        write_atomically(self._target, text.getvalue().encode())
        print(f"predictions: {len(rows)} rows in {self.path}")

    def _numbered_table(self, predictions: NDArray[np.float64]) -> tuple[Sequence[str], NDArray[np.float64]]:
        inputs, labels = (torch.cat(parts).double().numpy() for parts in (self._inputs, self._labels))
        numbered = [*_numbered("x", inputs), *_numbered("y", predictions)]
        names = self._columns if len(self._columns) == len(numbered) else numbered
        label = ["label"] if labels.shape[1] == 1 else _numbered("label", labels)
        return [*names, *label], np.hstack([inputs, predictions, labels])


class AsItIs:
    """A loader that Lightning does not make anew to predict, which fails where `batch_size` was given by position.

    Args:
        loader: Any loader.
    """

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __iter__(self) -> Iterator[Any]:
        return iter(self._loader)

    def __len__(self) -> int:
        return len(self._loader)


def load_as_it_is(data: Any) -> None:
    """Have a data module hand its prediction loaders to Lightning as they are."""
    make = data.predict_dataloader

    def predict_dataloader() -> Any:
        loaders = make()
        return [*map(_kept, loaders)] if isinstance(loaders, list | tuple) else _kept(loaders)

    data.predict_dataloader = predict_dataloader


def _kept(loader: Any) -> Any:
    return AsItIs(loader) if type(loader) is DataLoader else loader


def _labels(batch: Any, rows: int) -> Tensor:
    """The labels of a batch (rows, k); without columns if it has none."""
    given = batch[1] if isinstance(batch, (tuple, list)) and len(batch) > 1 else None
    if isinstance(given, Tensor) and given.dim() and len(given) == rows:
        return given.reshape(rows, -1).cpu()
    return torch.empty(rows, 0)


def _numbered(name: str, values: NDArray[np.float64]) -> list[str]:
    return [f"{name}{n + 1}" for n in range(values.shape[1])]
