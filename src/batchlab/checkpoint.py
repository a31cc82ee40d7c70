"""Reading checkpoints, without trusting them."""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn

from batchlab.errors import BadInputError


def load_settings(path: Path) -> dict[str, Any]:
    """The settings that a checkpoint was trained with, by their keys on the command line.

    Only plain values and tensors are read (`weights_only`), so a file cannot run code.

    Args:
        path: A checkpoint's file.

    Raises:
        BadInputError: If there is no such file, or it is not a checkpoint of this project.
    """
    checkpoint = _load(path)
    try:
        groups = {"model": checkpoint["hyper_parameters"], "data": checkpoint["datamodule_hyper_parameters"]}
        return {
            f"{group}.{key}": value
            for group, values in groups.items()
            for key, value in values.items()
            if not key.startswith("_")  # Lightning's own notes on how to build the class
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise _foreign(path, error) from error


def check_weights_fit(model: nn.Module, path: Path) -> None:
    """Raises BadInputError unless the checkpoint's weights have the model's names and shapes."""
    saved = {name: tuple(tensor.shape) for name, tensor in _load(path)["state_dict"].items()}
    built = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if saved != built:
        raise BadInputError(
            f"model.hidden and model.depth must be the checkpoint's. Got others than {str(path)!r} was trained with: "
            "leave them out, and they are taken from it."
        )


def _load(path: Path) -> Any:
    if not path.is_file():
        raise BadInputError(f"ckpt_path must be a checkpoint's file. Got {str(path)!r} instead, which does not exist.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise _foreign(path, error) from error


def _foreign(path: Path, error: Exception) -> BadInputError:
    return BadInputError(
        f"ckpt_path must be a checkpoint that batchlab wrote. Got {str(path)!r} instead, "
        f"which cannot be read as one ({type(error).__name__})."
    )
