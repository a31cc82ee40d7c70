"""Points of the plane, and on which side of a line they lie."""

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from blockstep.blocks.loader import BlockLoader
from blockstep.checkpoints.checkpoint_file import CheckedLoading


class Points(CheckedLoading, LightningDataModule):
    """Points x (n, 2) and their side t (n, 1), drawn from a seed.

    Args:
        batch_size: Points per step, over all devices together. The default is small, for many steps an epoch.
        shuffle: Whether training visits the points in a new random order each epoch. Off by default.
        block_size: Most steps in one call of training_step; 1 is Lightning's ordinary way, 0 leaves it to the clock.
        num_workers: Processes that load batches. The default 0 loads in the training process.
        num_training: Number of training points.
        num_validation: Number of validation points.
        num_test: Number of test points, which are also those that predictions are made for.
        seed: Seed of the points.
    """

    def __init__(
        self,
        batch_size: int = 10,
        shuffle: bool = False,
        block_size: int = 0,
        num_workers: int = 0,
        num_training: int = 1100,
        num_validation: int = 200,
        num_test: int = 200,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.block_size = block_size
        self.num_workers = num_workers
        self.sizes = (num_training, num_validation, num_test)
        self.seed = seed

    def setup(self, stage: str) -> None:
        """Draw the points."""
        self.training, self.validation, self.test = (_draw(n, self.seed + i) for i, n in enumerate(self.sizes))

    def train_dataloader(self) -> BlockLoader:
        """Load the training points; for a Trainer, in blocks."""
        return BlockLoader(
            self.training,
            self.batch_size,
            self.trainer,
            block_size=self.block_size,
            shuffle=self.shuffle,
            seed=self.seed,
            num_workers=self.num_workers,
        )

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Load the validation points."""
        return DataLoader(self.validation, batch_size=1000)

    def test_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Load the test points."""
        return DataLoader(self.test, batch_size=1000)

    predict_dataloader = test_dataloader


def _draw(count: int, seed: int) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 2, generator=generator)
    return TensorDataset(x, (x.sum(1, keepdim=True) + torch.randn(count, 1, generator=generator) > 0).float())
