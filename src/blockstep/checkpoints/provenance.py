"""Provenance in every checkpoint: without it, the code, versions and data behind a checkpoint would be unknown."""

import hashlib
import math
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn

from blockstep import __version__
from blockstep.base.factories import storable_hyperparameters
from blockstep.checkpoints.agreement import saved_states
from blockstep.checkpoints.checkpoint_file import FORMAT
from blockstep.checkpoints.contents import HYPERPARAMETERS, KEY


class Provenance(Callback):
    """Write versions, the config, the git revision and the data's hash into every checkpoint, and what it holds.

    When training goes on from a checkpoint with other data, warn.

    Args:
        config: The run's config, as YAML.
        settings: The arguments that the model and the data were built with, for classes that save none themselves.
    """

    def __init__(self, config: str, settings: Mapping[str, Mapping[str, Any]] = MappingProxyType({})) -> None:
        self._config = config
        self._settings = {group: storable_hyperparameters(settings.get(group) or {}) for group in HYPERPARAMETERS}
        self._data = ""
        self._data_of_checkpoint: str | None = None
        self._git = git_revision()
        # Read once: to look a version up takes longer than an epoch.
        packages = {name: version(name) for name in ("lightning", "numpy", "torch")}
        self._versions = {"python": platform.python_version(), KEY: __version__, **packages}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Read the hash of the data that the checkpoint was trained on."""
        self._data_of_checkpoint = checkpoint[KEY]["data_sha256"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hash the training data, and compare them with the checkpoint's."""
        self._data = data_hash(trainer.train_dataloader)
        before = self._data_of_checkpoint
        if before is not None and self._data != before:
            rank_zero_warn(
                f"The training data are not those of the checkpoint: their SHA-256 is {self._data[:12]}…, and was "
                f"{before[:12]}…. Training goes on with other data."
            )

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add what is known of the run, and leave out hyperparameters that are not data."""
        checkpoint[KEY] = {
            "format": FORMAT,
            "versions": self._versions,
            "git": self._git,
            "config": self._config,
            "data_sha256": self._data,
            "precision": str(trainer.precision),
            "settings": self._settings,
            "batches": None if math.isinf(trainer.num_training_batches) else int(trainer.num_training_batches),
            **saved_states(checkpoint),
        }
        for where in HYPERPARAMETERS.values():
            if where in checkpoint:
                checkpoint[where] = storable_hyperparameters(checkpoint[where])


def data_hash(loader: Any) -> str:
    """Return the SHA-256 of the tensors of a loader's data set, in order; empty if its `dataset` has no `tensors`."""
    digest = hashlib.sha256()
    tensors = getattr(getattr(loader, "dataset", None), "tensors", ())
    for tensor in tensors:
        digest.update(str((tuple(tensor.shape), tensor.dtype)).encode())
        digest.update(tensor.contiguous().view(torch.uint8).numpy())
    return digest.hexdigest() if tensors else ""


def git_revision() -> str | None:
    """Return the commit of the current folder, with a "+" if files differ from it; None outside a repository."""
    try:
        words = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
        done = subprocess.run(words, capture_output=True, check=True, timeout=10)  # noqa: S603 - no user input
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").strip()  # its complaints may be in another encoding
