"""The first save is tried: without it, a run would end well, and its checkpoints would be refused as more than data."""

import io
import os
from pathlib import Path
from typing import Any

import torch

from blockstep.base.errors import BadInputError
from blockstep.checkpoints.checkpoint_file import ChecksummedCheckpointIO, read_checkpoint
from blockstep.checkpoints.contents import KEY


class TriedCheckpointIO(ChecksummedCheckpointIO):
    """Read the first checkpoint of a run back before anything is replaced by it.

    A module, a data module or a callback may put any object into a checkpoint.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_tried = False

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint; the first one only if it can be read back.

        Raises:
            BadInputError: If it holds more than data.
        """
        # Without provenance, it is what a spawned process returns to its parent, or weights alone.
        if not self._is_tried and KEY in checkpoint:
            _try(checkpoint, Path(path))
            self._is_tried = True
        super().save_checkpoint(checkpoint, path, storage_options)


def _try(checkpoint: dict[str, Any], path: Path) -> None:
    trial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        ChecksummedCheckpointIO().save_checkpoint(checkpoint, trial)
        read_checkpoint(trial)
    except OSError:  # the disk is full
        raise
    except Exception as error:  # whatever an object raises as it is written
        found = _find_more_than_data(checkpoint, "") or f"a checkpoint that {error.__cause__ or error}"
        raise BadInputError(
            "what a run saves must be data, which is numbers, words, tensors, lists and mappings, as nothing else is "
            f"read back, and all that training needs to go on. Got {found} instead."
        ) from error
    finally:
        trial.unlink(missing_ok=True)


def _find_more_than_data(value: Any, key: str) -> str | None:
    """Return the key and the type of the first value that cannot be read back; None if there is none."""
    if _can_be_read(value):
        return None
    if isinstance(value, dict | list | tuple):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        found = (_find_more_than_data(part, f"{key}.{name}".removeprefix(".")) for name, part in parts)
        return next(filter(None, found), f"{key}, a {type(value).__qualname__}")
    return f"{key}, a {type(value).__qualname__}"


def _can_be_read(value: Any) -> bool:
    file = io.BytesIO()
    try:
        torch.save(value, file)
        file.seek(0)
        torch.load(file, map_location="cpu", weights_only=True)
    except Exception:  # noqa: BLE001 - whatever an object raises as it is written
        return False
    return True
