"""Checksummed checkpoints, read as data only: without it, damage would go unnoticed, and a file could run code."""

import hashlib
import io
import os
import time
from collections.abc import Callable, Mapping
from copy import copy, deepcopy
from pathlib import Path
from typing import Any, Self

import torch
from jsonargparse import ArgumentParser
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from blockstep.base import timed_logger
from blockstep.base.atomic_files import write_atomically
from blockstep.base.errors import BadInputError
from blockstep.base.factories import restore_factories
from blockstep.checkpoints.contents import HYPERPARAMETERS, KEY, check_contents, check_size
from blockstep.checkpoints.pickle_check import TooLargeError, check_archive

FORMAT = 1
"""Version of what is added to Lightning's checkpoints; raised when older versions of this package could not read it."""

BEST = "best.ckpt"
"""File name of the checkpoint with the best metric."""

MARK = b"\nblockstep sha256 "
"""Written after the archive of torch.save, and followed by its SHA-256. torch.load ignores both."""

LOADER_KEYWORDS = ("checkpoint_path", "map_location", "hparams_file", "strict", "weights_only")
"""Arguments of Lightning's `load_from_checkpoint`."""

OLD_KEYS = ("hparams", "module_arguments")
"""Where Lightning would look for more hyperparameters, for checkpoints of its versions before 1.0."""


class ChecksummedCheckpointIO(TorchCheckpointIO):
    """Write checkpoints atomically and with a checksum, and verify it when they are read.

    A best.ckpt may be saved in every epoch, and to write it would take longer than the epoch. So it is written at most
    once a second, before another checkpoint, and as the run ends; until then it is kept in memory.
    """

    def __init__(self) -> None:
        self._waiting: dict[Path, dict[str, Any]] = {}
        self._written_at = time.monotonic()

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint, and what is kept in memory before it; keep a best.ckpt in memory for up to a second."""
        if Path(path).name == BEST:
            self._waiting[Path(path)] = _copied(checkpoint)  # in place of an earlier one
            if time.monotonic() - self._written_at > timed_logger.SECONDS_BETWEEN_WRITES:
                self.flush()
        else:
            self.flush()
            _write(Path(path), checkpoint)

    def flush(self) -> None:
        """Write what is kept in memory, in the order in which it was saved."""
        self._written_at = time.monotonic()
        while self._waiting:
            path, checkpoint = next(iter(self._waiting.items()))
            _write(path, checkpoint)
            del self._waiting[path]

    def remove_checkpoint(self, path: Any) -> None:
        """Delete a checkpoint of ours, unless its path leads out of a folder that it names.

        The callback that asks for it may have been restored from a stranger's file. Lightning makes sure that the path
        begins with the callback's folder, but it would follow "..", and delete folders, other files, and files at an
        address.
        """
        self._waiting.pop(Path(path), None)
        if os.path.normpath(path) == str(path) and _is_ours(Path(path)):
            Path(path).unlink()

    def teardown(self) -> None:
        """Write what is kept in memory, as the run ends."""
        self.flush()

    def load_checkpoint(
        self, path: Any, map_location: Callable[..., Any] | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint, as data only, whatever `weights_only` says.

        Raises:
            BadInputError: If it is damaged, or not a checkpoint of this package.
        """
        self.flush()
        checkpoint = _read(Path(path))
        if "pytorch-lightning_version" in checkpoint:  # else a spawned process returns its weights to its parent
            _check_format(Path(path), checkpoint)
        return checkpoint


class CheckedLoading:
    """A mixin for modules and data modules: `load_from_checkpoint` refuses what the commands refuse."""

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *args: Any, **kwargs: Any) -> Self:
        """Build a module from a checkpoint's hyperparameters and weights.

        Args:
            checkpoint_path: The path of the checkpoint's file.
            args: As Lightning has them: `map_location`, the CPU by default.
            kwargs: Likewise: `strict`, and hyperparameters that replace those of the checkpoint. `weights_only` is
                always true.

        Raises:
            BadInputError: If the file is damaged, not a checkpoint of this package, or lacks the module's weights, or
                if the class refuses its hyperparameters.
        """
        checkpoint = read_checkpoint(Path(checkpoint_path))
        names: Any = cls  # of Lightning's keys
        keys = (
            names.CHECKPOINT_HYPER_PARAMS_KEY,
            names.CHECKPOINT_HYPER_PARAMS_NAME,
            names.CHECKPOINT_HYPER_PARAMS_TYPE,
        )
        group = "model" if keys[0] == HYPERPARAMETERS["model"] else "data"
        settings = _arguments_of(cls, restore_factories(settings_of(checkpoint, group)))
        for key in (*keys, *OLD_KEYS):
            checkpoint.pop(key, None)
        copy = io.BytesIO()
        torch.save(checkpoint, copy)
        copy.seek(0)
        given = settings | kwargs | {"weights_only": True}
        try:
            # The class that this is mixed into has it.
            loaded: Any = super().load_from_checkpoint(copy, *args, **given)  # type: ignore[misc]
        except RuntimeError as error:  # torch's, for weights of other names or shapes
            raise _unusable(Path(checkpoint_path), f"does not hold the weights of this {cls.__name__}") from error
        except Exception as error:
            if kwargs:  # which may be wrong themselves
                raise
            why = f"holds what {cls.__name__} does not take: {type(error).__name__}: {error}"
            raise _unusable(Path(checkpoint_path), why) from error
        if isinstance(loaded, nn.Module):
            _check_kinds(loaded, checkpoint, Path(checkpoint_path))
        return loaded  # type: ignore[no-any-return] # an instance of this class


def _arguments_of(cls: type, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that `--help` shows for a class, but no keyword of Lightning's loader."""
    shown = ArgumentParser().add_class_arguments(cls, "class", fail_untyped=False)
    taken = {key.split(".")[1] for key in shown}.difference(LOADER_KEYWORDS)
    return {key: value for key, value in settings.items() if key in taken}


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint. Only plain values and tensors are read, so that no file can run code.

    Args:
        path: The checkpoint's file.

    Raises:
        BadInputError: If the file does not exist, is damaged, is not a checkpoint of this package, or was written by a
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
        check_archive(archive)
        checkpoint: dict[str, Any] = torch.load(io.BytesIO(archive), map_location="cpu", weights_only=True)
    except TooLargeError as error:
        raise _unusable(path, f"{error}; it was not loaded") from error
    except Exception as error:  # whatever the archive, or the pickle in it, makes of its reader
        raise _unusable(path, "holds more than data, and may run code; it was not loaded") from error
    return checkpoint


def load_settings(path: Path) -> dict[str, Any]:
    """Return the settings that a checkpoint was trained with, by their keys on the command line.

    Args:
        path: The checkpoint's file.

    Raises:
        BadInputError: As `read_checkpoint`.
    """
    checkpoint = read_checkpoint(path)
    return {
        f"{group}.{key}": value for group in HYPERPARAMETERS for key, value in settings_of(checkpoint, group).items()
    }


def settings_of(checkpoint: dict[str, Any], group: str) -> dict[str, Any]:
    """Return the settings that a class was built with: those that it has saved itself, above those that fit saves.

    Args:
        checkpoint: The content of a checkpoint.
        group: model or data.
    """
    settings = checkpoint[KEY]["settings"][group] | checkpoint.get(HYPERPARAMETERS[group], {})
    return {key: value for key, value in settings.items() if not key.startswith("_")}  # Lightning would import these


def check_weights_fit(model: nn.Module, path: Path) -> None:
    """Raise BadInputError unless the checkpoint's weights have the model's names, shapes and kinds of numbers.

    A model that is completed later, in its hooks `setup` and `configure_model` or by its first batch, has none yet.
    """
    hooks = (getattr(type(model), name, None) for name in ("setup", "configure_model"))
    if not {LightningModule.setup, LightningModule.configure_model}.issuperset(hooks):
        return
    if any(map(is_lazy, model.parameters())):
        return
    saved, own = (_shapes(weights) for weights in (read_checkpoint(path)["state_dict"], model.state_dict()))
    if saved != own:
        other = min(name for name in saved.keys() | own.keys() if saved.get(name) != own.get(name))
        raise BadInputError(
            f"the model must be the one that {str(path)!r} holds the weights of. Got one with other weights, as "
            f"state_dict.{other} is: leave --model and the settings of its size out, and they are taken from the "
            "checkpoint."
        )


def _check_kinds(model: nn.Module, checkpoint: dict[str, Any], path: Path) -> None:
    """Raise BadInputError for weights of another kind of numbers, such as whole ones, which torch converts unasked."""
    saved, own = _shapes(checkpoint["state_dict"]), _shapes(model.state_dict())
    for name in saved.keys() & own.keys():
        if saved[name] != own[name]:
            raise _unusable(path, f"holds other numbers than the model's in state_dict.{name}")


def _shapes(weights: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _shape(value) if isinstance(value, Tensor) else None for name, value in weights.items()}


def _shape(weight: Tensor) -> tuple[Any, ...]:
    """The shape of a weight, whether it is dense and in memory, and its type, unless that can be converted."""
    return weight.shape, weight.layout, weight.is_meta, None if weight.is_floating_point() else weight.dtype


def _write(path: Path, checkpoint: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    archive = buffer.getvalue()
    write_atomically(path, archive + MARK + _digest(archive))


def _copied(value: Any) -> Any:
    """Return a copy of a checkpoint's content. `copy.deepcopy` takes five times as long."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        same = copy(value)  # an OrderedDict, for example, with its attributes
        for key, item in value.items():
            same[key] = _copied(item)
        return same
    if type(value) in (list, tuple):
        return type(value)(map(_copied, value))
    return value if isinstance(value, str | int | float | None) else deepcopy(value)


def _is_ours(path: Path) -> bool:
    """Whether a file ends as those that `_write` has written."""
    length = len(MARK) + len(_digest(b""))
    if not path.is_file() or path.stat().st_size < length:
        return False
    with path.open("rb") as file:
        file.seek(-length, os.SEEK_END)
        return file.read(len(MARK)) == MARK


def _digest(archive: bytes) -> bytes:
    return hashlib.sha256(archive).hexdigest().encode()


def _check_format(path: Path, checkpoint: Any) -> None:
    try:
        check_size(checkpoint)
    except ValueError as error:
        raise _unusable(path, str(error)) from error
    ours = checkpoint.get(KEY) if isinstance(checkpoint, dict) else None
    if not (isinstance(ours, dict) and isinstance(written := ours.get("format"), int)):
        raise _unusable(path, "was not written by fit")
    if written > FORMAT:
        versions = ours.get("versions")
        version = versions.get(KEY) if isinstance(versions, dict) else "of an unknown version"
        raise _unusable(path, f"was written by {KEY} {version}, which is newer: update {KEY} to read it")
    try:
        check_contents(checkpoint)
    except ValueError as error:
        raise _unusable(path, str(error)) from error


def _unusable(path: Path, why: str) -> BadInputError:
    return BadInputError(f"ckpt_path must be a checkpoint that {KEY} wrote. Got {str(path)!r} instead, which {why}.")
