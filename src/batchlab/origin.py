"""Origin: where a checkpoint comes from, written into it."""

import hashlib
import platform
import subprocess
from importlib.metadata import version
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn

from batchlab.checkpoint import FORMAT


class Origin(Callback):
    """Writes versions, the config, the git revision and the data's hash into every checkpoint, under "batchlab".

    When training goes on from a checkpoint whose data were others, it warns.

    Args:
        config: The run's config, as YAML.
    """

    def __init__(self, config: str) -> None:
        self._config = config
        self._data = ""
        self._git = git_revision()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Hashes the training data, which are there by now."""
        self._data = data_hash(getattr(trainer, "datamodule", None))

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adds what is known of the run."""
        packages = ("batchlab", "lightning", "numpy", "torch")
        checkpoint["batchlab"] = {
            "format": FORMAT,
            "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
            "git": self._git,
            "config": self._config,
            "data_sha256": self._data,
        }

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Compares the data."""
        before = checkpoint["batchlab"]["data_sha256"]
        if trainer.training and self._data != before:
            rank_zero_warn(
                f"The training data are not those of the checkpoint: their SHA-256 is {self._data[:12]}…, and was "
                f"{before[:12]}…. Training goes on with other data."
            )


def data_hash(datamodule: Any) -> str:
    """The SHA-256 of a data module's training tensors, in order; empty if it has none."""
    digest = hashlib.sha256()
    tensors = getattr(getattr(datamodule, "training", None), "tensors", ())
    for tensor in tensors:
        digest.update(str((tuple(tensor.shape), tensor.dtype)).encode())
        digest.update(tensor.contiguous().view(torch.uint8).numpy())
    return digest.hexdigest() if tensors else ""


def git_revision() -> str | None:
    """The commit that the current folder stands at, with a "+" where files differ from it; None outside of git."""
    try:
        words = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603 - git's own words
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
