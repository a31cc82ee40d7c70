"""Short trainings and evaluations, by which the rules are checked."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer, seed_everything
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor

from blockstep.blocks.block import Batch, Block
from blockstep.blocks.loader import BlockLoader
from blockstep.blocks.training import BlockTraining
from blockstep.checkpoints.checkpoint_file import ChecksummedCheckpointIO
from blockstep.checkpoints.exact_resume import ExactResume
from blockstep.checkpoints.provenance import Provenance

STEPS = 20
"""Most batches of an epoch in a trial."""


@dataclass
class Batches:
    """The batches that a trainer saw, by what it saw them for."""

    training: list[Any] = field(default_factory=list)
    validation: list[Any] = field(default_factory=list)
    test: list[Any] = field(default_factory=list)
    prediction: list[Any] = field(default_factory=list)


class _Recorder(BlockTraining):
    """Learns nothing, and keeps the batches."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = Batches()

    def batch_loss(self, batch: Batch) -> Tensor:
        self.seen.training.append(deepcopy(batch))
        return self.weight * 0

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return super().training_step(batch, batch_idx) if isinstance(batch, Block) else self.batch_loss(batch)

    def on_train_epoch_end(self) -> None:
        pass  # without a mean loss, for which every batch would have to be a tuple

    def validation_step(self, batch: Any) -> None:
        self.seen.validation.append(deepcopy(batch))

    def test_step(self, batch: Any) -> None:
        self.seen.test.append(deepcopy(batch))

    def predict_step(self, batch: Any) -> None:
        self.seen.prediction.append(deepcopy(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


class KeepState(Callback):
    """Save the state once: at the end of the first epoch, or after the second one's first block or batch.

    Args:
        path: The checkpoint's file.
        within_epoch: Whether to save within the second epoch.
    """

    def __init__(self, path: Path, within_epoch: bool = False) -> None:
        self._path, self._within_epoch = path, within_epoch

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Save if it is due."""
        if self._within_epoch and trainer.current_epoch == 1 and not self._path.exists():
            trainer.save_checkpoint(self._path)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save if it is due."""
        if not self._within_epoch and not self._path.exists():
            trainer.save_checkpoint(self._path)


def make_trainer(folder: Path, *callbacks: Callback, **options: Any) -> Trainer:
    """Return a trainer on one CPU that prints nothing and writes checkpoints as `fit` does."""
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary", "num_sanity_val_steps"), False
    )
    limits = dict.fromkeys(("limit_train_batches", "limit_val_batches", "limit_test_batches"), STEPS)
    own = [Provenance(""), ExactResume(), *callbacks]
    settings: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": 1,
        "default_root_dir": folder,
        "max_epochs": 1,
        **quiet,
        **limits,
    }
    return Trainer(**settings | options, callbacks=own, plugins=[ChecksummedCheckpointIO()])


def batches_of(data: LightningDataModule, folder: Path, seed: int = 0, epochs: int = 1) -> Batches:
    """Return the batches of some epochs, and of the evaluations that the data module is for."""
    seed_everything(seed, verbose=False)
    recorder = _Recorder()
    make_trainer(folder, max_epochs=epochs).fit(recorder, data)
    trainer = make_trainer(folder, limit_predict_batches=STEPS)
    if is_overridden("test_dataloader", data, LightningDataModule):
        trainer.test(recorder, data, verbose=False)
    if is_overridden("predict_dataloader", data, LightningDataModule):
        trainer.predict(recorder, data, return_predictions=False)
    return recorder.seen


def train(
    module: LightningModule, data: LightningDataModule, folder: Path, *callbacks: Callback, **options: Any
) -> dict[str, Tensor]:
    """Train from the seed 0 and return a copy of the weights."""
    seed_everything(0, verbose=False)
    resumed = {"ckpt_path": options.pop("ckpt_path", None)}
    make_trainer(folder, *callbacks, **options).fit(module, data, **resumed)
    return deepcopy(dict(module.state_dict()))


def data_loader(data: LightningDataModule) -> Any:
    """Return a data module's training loader, outside of a training."""
    data = deepcopy(data)
    data.trainer = make_trainer(Path())
    data.prepare_data()
    data.setup("fit")
    return data.train_dataloader()


def in_blocks(module: LightningModule, data: LightningDataModule, size: int) -> bool:
    """Have a data module's BlockLoader make blocks of so many steps; return whether module and data are for blocks."""
    if not isinstance(module, BlockTraining) or not isinstance(data_loader(data), BlockLoader):
        return False
    original = data.train_dataloader

    def train_dataloader() -> Any:
        loader = original()
        loader.block_size = size
        return loader

    data.train_dataloader = train_dataloader  # type: ignore[method-assign] # of this copy alone
    return True


def leaves(batch: Any) -> Iterator[Tensor]:
    """Yield the tensors of a batch, in order."""
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, dict):
        for part in batch.values():
            yield from leaves(part)
    elif isinstance(batch, list | tuple):
        for part in batch:
            yield from leaves(part)


def equal(first: Any, second: Any) -> bool:
    """Whether the tensors of two batches, or lists of batches, are the same, bit for bit."""
    pairs = list(leaves(first)), list(leaves(second))
    if len(pairs[0]) != len(pairs[1]):
        return False
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(*pairs, strict=True))


def differing(first: dict[str, Tensor], second: dict[str, Tensor]) -> str:
    """Return the names of weights that differ, for a message; none if all are the same."""
    names = [name for name in first if name not in second or not equal(first[name], second[name])]
    return ", ".join(names[:5])
