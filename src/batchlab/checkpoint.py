"""Checkpoints that can be believed: written whole, with a checksum, and read as data, never as code."""

import hashlib
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from torch import nn

from batchlab.errors import BadInputError
from batchlab.factories import built
from batchlab.files import write_whole

FORMAT = 1
"""Layout of what batchlab adds to Lightning's checkpoints; raised when older versions could not read it."""

MARK = b"\nbatchlab sha256 "
"""Stands behind the archive that torch writes, and before the SHA-256 of the archive; torch.load reads past both."""

HYPERPARAMETERS = {"model": "hyper_parameters", "data": "datamodule_hyper_parameters"}
"""Where Lightning's checkpoints hold the values of each group of keys."""


class WholeCheckpointIO(TorchCheckpointIO):
    """Lightning's way to the disk: a checkpoint appears whole or not at all, and is checked when it is read."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Writes a checkpoint."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        archive = buffer.getvalue()
        write_whole(Path(path), archive + MARK + _digest(archive))

    def load_checkpoint(
        self, path: Any, map_location: Callable[..., Any] | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Reads a checkpoint; only ever as data, whatever `weights_only` says.

        Raises:
            BadInputError: If it cannot be believed.
        """
        checkpoint = _read(Path(path))
        if "pytorch-lightning_version" in checkpoint:  # else it is weights that a process hands to the one it came from
            _check_format(Path(path), checkpoint)
        return checkpoint


class CheckedLoading:
    """For a module or a data module: its `load_from_checkpoint` believes what the commands believe, and no more."""

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *args: Any, **kwargs: Any) -> Self:
        """Builds a module from a checkpoint alone: its hyperparameters, and its weights.

        Args:
            checkpoint_path: The path of the checkpoint's file.
            args: As Lightning has them: `map_location`, which is the processor by default.
            kwargs: Likewise: `strict`, and hyperparameters that go before those of the checkpoint. Whatever
                `weights_only` says, the file is read as data only.

        Raises:
            BadInputError: If the checkpoint cannot be believed.
        """
        checkpoint = read_checkpoint(Path(checkpoint_path))
        key: str = cls.CHECKPOINT_HYPER_PARAMS_KEY  # type: ignore[attr-defined] # Lightning's, of both
        settings = built(checkpoint.pop(key))
        copy = io.BytesIO()
        torch.save(checkpoint, copy)
        copy.seek(0)
        given = settings | kwargs | {"weights_only": True}
        return super().load_from_checkpoint(copy, *args, **given)  # type: ignore[misc,no-any-return]


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds.

    Only plain values and tensors are read (`weights_only`), so that a file cannot run code, and only if they are those
    that were written.

    Args:
        path: A checkpoint's file.

    Raises:
        BadInputError: If there is no such file, or it is damaged, or not a checkpoint of this project, or one of a
            newer version.
    """
    checkpoint = _read(path)
    _check_format(path, checkpoint)
    return checkpoint


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        why = "is a folder" if path.is_dir() else "does not exist"
        raise BadInputError(f"ckpt_path must be a checkpoint's file. Got {str(path)!r} instead, which {why}.")
    archive, mark, digest = path.read_bytes().rpartition(MARK)
    if not mark:
        raise _unusable(path, "has no checksum at its end: it is another program's, or was cut short")
    if digest != _digest(archive):
        raise _unusable(path, "is damaged: its checksum is not that of its content")
    try:
        checkpoint: dict[str, Any] = torch.load(io.BytesIO(archive), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise _unusable(path, "holds more than data, and may run code; it was not loaded") from error
    return checkpoint


def load_settings(path: Path) -> dict[str, Any]:
    """The settings that a checkpoint was trained with, by their keys on the command line.

    Args:
        path: A checkpoint's file.

    Raises:
        BadInputError: If it cannot be believed.
    """
    checkpoint = read_checkpoint(path)
    return {
        f"{group}.{key}": value
        for group, where in HYPERPARAMETERS.items()
        for key, value in checkpoint[where].items()
        if not key.startswith("_")  # Lightning's own notes on how to build the class
    }


def check_weights_fit(model: nn.Module, path: Path) -> None:
    """Raises BadInputError unless the checkpoint's weights have the model's names and shapes."""
    saved = {name: tuple(tensor.shape) for name, tensor in read_checkpoint(path)["state_dict"].items()}
    built = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if saved != built:
        raise BadInputError(
            f"model.hidden and model.depth must be the checkpoint's. Got others than {str(path)!r} was trained with: "
            "leave them out, and they are taken from it."
        )


def _digest(archive: bytes) -> bytes:
    return hashlib.sha256(archive).hexdigest().encode()


def _check_format(path: Path, checkpoint: Any) -> None:
    origin = checkpoint.get("batchlab") if isinstance(checkpoint, dict) else None
    if not isinstance(origin, dict) or not set(HYPERPARAMETERS.values()) <= checkpoint.keys():
        raise _unusable(path, "was not written by `batchlab fit`")
    if origin["format"] > FORMAT:
        version = origin["versions"]["batchlab"]
        raise _unusable(path, f"was written by batchlab {version}, which is newer: update batchlab to read it")
    for group, where in HYPERPARAMETERS.items():
        try:
            built(checkpoint[where])
        except ValueError as error:
            why = f"holds hyperparameters that are not data alone: {group}.{error}"
            raise _unusable(path, why.removesuffix(".")) from error


def _unusable(path: Path, why: str) -> BadInputError:
    return BadInputError(f"ckpt_path must be a checkpoint that batchlab wrote. Got {str(path)!r} instead, which {why}.")
